//! What the gate shows of the packets that it keeps from the director (`bpf/sight.h`).

use std::fmt;
use std::sync::Arc;

use libbpf_rs::{MapHandle, RingBuffer, RingBufferBuilder};
use parking_lot::Mutex;

use super::GateError;
use crate::sources::Sight;
use crate::wire::Addr;

/// Size of `struct sight`.
const BYTES: usize = 24;

/// A packet that was shown.
fn read(bytes: &[u8]) -> Option<Sight> {
    let bytes: &[u8; BYTES] = bytes.get(..BYTES)?.try_into().ok()?;
    let (addr, rest) = bytes.split_first_chunk::<16>()?;
    let [a, b, c, d, e, f, g, h] = *rest.first_chunk::<8>()?;
    Some(Sight {
        source: Addr::v6(*addr),
        weight: u32::from_ne_bytes([a, b, c, d]),
        length: u16::from_ne_bytes([e, f]),
        opens: [g, h] != [0, 0],
    })
}

/// The most that is taken from the gate at once: as many as it has room for.
const MOST: usize = 2048;

/// What has been shown since it was looked at last.
pub struct Sights {
    ring: RingBuffer<'static>,
    taken: Arc<Mutex<Vec<Sight>>>,
}

impl fmt::Debug for Sights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sights")
    }
}

impl Sights {
    pub(super) fn of(map: &MapHandle) -> Result<Self, GateError> {
        let refused = |error| GateError::Map {
            map: "sights",
            error,
        };
        let taken = Arc::new(Mutex::new(Vec::with_capacity(MOST)));
        let into = Arc::clone(&taken);
        let take = move |bytes: &[u8]| {
            into.lock().extend(read(bytes));
            0
        };
        let mut ring = RingBufferBuilder::new();
        ring.add(map, take).map_err(refused)?;
        let ring = ring.build().map_err(refused)?;
        Ok(Self { ring, taken })
    }

    /// Takes all that was shown.
    pub fn take(&self) -> Vec<Sight> {
        // An error is a callback's, which gives none.
        self.ring.consume_raw_n(MOST);
        std::mem::take(&mut self.taken.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sight_is_read_as_the_gate_writes_it() {
        let source = Addr::v4([192, 0, 2, 1]);
        let mut bytes = source.octets().to_vec();
        bytes.extend(7u32.to_ne_bytes());
        bytes.extend(60u16.to_ne_bytes());
        bytes.extend(1u16.to_ne_bytes());
        let expected = Sight {
            source,
            weight: 7,
            length: 60,
            opens: true,
        };
        assert_eq!(read(&bytes), Some(expected));
        assert_eq!(read(&bytes[1..]), None);
    }
}
