//! What a SYN offers, and what an ACK echoes: the options that a handshake is about.

use crate::wire::tcp::{self, Flags};

/// What a segment without an MSS option takes (RFC 9293 §3.7.1).
const DEFAULT_MSS: u16 = 536;

/// The largest shift count (RFC 7323 §2.3).
const LARGEST_SCALE: u8 = 14;

/// ECE and CWR together: a SYN that asks for ECN (RFC 3168 §6.1.1).
const ECN: u8 = 0xc0;

/// The timestamps option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// The sender's clock.
    pub value: u32,
    /// The receiver's clock, as it was heard last.
    pub echo: u32,
}

/// The options of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The largest segment that its sender takes.
    pub mss: u16,
    /// Window scale.
    pub scale: Option<u8>,
    /// SACK permitted.
    pub sack: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// Whether its flags ask for ECN.
    pub ecn: bool,
}

impl Default for Hello {
    fn default() -> Self {
        Self {
            mss: DEFAULT_MSS,
            scale: None,
            sack: false,
            timestamps: None,
            ecn: false,
        }
    }
}

impl Hello {
    /// What the segment says that `bytes` hold from its header on.
    pub fn read(bytes: &[u8]) -> Self {
        let mut hello = Self::default();
        if let Ok(header) = tcp::checked(bytes) {
            let Flags(flags) = header.flags();
            hello.ecn = flags & ECN == ECN;
        }
        for (kind, data) in tcp::options(bytes) {
            hello.take(kind, data);
        }
        hello
    }

    fn take(&mut self, kind: u8, data: &[u8]) {
        match (kind, data) {
            (2, &[high, low]) => self.mss = u16::from_be_bytes([high, low]),
            (3, &[shift]) => self.scale = Some(shift.min(LARGEST_SCALE)),
            (4, []) => self.sack = true,
            (8, &[a, b, c, d, e, f, g, h]) => {
                self.timestamps = Some(Timestamps {
                    value: u32::from_be_bytes([a, b, c, d]),
                    echo: u32::from_be_bytes([e, f, g, h]),
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_a_linux_syn() {
        let mut segment = vec![0; 40];
        segment[12] = 0xa0;
        segment[13] = Flags::SYN | ECN;
        segment[20..].copy_from_slice(&[
            2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 10,
        ]);
        let expected = Hello {
            mss: 1460,
            scale: Some(10),
            sack: true,
            timestamps: Some(Timestamps { value: 9, echo: 0 }),
            ecn: true,
        };
        assert_eq!(Hello::read(&segment), expected);
        segment[20] = 0;
        segment[13] = Flags::SYN;
        assert_eq!(Hello::read(&segment), Hello::default());
    }
}
