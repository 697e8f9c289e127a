//! The roll: which tuples may have a connection, so that the gate knows what it must not answer or
//! refuse. A counting Bloom filter: whoever has a connection is on it, and few others are. The gate
//! sees one bit for each counter, whether it is above zero: a flood looks for nearly all of its
//! tuples in places where it has not looked before, and bits fit in a cache where counters do not.
//! Before those it sees the *front*, a bit for each group of them, which fits in the nearest one.
//!
//! ```text
//!  counters --(above 0?)--> bits of words --(any?)--> bits of the front
//!  of this process alone    gate and workers share both: the words, and the front behind them
//! ```

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};

use super::place::Places;
use super::words::{self, Words};
use crate::wire::Tuple;

/// Counters of one line, and bits of its word.
const LINE: usize = 64;

/// Bits that are a group (`GROUP_BITS` of `bpf/roll.h` is its logarithm).
const GROUP: usize = 16;

/// Lines whose groups share a word of the front.
const TOGETHER: usize = GROUP;

/// Connections that a line is meant for.
const PER_LINE: usize = 8;

/// A counter that has come so far stays there: it may stand for more.
const FULL: u8 = u8::MAX;

/// The roll of all connections.
pub struct Roll {
    lines: Box<[[AtomicU8; LINE]]>,
    words: Words,
    places: Places,
}

/// A counter, and where its bit stands.
struct Cell<'r> {
    roll: &'r Roll,
    line: usize,
    at: usize,
}

impl Roll {
    /// How many lines there are to be for so many connections.
    pub fn lines(connections: usize) -> usize {
        connections
            .div_ceil(PER_LINE)
            .next_power_of_two()
            .clamp(64, 1 << 22)
    }

    /// How many words so many lines have: one each, and the front.
    pub const fn words(lines: usize) -> usize {
        lines + lines / TOGETHER
    }

    /// An empty one: `words` are zeroes, as many as a power of two of lines has.
    pub fn new(words: Words, places: Places) -> Self {
        let lines = (*words).as_ref().len() * TOGETHER / (TOGETHER + 1);
        Self {
            lines: (0..lines)
                .map(|_| [const { AtomicU8::new(0) }; LINE])
                .collect(),
            words,
            places,
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

    fn lines_here(&self) -> usize {
        self.lines.len()
    }

    fn cells_of(&self, tuple: &Tuple) -> impl Iterator<Item = Cell<'_>> {
        let lines = self.lines_here().max(1) as u64;
        let place = self.places.of(tuple);
        let line = (place & (lines - 1)) as usize;
        [place >> 32, place >> 38].into_iter().map(move |n| Cell {
            roll: self,
            line,
            at: n as usize % LINE,
        })
    }

    /// A word of a line; those of the front follow the last.
    fn word(&self, number: usize) -> Option<&AtomicU64> {
        (*self.words).as_ref().get(number)
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

    /// Whether a bit of its group is set.
    fn is_group_taken(&self) -> bool {
        let group = u64::MAX >> (64 - GROUP) << (self.at / GROUP * GROUP);
        let word = self.roll.word(self.line);
        word.is_some_and(|word| word.load(SeqCst) & group != 0)
    }

    /// Has its bits follow the counter.
    fn show(&self) {
        let roll = self.roll;
        follow(roll.word(self.line), self.at, || self.is_taken());
        let front = roll.word(roll.lines_here() + self.line / TOGETHER);
        let group = (self.line * LINE + self.at) / GROUP;
        follow(front, group, || self.is_group_taken());
    }

    /// What the counter was, if it was changed.
    fn change(&self, to: impl Fn(u8) -> Option<u8>) -> Result<u8, u8> {
        let count = self.count().ok_or(FULL)?;
        count.fetch_update(SeqCst, SeqCst, to)
    }

    /// A counter that is not there belongs to nobody.
    fn count(&self) -> Option<&AtomicU8> {
        self.roll.lines.get(self.line)?.get(self.at)
    }
}

/// Has a bit follow what it stands for, whatever other workers do with either meanwhile: whoever
/// writes it looks once more whether what it was written for still holds. Until then, for
/// nanoseconds, who has just entered where somebody else has left may be missed; TCP sends again.
fn follow(word: Option<&AtomicU64>, at: usize, is_set: impl Fn() -> bool) {
    let Some(word) = word else {
        return;
    };
    let bit = 1 << (at % 64);
    let mut set = is_set();
    loop {
        match set {
            true => word.fetch_or(bit, SeqCst),
            false => word.fetch_and(!bit, SeqCst),
        };
        let now = is_set();
        if now == set {
            return;
        }
        set = now;
    }
}

/// One that no gate sees.
impl Default for Roll {
    fn default() -> Self {
        Self::new(words::own(Self::words(64)), Places::random())
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
        let is_set = |word: usize, at: usize| {
            let word = roll.word(word).unwrap();
            word.load(SeqCst) >> at & 1 == 1
        };
        let front = |cell: &Cell<'_>| {
            let group = cell.line % 16 * 4 + cell.at / 16;
            is_set(64 + cell.line / 16, group)
        };
        let mut cells = roll.cells_of(tuple);
        cells.all(|cell| front(&cell) && is_set(cell.line, cell.at))
    }

    /// Bits of the front that are set, and groups in which a bit is.
    fn groups(roll: &Roll) -> [Vec<bool>; 2] {
        let words = (*roll.words).as_ref();
        let (lines, front) = words.split_at(64);
        let split = |words: &[AtomicU64], bits: usize| {
            let parts = |word: &AtomicU64| {
                let word = word.load(SeqCst);
                let part = move |n| word >> (n * bits) & (u64::MAX >> (64 - bits)) != 0;
                (0..64 / bits).map(part)
            };
            words.iter().flat_map(parts).collect()
        };
        [split(front, 1), split(lines, 16)]
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
        let [front, words] = groups(&roll);
        assert_eq!(front, words);
        (1..500).for_each(|port| roll.leave(&tuple(port)));
        (300..400).for_each(|port| roll.leave(&tuple(port)));
        let [front, words] = groups(&roll);
        assert_eq!(front, words);
        assert!(!front.contains(&true));
    }

    #[test]
    fn a_counter_that_is_full_stays_so() {
        let roll = Roll::default();
        (0..300).for_each(|_| roll.enter(&tuple(7)));
        (0..300).for_each(|_| roll.leave(&tuple(7)));
        assert!(roll.has(&tuple(7)));
    }
}
