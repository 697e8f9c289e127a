//! The table of endpoints, in memory that the gate reads (`bpf/endpoints.h`).
//!
//! ```text
//!  places     hash of an endpoint -> number of its standing     rows of eight, two for each
//!  standings  by number
//! ```
//!
//! The gate may read at any moment. So a standing in use never changes: another one is written, and its
//! place in the row is what says which holds. Numbers that are given back rest until many others have been.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};

/// Places of a row (`ROW`).
const ROW: usize = 8;
/// `ROW_BITS`.
const ROW_BITS: u32 = 15;
/// `NUMBER_BITS`.
const NUMBER_BITS: u32 = 18;
/// The numbers there are (`STANDINGS`), of which 0 is none.
const NUMBERS: u32 = 1 << 17;
/// A place that is free where the row may not look empty: it has no number.
const VACANT: u64 = 1 << NUMBER_BITS;
/// Numbers that rest.
const RESTING: usize = 1024;
/// Endpoints at most: the others of the numbers are for standings that take the place of one.
const MOST: usize = NUMBERS as usize - 1 - RESTING;

/// Words of a standing.
const WORDS: usize = 9;
/// Words of all rows.
const PLACES_WORDS: usize = ROW << ROW_BITS;
/// Words of all standings.
const STANDINGS_WORDS: usize = NUMBERS as usize * WORDS;

/// Memory that the gate reads.
type Memory = Box<dyn AsRef<[AtomicU64]> + Send + Sync>;

/// `struct endpoint`.
pub(super) type Name = [u8; 20];

/// What `struct standing` has after the endpoint.
pub(super) type Says = [u8; WORDS * 8 - size_of::<Name>()];

/// Neither of its rows has room for an endpoint, or there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Who is in the table.
pub(super) struct Standings {
    places: Memory,
    standings: Memory,
    /// The first number that was never given out.
    fresh: u32,
    given_back: VecDeque<u32>,
    count: usize,
}

impl Standings {
    /// An empty one, in memory of zeroes.
    pub(super) fn new(places: Memory, standings: Memory) -> Self {
        debug_assert_eq!((*places).as_ref().len(), PLACES_WORDS);
        debug_assert_eq!((*standings).as_ref().len(), STANDINGS_WORDS);
        Self {
            places,
            standings,
            fresh: 1,
            given_back: VecDeque::new(),
            count: 0,
        }
    }

    /// What is said of an endpoint.
    pub(super) fn get(&self, name: &Name) -> Option<Says> {
        let (_, number) = self.find(name)?;
        Some(self.read(number).1)
    }

    /// Says something of an endpoint, in the place of what was said.
    pub(super) fn put(&mut self, name: &Name, says: &Says) -> Result<(), Full> {
        let found = self.find(name);
        let place = match found {
            Some((place, _)) => place,
            None => self.free_place(name)?,
        };
        let number = self.take_number().ok_or(Full)?;
        self.write(number, name, says);
        self.places()[place].store(tag(hash_of(name)) | u64::from(number), Release);
        match found {
            Some((_, former)) => self.given_back.push_back(former),
            None => self.count += 1,
        }
        Ok(())
    }

    /// Takes an endpoint out.
    pub(super) fn remove(&mut self, name: &Name) {
        let Some((place, number)) = self.find(name) else {
            return;
        };
        let row = &self.places()[place - place % ROW..][..ROW];
        let others = row.iter().enumerate().skip(1);
        let has_others = others
            .filter(|(n, _)| *n != place % ROW)
            .any(|(_, place)| place.load(Relaxed) != 0);
        // The gate looks no further where a row begins with nothing.
        let is_first = place % ROW == 0;
        row[place % ROW].store(if is_first && has_others { VACANT } else { 0 }, Release);
        if !has_others && row[0].load(Relaxed) == VACANT {
            row[0].store(0, Release);
        }
        self.given_back.push_back(number);
        self.count -= 1;
    }

    /// Its place, and its number.
    fn find(&self, name: &Name) -> Option<(usize, u32)> {
        let hash = hash_of(name);
        let mut places = rows_of(hash).into_iter().flat_map(|row| row..row + ROW);
        places.find_map(|place| {
            let word = self.places()[place].load(Relaxed);
            let number = number_in(word);
            let is_its = number > 0 && tag(word) == tag(hash) && self.read(number).0 == *name;
            is_its.then_some((place, number))
        })
    }

    /// A place for an endpoint that is not there, in the row that has more of them, or else in that which
    /// the gate looks at first. None beside one that has the same hash, as it looks at one of each only.
    fn free_place(&self, name: &Name) -> Result<usize, Full> {
        if self.count == MOST {
            return Err(Full);
        }
        let hash = hash_of(name);
        let load = |place: usize| self.places()[place].load(Relaxed);
        let rows = rows_of(hash).map(|row| row..row + ROW);
        let taken = rows.iter().cloned().flatten().map(load);
        if taken
            .into_iter()
            .any(|word| number_in(word) > 0 && tag(word) == tag(hash))
        {
            return Err(Full);
        }
        let is_free = |place: &usize| matches!(load(*place), 0 | VACANT);
        let free = rows.map(|row| row.filter(is_free).collect::<Vec<_>>());
        let roomier = free
            .into_iter()
            .rev()
            .max_by_key(Vec::len)
            .unwrap_or_default();
        roomier.first().copied().ok_or(Full)
    }

    fn take_number(&mut self) -> Option<u32> {
        if self.given_back.len() > RESTING || self.fresh == NUMBERS {
            return self.given_back.pop_front();
        }
        self.fresh += 1;
        Some(self.fresh - 1)
    }

