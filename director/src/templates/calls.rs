//! The calls of services with the persistence engine sip: what stands for one in the table, and
//! what it is called in listings.
//!
//! A template knows a hash of its Call-ID. The Call-ID itself is kept beside the table, as long as
//! there is room; a call that finds none is followed as any other, and listed without its name. So
//! is one that was taken over from a former process, until its client speaks of it again.

use std::hash::Hasher;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::sip::Call;
use crate::wire::Tuple;

/// Memory for Call-IDs, in bytes, and what one takes beside its text.
const ROOM: usize = 16 << 20;
const OVERHEAD: usize = 96;
const SHARDS: usize = 64;

/// All calls that are remembered.
pub(super) struct Calls {
    key: [u64; 2],
    shards: [Mutex<Texts>; SHARDS],
}

#[derive(Default)]
struct Texts {
    // Calls are keyed hashes: nobody can aim at one place.
    by_call: FxHashMap<Call, Box<str>>,
    bytes: usize,
}

const fn cost(id: &str) -> usize {
    id.len() + OVERHEAD
}

impl Calls {
    /// None yet; hashed with `key`.
    pub(super) fn new(key: [u64; 2]) -> Self {
        Self {
            key,
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// What stands for a call that `client`, the template of its source, makes to its service.
    pub(super) fn call(&self, client: &Tuple, id: &str) -> Call {
        let [k0, k1] = self.key;
        let mut hasher = SipHasher13::new_with_keys(k0, k1);
        for end in [client.src, client.dst] {
            hasher.write(end.addr.octets());
            hasher.write_u16(end.port);
        }
        hasher.write_u8(client.protocol.number());
        hasher.write(id.as_bytes());
        Call(hasher.finish128().as_bytes())
    }

    /// Keeps the name of a call, if there is room.
    pub(super) fn note(&self, call: Call, id: &str) {
        let mut texts = self.shard(call).lock();
        if texts.bytes + cost(id) > ROOM / SHARDS || texts.by_call.contains_key(&call) {
            return;
        }
        texts.bytes += cost(id);
        texts.by_call.insert(call, id.into());
    }

    /// Forgets it, and says what it was.
    pub(super) fn forget(&self, call: Call) -> Option<Box<str>> {
        let mut texts = self.shard(call).lock();
        let id = texts.by_call.remove(&call)?;
        texts.bytes -= cost(&id);
        Some(id)
    }

    /// What a call is called.
    pub(super) fn id(&self, call: Call) -> Option<String> {
        let texts = self.shard(call).lock();
        texts.by_call.get(&call).map(|id| id.to_string())
    }

    fn shard(&self, Call(bytes): Call) -> &Mutex<Texts> {
        &self.shards[usize::from(bytes[0]) % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u32) -> Call {
        let mut bytes = [0; 16];
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        Call(bytes)
    }

    #[test]
    fn names_take_no_more_than_their_room() {
        let calls = Calls::new([1, 2]);
        let id = "a".repeat(255);
        let fit = (ROOM / SHARDS / cost(&id)) as u32;
        (0..fit + 10).for_each(|number| calls.note(call(number), &id));
        let known = |number| calls.id(call(number)).is_some();
        assert!(known(0) && known(fit - 1) && !known(fit));
        assert_eq!(calls.forget(call(0)).as_deref(), Some(&*id));
        assert_eq!(calls.forget(call(0)), None);
        calls.note(call(fit), &id);
        assert!(!known(0) && known(fit));
        (0..=fit).for_each(|number| drop(calls.forget(call(number))));
        assert_eq!(calls.shard(call(0)).lock().bytes, 0);
    }
}
