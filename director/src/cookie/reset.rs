//! Clients that show by a RST that they are there: for real servers that the director hears only one
//! half of, and that know no cookies. The gate does it (`bpf/cookie/reset.h`); what it leaves to the
//! workers they do in the same way, with the same memory.
//!
//! ```text
//!  client -- SYN, isn --------------------->   nothing is kept
//!         <- SYN+ACK of a number below isn -   no TCP that has sent a SYN takes this one
//!         -- RST with that very number ---->   kept, one word
//!         -- SYN, isn, again -------------->   forwarded as it is
//! ```
//!
//! RFC 9293 3.10.7.3 asks for that RST, and for the SYN to come again. The number lies below the
//! client's by no more than what connection tracking takes for late (`MAXACKWINDOW` of
//! `net/netfilter/nf_conntrack_proto_tcp.c`), so strict NAT lets both by. Its lower half says whose
//! it is, so that a RST that nobody was asked for is not kept:
//!
//! ```text
//!  the largest that is not above isn and ends in   15 MAC | 1 key
//! ```

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::place::Places;
use super::words::{self, Words};
use super::{Mac, Recipe};
use crate::wire::{Endpoint, Tuple};

/// How far a number lies below the client's own at most.
const NEAR: u32 = 0xffff;

/// What the RSTs of late have said, each a word: who it was, 32 bits of a hash, and the number.
pub struct Resets {
    words: Words,
    places: Places,
}

impl Resets {
    /// RSTs that are remembered (`RESETS_KEPT`); another one that falls on the same place takes it.
    pub const KEPT: usize = 1 << 16;

    /// Those in `words`.
    pub const fn new(words: Words, places: Places) -> Self {
        Self { words, places }
    }

    /// Remembers the number of a RST.
    pub fn note(&self, tuple: &Tuple, seq: u32) {
        let place = self.places.of(tuple);
        if let Some(word) = self.word(place) {
            word.store(place >> 32 << 32 | u64::from(seq), Relaxed);
        }
    }

    /// The number of the last RST that is known.
    pub fn last(&self, tuple: &Tuple) -> Option<u32> {
        let place = self.places.of(tuple);
        let word = self.word(place)?.load(Relaxed);
        (word >> 32 == place >> 32).then_some(word as u32)
    }

    fn word(&self, place: u64) -> Option<&AtomicU64> {
        let words = (*self.words).as_ref();
        words.get(place as usize % Self::KEPT)
    }
}

/// Those of this process alone, for a director without a gate.
impl Default for Resets {
    fn default() -> Self {
        Self::new(words::own(Self::KEPT), Places::random())
    }
}

impl std::fmt::Debug for Resets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resets")
    }
}

impl Mac {
    /// How a number ends that was given by the key of `parity`.
    const fn ending(self, parity: u8) -> u16 {
        self.low() & !1 | (parity & 1) as u16
    }
}

impl Recipe {
    /// What the SYN `isn` of `client` is acknowledged with so that it resets that.
    pub(super) fn bait(&self, client: Endpoint, isn: u32) -> Option<u32> {
        let ending = self.ending(client, self.parity)?;
        Some(isn.wrapping_sub((isn as u16).wrapping_sub(ending).into()))
    }

    /// Whether `client` was given this number to reset, by a key that is still good.
    pub fn is_bait(&self, number: u32, client: Endpoint) -> bool {
        self.ending(client, number as u8) == Some(number as u16)
    }

    /// Whether a RST with this number shows that the client is there that says `isn`.
    pub fn is_shown_by(&self, number: u32, client: Endpoint, isn: u32) -> bool {
        isn.wrapping_sub(number) <= NEAR && self.is_bait(number, client)
    }

    fn ending(&self, client: Endpoint, parity: u8) -> Option<u16> {
        let key = self.keys[usize::from(parity & 1)]?;
        Some(key.mac(&self.visitor(client, 0)).ending(parity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::{Abilities, Key};
    use crate::wire::{Addr, Protocol};

    fn tuple(port: u16) -> Tuple {
        Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(Addr::v4([10, 0, 0, 1]), port),
            dst: Endpoint::new(Addr::v4([10, 9, 9, 9]), 80),
        }
    }

    fn recipe() -> Recipe {
        Recipe {
            slot: 0,
            service: 1,
            keys: [Some(Key([1; 16])), Some(Key([2; 16]))],
            parity: 0,
            mints: false,
            resets: true,
            mss: 1460,
            abilities: Abilities::ALL,
            lenient: false,
            splices: false,
            shared: false,
        }
    }

    #[test]
    fn a_number_is_for_one_client_and_its_sequence_number_until_its_key_is_retired() {
        let mut recipe = recipe();
        let client = tuple(1000).src;
        for isn in [0, 70_000, u32::MAX] {
            let bait = recipe.bait(client, isn).unwrap();
            assert!(recipe.is_bait(bait, client));
            assert!(recipe.is_shown_by(bait, client, isn), "{isn} {bait}");
            let other = bait.wrapping_add(NEAR + 1);
            assert!(recipe.is_bait(other, client));
            assert!(!recipe.is_shown_by(other, client, isn), "{isn} {bait}");
            let others = (1..=NEAR).filter(|n| recipe.is_bait(bait.wrapping_add(*n), client));
            assert_eq!(others.count(), 1, "the one of the other key");
            let others = (1..1000).map(|port| tuple(port).src);
            assert!(others.filter(|other| recipe.is_bait(bait, *other)).count() <= 2);
        }
        let bait = recipe.bait(client, 7).unwrap();
        recipe.parity = 1;
        assert_ne!(recipe.bait(client, 7), Some(bait));
        assert!(recipe.is_shown_by(bait, client, 7), "the older key");
        recipe.keys[0] = None;
        assert!(!recipe.is_shown_by(bait, client, 7));
    }

    #[test]
    fn who_has_reset_is_known_and_others_are_not_and_none_takes_more_room() {
        let resets = Resets::default();
        resets.note(&tuple(1), 5);
        resets.note(&tuple(1), 6);
        assert_eq!(resets.last(&tuple(1)), Some(6));
        assert_eq!(resets.last(&tuple(2)), None);
        (0..=u16::MAX).for_each(|port| resets.note(&tuple(port), u32::from(port)));
        let kept = (0..=u16::MAX).filter(|port| resets.last(&tuple(*port)).is_some());
        let kept = kept.count();
        // As many places as have been hit: 1 - 1/e of them.
        assert!((40_000..43_000).contains(&kept), "{kept}");
    }
}
