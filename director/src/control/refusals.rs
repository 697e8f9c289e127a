//! Clients whose datagrams the filters refuse by now, and whose flows the gate has: it comes to flows
//! before it comes to filters, so they are taken off the fast path, where the filters meet them.
//!
//! Who answers datagrams has not been asked whether he wants them, and whoever sends them may not be
//! who he says: so a list that opens no connections ends those of UDP, and leaves those of TCP.

use std::time::Duration;

use super::Director;
use crate::flow::{Cursor, Entry};
use crate::time::{Tick, Ticks};
use crate::wire::Protocol;

/// How long flows are looked through at a time: it is done beside other things.
const PATIENCE: Duration = Duration::from_millis(20);

/// By then workers have nothing left of what the gate has given them before a change.
const LATE: Ticks = Ticks::seconds(1);

/// How far flows have been looked through since the filters have changed.
#[derive(Debug, Default)]
pub(super) struct Inspection {
    /// The filters' version when the last round began.
    of: u64,
    /// Where that goes on, if it is not over.
    at: Option<Cursor>,
    /// When there is another one: what workers had at the change may have entered flows again.
    again: Option<Tick>,
}

impl Inspection {
    /// Where to go on at `now` when the filters have this version.
    fn next(&mut self, version: u64, now: Tick) -> Option<Cursor> {
        if self.at.is_none() && self.of != version {
            (self.of, self.again) = (version, Some(now.after(LATE)));
            self.at = Some(Cursor::default());
        } else if self.at.is_none() && self.again.is_some_and(|again| again <= now) {
            self.again = None;
            self.at = Some(Cursor::default());
        }
        self.at
    }
}

impl Director {
    /// Goes on taking clients off the fast path whose datagrams the filters refuse, after a change of
    /// those. To be called often.
    pub fn withhold_refused(&self) {
        let Some(fast) = &self.shared.fast else {
            return;
        };
        let filters = self.filters.lock();
        let mut inspection = self.inspection.lock();
        let next = inspection.next(filters.version(), self.facts.clock.now());
        let Some(cursor) = next else {
            return;
        };
        let pool = self.shared.pool.load();
        let is_refused = |entry: &Entry| {
            let client = entry.client().addr;
            filters.refuses_datagrams(client) && !pool.address_answers(client)
        };
        inspection.at = self.shared.table.browse(cursor, PATIENCE, |entry| {
            let is_ours = entry.is_cached() && entry.protocol() == Protocol::Udp;
            if is_ours && is_refused(entry) {
                fast.withhold(entry);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_has_a_round_and_a_late_one() {
        let mut inspection = Inspection::default();
        let (start, amid) = (Some(Cursor::default()), Some(Cursor::from_bits(7)));
        let mut next = |version, tick, at| {
            let next = inspection.next(version, Tick(tick));
            inspection.at = at;
            next
        };
        assert_eq!(next(0, 100, None), None, "nothing has changed");
        assert_eq!(next(1, 100, amid), start);
        assert_eq!(next(2, 101, None), amid, "a change amid a round");
        assert_eq!(next(2, 102, None), start, "is followed by another one");
        assert_eq!(next(2, 103, None), None);
        assert_eq!(next(2, 111, None), None);
        assert_eq!(next(2, 112, None), start, "what came late");
        assert_eq!(next(2, 200, None), None);
    }
}
