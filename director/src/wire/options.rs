//! The options of a segment of the director's own, in whole words.

/// The most that a segment of ours has: MSS, SACK, timestamps, scale.
const MOST: usize = 20;

/// Options, ready for the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    bytes: [u8; MOST],
    length: usize,
}

impl Options {
    /// Those that a handshake is about. `timestamps` are the sender's clock and its echo.
    pub fn of_handshake(
        mss: u16,
        sack: bool,
        timestamps: Option<[u32; 2]>,
        scale: Option<u8>,
    ) -> Self {
        let mut options = Self::default();
        let [high, low] = mss.to_be_bytes();
        options.add([2, 4, high, low]);
        if let Some(clocks) = timestamps {
            let sack = if sack { [4, 2] } else { [1, 1] };
            options.add([sack[0], sack[1], 8, 10]);
            options.add_clocks(clocks);
        } else if sack {
            options.add([1, 1, 4, 2]);
        }
        if let Some(shift) = scale {
            options.add([1, 3, 3, shift]);
        }
        options
    }

    /// Those of a segment without SYN.
    pub fn of_data(timestamps: Option<[u32; 2]>) -> Self {
        let mut options = Self::default();
        if let Some(clocks) = timestamps {
            options.add([1, 1, 8, 10]);
            options.add_clocks(clocks);
        }
        options
    }

    fn add_clocks(&mut self, clocks: [u32; 2]) {
        for clock in clocks {
            self.add(clock.to_be_bytes());
        }
    }

    fn add(&mut self, word: [u8; 4]) {
        self.bytes[self.length..self.length + 4].copy_from_slice(&word);
        self.length += 4;
    }

    /// Their bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
