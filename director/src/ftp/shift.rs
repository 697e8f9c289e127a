//! How far the numbers of a control connection are shifted: a reply that gets longer or shorter on
//! its way moves all that the real server says after it (`struct ip_vs_seq` of IPVS).

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::time::{Tick, Ticks};
use crate::wire::Tuple;

/// The most connections that are shifted at once; replies of further ones stay as they are.
const MOST: usize = 8192;

/// What the client gets to see of the real server's sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// The real server's number of the reply that was changed last.
    pub at: u32,
    /// The port that this one names now.
    pub said: u16,
    /// How far numbers up to it are shifted.
    before: u32,
    /// How far those behind it are.
    after: u32,
}

impl Shift {
    /// The same, after the reply at `at` has been made to name the port `said` and has grown by so
    /// many bytes.
    #[must_use]
    pub const fn grown(self, at: u32, said: u16, by: i32) -> Self {
        Self {
            at,
            said,
            before: self.after,
            after: self.after.wrapping_add_signed(by),
        }
    }

    /// Whether a segment with this number comes after the reply that was changed last.
    pub const fn is_passed_by(&self, seq: u32) -> bool {
        is_after(seq, self.at)
    }

    /// What the client gets to see for a number of the real server.
    pub const fn told(&self, seq: u32) -> u32 {
        match is_after(seq, self.at) {
            true => seq.wrapping_add(self.after),
            false => seq.wrapping_add(self.before),
        }
    }

    /// What the client means by a number that it has been told: of the changed reply, no less than
    /// its beginning.
    pub const fn meant(&self, ack: u32) -> u32 {
        if !is_after(ack, self.at.wrapping_add(self.before)) {
            return ack.wrapping_sub(self.before);
        }
        let meant = ack.wrapping_sub(self.after);
        if is_after(self.at, meant) {
            self.at
        } else {
            meant
        }
    }
}

const fn is_after(number: u32, other: u32) -> bool {
    (other.wrapping_sub(number) as i32) < 0
}

/// The shifts of all connections, by their tuples as clients have them.
#[derive(Debug, Default)]
pub struct Shifts(Mutex<HashMap<Tuple, (Shift, Tick)>>);

impl Shifts {
    /// That of a connection which lives until `until`.
    pub fn of(&self, connection: &Tuple, until: Tick) -> Option<Shift> {
        let mut all = self.0.lock();
        let (shift, expires) = all.get_mut(connection)?;
        *expires = until;
        Some(*shift)
    }

    /// Keeps that of a connection which lives until `until`. False when there is no room.
    pub fn keep(&self, connection: Tuple, shift: Shift, until: Tick, now: Tick) -> bool {
        let mut all = self.0.lock();
        if all.len() >= MOST {
            all.retain(|_, (_, until)| now.until(*until) > Ticks(0));
        }
        if all.len() >= MOST && !all.contains_key(&connection) {
            return false;
        }
        all.insert(connection, (shift, until));
        true
    }

    /// Forgets that of an earlier connection of this tuple.
    pub fn forget(&self, connection: &Tuple) {
        self.0.lock().remove(connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Addr, Endpoint, Protocol};
    use proptest::prelude::*;

    proptest! {
        /// A real server says lines, some of which get another length; the client acknowledges the
        /// ends of those that it has got.
        #[test]
        fn what_is_told_is_what_was_meant(
            start: u32,
            lines in prop::collection::vec((1u32..200, prop::option::of(-20i32..20)), 1..20),
        ) {
            let mut shift = Shift::default().grown(start.wrapping_sub(1), 0, 0);
            let (mut seq, mut told) = (start, start);
            for (length, growth) in lines {
                prop_assert_eq!(shift.told(seq), told);
                prop_assert_eq!(shift.meant(told), seq);
                let growth = growth.unwrap_or(0).max(1 - length as i32);
                if growth != 0 {
                    shift = shift.grown(seq, 61_000, growth);
                    prop_assert_eq!(shift.told(seq), told, "it begins where it did");
                    prop_assert_eq!(shift.meant(told), seq);
                    for part in 1..length.wrapping_add_signed(growth) {
                        let meant = shift.meant(told.wrapping_add(part)).wrapping_sub(seq);
                        prop_assert!(meant <= length, "a part of it");
                    }
                }
                seq = seq.wrapping_add(length);
                told = told.wrapping_add(length).wrapping_add_signed(growth);
            }
            prop_assert_eq!(shift.told(seq), told);
            prop_assert_eq!(shift.meant(told), seq);
        }
    }

    fn connection(n: u32) -> Tuple {
        Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(Addr::v4(n.to_be_bytes()), 40_000),
            dst: Endpoint::new(Addr::v4([10, 9, 9, 9]), 21),
        }
    }

    #[test]
    fn there_is_room_for_so_many_and_the_dead_make_it() {
        let all = Shifts::default();
        let shift = Shift::default().grown(1, 61_000, 5);
        let keep = |n, until, now| all.keep(connection(n), shift, Tick(until), Tick(now));
        assert!((0..MOST as u32).all(|n| keep(n, 10, 0)));
        assert!(!keep(1 << 20, 10, 0));
        assert!(keep(7, 20, 0), "it is there already");
        assert!(keep(1 << 20, 20, 10));
        assert_eq!(all.of(&connection(7), Tick(30)), Some(shift));
        assert_eq!(all.of(&connection(8), Tick(30)), None);
        all.forget(&connection(7));
        assert_eq!(all.of(&connection(7), Tick(30)), None);
    }
}
