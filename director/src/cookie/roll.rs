//! The roll: which tuples may have a connection, so that the gate knows what it must not answer or
//! refuse. A counting Bloom filter: whoever has a connection is on it, and few others are. The gate
//! sees one bit for each counter, whether it is above zero: a flood looks for nearly all of its
//! tuples in places where it has not looked before, and bits fit in a cache where counters do not.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use siphasher::sip::SipHasher13;

use super::words::{self, Words};
use crate::wire::Tuple;

/// Counters of one line, and bits of its word.
const LINE: usize = 64;

/// Connections that a line is meant for.
const PER_LINE: usize = 8;

/// A counter that has come so far stays there: it may stand for more.
const FULL: u8 = u8::MAX;

/// The roll of all connections.
pub struct Roll {
    counts: Box<[AtomicU8]>,
    words: Words,
    key: [u8; 16],
}

/// A counter, and where its bit stands.
struct Cell<'r> {
    roll: &'r Roll,
    line: usize,
    at: u32,
}

impl Roll {
    /// How many lines there are to be for so many connections.
    pub fn lines(connections: usize) -> usize {
        connections
            .div_ceil(PER_LINE)
            .next_power_of_two()
            .clamp(64, 1 << 22)
    }

    /// An empty one: `words` are zeroes, one a line, a power of two of them.
    pub fn new(words: Words, key: [u8; 16]) -> Self {
        let count = (*words).as_ref().len() * LINE;
        Self {
            counts: (0..count).map(|_| AtomicU8::new(0)).collect(),
            words,
            key,
        }
    }

    /// A connection has come.
    pub fn enter(&self, tuple: &Tuple) {
        self.cells_of(tuple).for_each(|cell| cell.add());
    }

    /// A connection has gone.
    pub fn leave(&self, tuple: &Tuple) {
        self.cells_of(tuple).for_each(|cell| cell.take());
    }

    /// Whether it may have a connection.
    pub fn has(&self, tuple: &Tuple) -> bool {
        self.cells_of(tuple).all(|cell| cell.is_taken())
    }

    fn cells_of(&self, tuple: &Tuple) -> impl Iterator<Item = Cell<'_>> {
        let lines = (self.counts.len() / LINE).max(1) as u64;
        let place = place_of(&self.key, tuple);
        let line = (place & (lines - 1)) as usize;
        [place >> 32, place >> 38].into_iter().map(move |n| Cell {
            roll: self,
            line,
            at: (n % LINE as u64) as u32,
        })
    }
}

impl Cell<'_> {
    fn add(&self) {
        let more = |count: u8| count.checked_add(1);
        // It fails when it is full.
        if self.change(more) == Ok(0) {
            self.show();
        }
    }

    fn take(&self) {
        let less = |count: u8| match count {
            0 | FULL => None,
            count => Some(count - 1),
        };
        if self.change(less) == Ok(1) {
            self.show();
        }
    }

    fn is_taken(&self) -> bool {
        self.count().is_some_and(|count| count.load(SeqCst) > 0)
    }

    /// Has the bit follow the counter, whatever other workers do with either meanwhile: whoever
    /// writes it looks once more whether the counter is still what it was written for. Until then, for
    /// nanoseconds, who has just entered where somebody else has left may be missed; TCP sends again.
    fn show(&self) {
        let Some(word) = (*self.roll.words).as_ref().get(self.line) else {
            return;
        };
        let mut taken = self.is_taken();
        loop {
            match taken {
                true => word.fetch_or(1 << self.at, SeqCst),
                false => word.fetch_and(!(1 << self.at), SeqCst),
            };
            let now = self.is_taken();
            if now == taken {
                return;
            }
            taken = now;
        }
    }

    /// What the counter was, if it was changed.
    fn change(&self, to: impl Fn(u8) -> Option<u8>) -> Result<u8, u8> {
        let count = self.count().ok_or(FULL)?;
        count.fetch_update(SeqCst, SeqCst, to)
    }

    /// A counter that is not there belongs to nobody.
    fn count(&self) -> Option<&AtomicU8> {
        self.roll.counts.get(self.line * LINE + self.at as usize)
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

/// One that no gate sees.
impl Default for Roll {
    fn default() -> Self {
        Self::new(words::own(64), rand::random())
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

    /// Whether the gate finds it.
    fn is_shown(roll: &Roll, tuple: &Tuple) -> bool {
        let words = (*roll.words).as_ref();
        let mut cells = roll.cells_of(tuple);
        cells.all(|cell| words[cell.line].load(SeqCst) >> cell.at & 1 == 1)
    }

    #[test]
    fn bits_are_what_counters_say_whoever_changes_them_meanwhile() {
        let roll = Roll::default();
        let crowd = |ports: std::ops::Range<u16>| {
            for _ in 0..200 {
                ports.clone().for_each(|port| roll.enter(&tuple(port)));
                ports.clone().for_each(|port| roll.leave(&tuple(port)));
            }
            ports.for_each(|port| roll.enter(&tuple(port)));
        };
        std::thread::scope(|scope| {
            for ports in [1..200, 200..400, 300..500] {
                scope.spawn(move || crowd(ports));
            }
        });
        for port in 1..5000 {
            let (has, shows) = (roll.has(&tuple(port)), is_shown(&roll, &tuple(port)));
            assert_eq!(has, shows, "{port}");
            assert!(has || port >= 500, "{port}");
        }
    }

    #[test]
    fn a_counter_that_is_full_stays_so() {
        let roll = Roll::default();
        (0..300).for_each(|_| roll.enter(&tuple(7)));
        (0..300).for_each(|_| roll.leave(&tuple(7)));
        assert!(roll.has(&tuple(7)));
    }
}
