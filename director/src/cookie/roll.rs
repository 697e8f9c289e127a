//! The roll: which tuples may have a connection, so that the gate knows what it must not answer or
//! refuse. A counting Bloom filter: whoever has a connection is on it, and few others are.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use siphasher::sip::SipHasher13;

use crate::wire::Tuple;

/// Counters of one line (`ROLL_LINE` in `bpf/roll.h`).
const LINE: usize = 64;

/// Connections that a line is meant for.
const PER_LINE: usize = 8;

/// A counter that has come so far stays there: it may stand for more.
const FULL: u8 = u8::MAX;

/// Memory for counters, which the gate sees too.
pub type Cells = Box<dyn AsRef<[AtomicU8]> + Send + Sync>;

/// The roll of all connections.
pub struct Roll {
    cells: Cells,
    key: [u8; 16],
}

impl Roll {
    /// How many lines there are to be for so many connections.
    pub fn lines(connections: usize) -> usize {
        connections
            .div_ceil(PER_LINE)
            .next_power_of_two()
            .clamp(64, 1 << 22)
    }

    /// An empty one on `cells`: whole lines, a power of two of them.
    pub fn new(cells: Cells, key: [u8; 16]) -> Self {
        Self { cells, key }
    }

    /// A connection has come.
    pub fn enter(&self, tuple: &Tuple) {
        for cell in self.cells_of(tuple) {
            let more = |count: u8| count.checked_add(1);
            // It fails when it is full.
            let _ = cell.fetch_update(Relaxed, Relaxed, more);
        }
    }

    /// A connection has gone.
    pub fn leave(&self, tuple: &Tuple) {
        for cell in self.cells_of(tuple) {
            let less = |count: u8| match count {
                0 | FULL => None,
                count => Some(count - 1),
            };
            let _ = cell.fetch_update(Relaxed, Relaxed, less);
        }
    }

    /// Whether it may have a connection.
    pub fn has(&self, tuple: &Tuple) -> bool {
        self.cells_of(tuple).all(|cell| cell.load(Relaxed) > 0)
    }

    fn cells_of(&self, tuple: &Tuple) -> impl Iterator<Item = &AtomicU8> {
        let cells = (*self.cells).as_ref();
        let lines = (cells.len() / LINE).max(1) as u64;
        let place = place_of(&self.key, tuple);
        let line = (place & (lines - 1)) as usize * LINE;
        [place >> 32, place >> 38].into_iter().filter_map(move |n| {
            // Memory that is not there belongs to nobody.
            cells.get(line + n as usize % LINE)
        })
    }
}

/// Where a tuple from a client belongs, as `place_of` of `bpf/roll.h` has it.
pub(super) fn place_of(key: &[u8; 16], tuple: &Tuple) -> u64 {
    let Tuple { src, dst, .. } = tuple;
    let octets = dst.addr.octets();
    let folded = |n: usize| octets[n] ^ octets[n + 4] ^ octets[n + 8] ^ octets[n + 12];
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write(src.addr.octets());
    hasher.write(&src.port.to_be_bytes());
    hasher.write(&dst.port.to_be_bytes());
    hasher.write(&[0, 1, 2, 3].map(folded));
    hasher.finish()
}

/// One on memory of this process alone, for a director without a gate.
impl Default for Roll {
    fn default() -> Self {
        struct Own(Vec<AtomicU8>);
        impl AsRef<[AtomicU8]> for Own {
            fn as_ref(&self) -> &[AtomicU8] {
                &self.0
            }
        }
        let cells = (0..LINE * 64).map(|_| AtomicU8::new(0)).collect();
        Self::new(Box::new(Own(cells)), rand::random())
    }
}

impl std::fmt::Debug for Roll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Roll")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Addr, Endpoint, Protocol};

    fn tuple(port: u16) -> Tuple {
        Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(Addr::v4([10, 0, 0, 1]), port),
            dst: Endpoint::new(Addr::v4([10, 9, 9, 9]), 80),
        }
    }

    #[test]
    fn who_has_entered_is_found_until_he_leaves() {
        let roll = Roll::default();
        let all = 1..=512;
        all.clone().for_each(|port| roll.enter(&tuple(port)));
        assert!(all.clone().all(|port| roll.has(&tuple(port))));
        let strangers = (1000..11_000).filter(|port| roll.has(&tuple(*port)));
        let found = strangers.count();
        assert!((1..1000).contains(&found), "{found} of 10,000 when full");
        all.for_each(|port| roll.leave(&tuple(port)));
        assert!((1..11_000).all(|port| !roll.has(&tuple(port))));
    }

    #[test]
    fn a_counter_that_is_full_stays_so() {
        let roll = Roll::default();
        (0..300).for_each(|_| roll.enter(&tuple(7)));
        (0..300).for_each(|_| roll.leave(&tuple(7)));
        assert!(roll.has(&tuple(7)));
    }
}
