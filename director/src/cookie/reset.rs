//! Clients that show by a RST that they are there: for real servers that the director hears only one
//! half of, and that know no cookies.
//!
//! ```text
//!  client -- SYN, isn --------------------->   nothing is kept
//!         <- SYN+ACK of isn - 16 bits of MAC   no TCP that has sent a SYN takes this one
//!         -- RST with that very number ---->   kept, one word
//!         -- SYN, isn, again -------------->   the number was isn - MAC: forwarded as it is
//! ```
//!
//! RFC 9293 3.10.7.3 asks for that RST, and for the SYN to come again. The number lies below the
//! client's by no more than what connection tracking takes for late (`MAXACKWINDOW` of
//! `net/netfilter/nf_conntrack_proto_tcp.c`), so strict NAT lets both by.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use siphasher::sip::SipHasher13;

use super::{Mac, Recipe};
use crate::wire::tcp::Segment;
use crate::wire::{Endpoint, Tuple};

/// RSTs that are remembered; another one that falls on the same place takes it.
const PLACES: usize = 1 << 16;

/// What the RSTs of late have said, each a word: who it was, 32 bits of a hash, and the number.
pub struct Resets {
    places: Box<[AtomicU64]>,
    key: [u8; 16],
}

impl Resets {
    /// Remembers the number of a RST.
    pub fn note(&self, tuple: &Tuple, seq: u32) {
        let hash = self.hash(tuple);
        let word = hash >> 32 << 32 | u64::from(seq);
        self.place(hash).store(word, Relaxed);
    }

    /// The number of the last RST that is known.
    pub fn last(&self, tuple: &Tuple) -> Option<u32> {
        let hash = self.hash(tuple);
        let word = self.place(hash).load(Relaxed);
        (word >> 32 == hash >> 32).then_some(word as u32)
    }

    fn place(&self, hash: u64) -> &AtomicU64 {
        &self.places[hash as usize % PLACES]
    }

    fn hash(&self, tuple: &Tuple) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        for end in [tuple.src, tuple.dst] {
            hasher.write(end.addr.octets());
            hasher.write(&end.port.to_be_bytes());
        }
        hasher.finish()
    }
}

impl Default for Resets {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            key: rand::random(),
        }
    }
}

impl std::fmt::Debug for Resets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resets")
    }
}

impl Mac {
    /// What `isn` is acknowledged with, and reset by.
    const fn unacceptable(self, isn: u32) -> u32 {
        isn.wrapping_sub(self.low() as u32)
    }
}

impl Recipe {
    /// What the SYN of `client` is acknowledged with so that it resets that.
    pub(super) fn bait(&self, client: Endpoint, syn: &Segment) -> Option<u32> {
        let key = self.keys[usize::from(self.parity & 1)]?;
        let mac = key.mac(&self.visitor(client, syn.seq));
        Some(mac.unacceptable(syn.seq))
    }

    /// Whether a RST with the number `seq` shows that the client of this SYN is there.
    pub fn is_shown_by(&self, seq: u32, client: Endpoint, syn: &Segment) -> bool {
        let visitor = self.visitor(client, syn.seq);
        let mut keys = self.keys.iter().flatten();
        keys.any(|key| key.mac(&visitor).unacceptable(syn.seq) == seq)
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
        }
    }

    fn syn(seq: u32) -> Segment {
        Segment {
            seq,
            ..Segment::default()
        }
    }

    #[test]
    fn a_number_is_for_one_client_and_its_sequence_number_until_its_key_is_retired() {
        let mut recipe = recipe();
        let client = tuple(1000).src;
        for isn in [0, 70_000, u32::MAX] {
            let bait = recipe.bait(client, &syn(isn)).unwrap();
            assert!(isn.wrapping_sub(bait) <= 0xffff, "{isn} {bait}");
            assert!(recipe.is_shown_by(bait, client, &syn(isn)));
            let others =
                (1..=1000).filter(|n| recipe.is_shown_by(bait, client, &syn(isn.wrapping_add(*n))));
            assert!(others.count() <= 2);
            let others = (1..1000).map(|port| tuple(port).src);
            let others = others.filter(|other| recipe.is_shown_by(bait, *other, &syn(isn)));
            assert!(others.count() <= 2);
        }
        let bait = recipe.bait(client, &syn(7)).unwrap();
        recipe.parity = 1;
        assert!(recipe.is_shown_by(bait, client, &syn(7)), "the older key");
        recipe.keys[0] = None;
        assert!(!recipe.is_shown_by(bait, client, &syn(7)));
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
