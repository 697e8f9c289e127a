//! Where a tuple from a client belongs, as `place_of` of `bpf/roll.h` computes it.

use crate::wire::Tuple;

/// `ROLL_KEYS`.
const KEYS: usize = 7;

/// Places under keys that are drawn at each start, so that nobody outside can aim at one. The hash is
/// multilinear (D. Lemire and O. Kaser, "Strongly universal string hashing is fast"): it costs a
/// multiplication a word.
#[derive(Clone, Copy)]
pub struct Places([u64; KEYS]);

impl Places {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    /// The keys, for the gate.
    pub(crate) const fn keys(&self) -> [u64; KEYS] {
        self.0
    }

    pub(super) fn of(&self, tuple: &Tuple) -> u64 {
        let Tuple { src, dst, .. } = tuple;
        let client = src.addr.raw_words();
        let port = |port: u16| u32::from(port.to_be());
        let ports = port(dst.port) << 16 | port(src.port);
        let [constant, wide @ .., last, of_vip, of_ports] = &self.0;
        let mut sum = *constant;
        let mut add = |key: &u64, word: u32| sum = sum.wrapping_add(key.wrapping_mul(word.into()));
        add(last, client[3]);
        add(of_vip, dst.addr.folded());
        add(of_ports, ports);
        if !src.addr.is_v4() {
            let pairs = wide.iter().zip(client);
            pairs.for_each(|(key, word)| add(key, word));
        }
        stirred(sum)
    }
}

/// Of a multilinear sum the upper half is good; all of a place is used.
const fn stirred(sum: u64) -> u64 {
    let product = (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}

/// The keys are nobody's business.
impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Places")
    }
}
