//! The hash of a tuple as `bpf/fast/find.h` computes it.

use std::sync::atomic::Ordering::Relaxed;

use crate::gate::flows::{HASH_KEYS, Head};
use crate::wire::{Addr, Tuple};

/// What tuples are hashed under, drawn at each start.
#[derive(Debug)]
pub(super) struct Keys([u64; HASH_KEYS]);

impl Keys {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    /// Those of a former director.
    pub(super) fn told(head: &Head) -> Self {
        Self(head.keys.each_ref().map(|key| key.load(Relaxed)))
    }

    pub(super) fn tell(&self, head: &Head) {
        for (cell, key) in head.keys.iter().zip(self.0) {
            cell.store(key, Relaxed);
        }
    }

    /// Words are taken as they stand in the packet, whatever number that is here.
    pub(super) fn hash(&self, tuple: &Tuple) -> u32 {
        let [constant, keys @ ..] = &self.0;
        let words = words(tuple.src.addr)
            .into_iter()
            .chain(words(tuple.dst.addr))
            .chain([ports(tuple), u32::from(tuple.protocol.number())]);
        let unused = match tuple.dst.addr.is_v4() {
            true => [0, 1, 2, 4, 5, 6].as_slice(),
            false => &[],
        };
        let sum = words.zip(keys).enumerate();
        let sum = sum
            .filter(|(n, _)| !unused.contains(n))
            .fold(*constant, |sum, (_, (word, key))| {
                sum.wrapping_add(key.wrapping_mul(word.into()))
            });
        (sum >> 32) as u32
    }
}

/// An address as the gate holds it.
pub(super) fn words(addr: Addr) -> [u32; 4] {
    addr.words().map(u32::to_be)
}

fn ports(tuple: &Tuple) -> u32 {
    let ([a, b], [c, d]) = (tuple.src.port.to_be_bytes(), tuple.dst.port.to_be_bytes());
    u32::from_ne_bytes([a, b, c, d])
}