    fn read(&self, number: u32) -> (Name, Says) {
        let mut bytes = [0; WORDS * 8];
        for (to, word) in bytes.chunks_exact_mut(8).zip(self.standing(number)) {
            to.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        let (name, says) = bytes.split_at(size_of::<Name>());
        let mut split = ([0; size_of::<Name>()], [0; size_of::<Says>()]);
        split.0.copy_from_slice(name);
        split.1.copy_from_slice(says);
        split
    }

    fn write(&self, number: u32, name: &Name, says: &Says) {
        let mut bytes = [0; WORDS * 8];
        bytes[..name.len()].copy_from_slice(name);
        bytes[name.len()..].copy_from_slice(says);
        for (word, from) in self.standing(number).iter().zip(bytes.chunks_exact(8)) {
            let mut of_word = [0; 8];
            of_word.copy_from_slice(from);
            word.store(u64::from_ne_bytes(of_word), Relaxed);
        }
    }

    fn standing(&self, number: u32) -> &[AtomicU64] {
        &(*self.standings).as_ref()[number as usize * WORDS..][..WORDS]
    }

    fn places(&self) -> &[AtomicU64] {
        (*self.places).as_ref()
    }
}

impl std::fmt::Debug for Standings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Standings")
    }
}

/// `hash_of_endpoint`.
fn hash_of(name: &Name) -> u64 {
    const KEYS: [u64; 5] = [
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
        0xd6e8_feb8_6659_fd93,
        0xa076_1d64_78bd_642f,
        0xe703_7ed1_a0b4_28db,
    ];
    let words = name.chunks_exact(4);
    let words = words.map(|word| {
        word.first_chunk()
            .map_or(0, |word| u32::from_ne_bytes(*word))
    });
    let sum = words.zip(KEYS).fold(0u64, |sum, (word, key)| {
        sum.wrapping_add(u64::from(word).wrapping_mul(key))
    });
    (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Where the rows of a hash begin.
const fn rows_of(hash: u64) -> [usize; 2] {
    const MASK: u64 = (1 << ROW_BITS) - 1;
    let first = hash >> (u64::BITS - ROW_BITS);
    let second = hash >> (u64::BITS - 2 * ROW_BITS) & MASK;
    [first as usize * ROW, second as usize * ROW]
}

const fn tag(word: u64) -> u64 {
    word >> NUMBER_BITS << NUMBER_BITS
}

const fn number_in(place: u64) -> u32 {
    place as u32 & ((1 << NUMBER_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn memory(words: usize) -> Memory {
        struct Own(Vec<AtomicU64>);
        impl AsRef<[AtomicU64]> for Own {
            fn as_ref(&self) -> &[AtomicU64] {
                &self.0
            }
        }
        Box::new(Own((0..words).map(|_| AtomicU64::new(0)).collect()))
    }

    fn table() -> Standings {
        Standings::new(memory(PLACES_WORDS), memory(STANDINGS_WORDS))
    }

    /// Port `port` of 10.0.x.y, as an operator would number hosts.
    fn name(host: u32, port: u16) -> Name {
        let mut name = [0; 20];
        name[10..12].fill(0xff);
        name[12..16].copy_from_slice(&(0x0a00_0000 + host).to_be_bytes());
        name[16..18].copy_from_slice(&port.to_be_bytes());
        name[18] = 6;
        name
    }

    fn says(what: u8) -> Says {
        [what; 52]
    }

    #[test]
    fn what_was_said_last_holds() {
        let mut table = table();
        let mut known: HashMap<Name, Says> = HashMap::new();
        let mut random = 1u32;
        for _ in 0..200_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (host, what) = (random >> 20, (random >> 8) as u8);
            let name = name(host % 3000, 80);
            match what {
                0..100 => {
                    table.remove(&name);
                    known.remove(&name);
                }
                what => {
                    table.put(&name, &says(what)).unwrap();
                    known.insert(name, says(what));
                }
            }
            assert_eq!(table.get(&name), known.get(&name).copied());
        }
        for host in 0..3000 {
            let name = name(host, 80);
            assert_eq!(table.get(&name), known.get(&name).copied());
            table.remove(&name);
        }
        assert!(table.places().iter().all(|place| place.load(Relaxed) == 0));
    }

    #[test]
    fn there_is_room_for_as_many_as_are_promised() {
        let mut table = table();
        let all = || (0..MOST as u32).map(|n| name(n % 1000, (n / 1000) as u16 + 1));
        for name in all() {
            table.put(&name, &says(1)).unwrap();
        }
        assert_eq!(table.put(&name(2000, 1), &says(1)), Err(Full));
        assert_eq!(table.get(&name(2000, 1)), None);
        table.put(&name(1, 1), &says(1)).unwrap();
        assert!(all().all(|name| table.get(&name) == Some(says(1))));
        table.remove(&name(1, 1));
        table.put(&name(2000, 1), &says(2)).unwrap();
        assert_eq!(table.get(&name(2000, 1)), Some(says(2)));
    }

    #[test]
    fn who_is_alone_stands_where_the_gate_looks_first() {
        for port in 1..100 {
            let mut table = table();
            let name = name(1, port);
            table.put(&name, &says(1)).unwrap();
            let found = table.find(&name);
            assert_eq!(
                found.map(|(place, _)| place),
                Some(rows_of(hash_of(&name))[0])
            );
        }
    }

    #[test]
    fn a_standing_in_use_never_changes() {
        let mut table = table();
        table.put(&name(1, 80), &says(1)).unwrap();
        let (_, number) = table.find(&name(1, 80)).unwrap();
        for what in 0..=255 {
            table.put(&name(1, 80), &says(what)).unwrap();
            table.put(&name(2, 80), &says(what)).unwrap();
        }
        assert_eq!(table.read(number), (name(1, 80), says(1)));
    }
}
