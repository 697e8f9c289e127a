//! The fast path from above: what has to be looked at anew when routes and neighbours change, and
//! what the gate has forwarded.

use std::sync::Arc;
use std::time::Duration;

use adminapi::model;

use super::Director;
use crate::direction::Direction;
use crate::fast::{Fast, Moment};
use crate::flow::{Cursor, Entry};
use crate::gate::flows::Flows;
use crate::neighbour::{Fib, Neighbourhood};
use crate::time::{Tick, Ticks};

/// What is watched for the fast path.
pub(super) struct FastWatch {
    fib: Arc<Fib>,
    /// Of connections that the gate forwards, after a change of the timeouts.
    shortening: Option<Shortening>,
    renewal: Renewal,
}

/// How far the gate has been told again of connections after a change.
#[derive(Debug, Default)]
struct Renewal {
    /// Since when there was no other change when the last round began.
    of: Moment,
    /// Where that goes on, if it is not over.
    at: Option<Cursor>,
}

/// How long that may take at a time: it is done beside other things.
const RENEWAL: Duration = Duration::from_millis(20);

/// Looks for connections with an end from before a change of the timeouts: after one second, two
/// more, four more and so on, until none can be left.
#[derive(Clone, Copy, Debug)]
struct Shortening {
    /// Seconds since the change, and those at which to look next.
    past: u32,
    next: u32,
    /// Seconds after which all from before have ended.
    longest: u32,
}

impl Shortening {
    /// After a change of timeouts that were as long as `before`, and maybe amid another one: ends from
    /// before that may still be about.
    fn after(other: Option<&Self>, before: Ticks) -> Self {
        let left = other.map_or(0, |other| other.longest.saturating_sub(other.past));
        Self {
            past: 0,
            next: 1,
            longest: left.max(before.as_seconds_ceil()),
        }
    }

    /// A second has passed; whether it is time to look.
    const fn pass(&mut self) -> bool {
        self.past += 1;
        let is_due = self.past >= self.next;
        if is_due {
            self.next *= 2;
        }
        is_due
    }

    const fn is_over(&self) -> bool {
        self.past > self.longest
    }
}

impl Renewal {
    /// Where to go on. A change amid a round is followed by another one.
    fn next(&mut self, now: Moment) -> Option<Cursor> {
        if self.at.is_none() && self.of != now {
            *self = Self {
                of: now,
                at: Some(Cursor::default()),
            };
        }
        self.at
    }
}

impl FastWatch {
    pub(super) fn new(neighbourhood: &Neighbourhood) -> Self {
        Self {
            fib: neighbourhood.fib().load_full(),
            shortening: None,
            renewal: Renewal::default(),
        }
    }
}

impl Director {
    /// Keeps of the flows of a former director those whose connections were taken over.
    pub fn adopt_flows(&self) {
        let Some(fast) = &self.shared.fast else {
            return;
        };
        let table = &self.shared.table;
        fast.keep_only(|tuple| {
            let place = table.locate(Direction::Original, tuple);
            let shard = table.lock(&place);
            let found = shard.find(&place, |entry| entry.matches_original(tuple));
            found.is_some_and(|handle| shard.entry(handle).is_cached())
        });
    }

    /// Begins to enter flows: the gate is this director's now.
    pub fn begin_fast_path(&self) {
        if let Some(flows) = self.gate.former_flows() {
            self.call_in(flows);
        }
        if let Some(fast) = &self.shared.fast {
            fast.begin();
        }
    }

    /// Learns what another director's gate has seen, with whose flows this one does not go on: it has
    /// no fast path, or room for another number of them. A connection that a worker has taken up since
    /// that gate went has come further than it knew.
    fn call_in(&self, flows: Flows) {
        let former = Fast::new(flows, Arc::clone(&self.shared.timeouts));
        let table = &self.shared.table;
        for tuple in former.tuples() {
            let place = table.locate(Direction::Original, &tuple);
            let mut shard = table.lock(&place);
            let found = shard.find(&place, |entry| entry.matches_original(&tuple));
            let found = found.map(|handle| shard.entry_mut(handle));
            if let Some(entry) = found.filter(|entry| entry.is_cached()) {
                former.catch_up(entry);
                entry.set_cached(false);
            }
        }
    }

    /// Has the flows looked at anew whose next hop may be another by now. To be called often: until
    /// then they go the old way.
    pub fn follow_ways(&self) {
        let Some(fast) = &self.shared.fast else {
            return;
        };
        let fib = self.neighbourhood.fib().load_full();
        let mut watch = self.fast.lock();
        if Arc::ptr_eq(&fib, &watch.fib) {
            return;
        }
        let outdated = fib.outdated_since(&watch.fib);
        if !outdated.is_empty() {
            fast.renew_hops(|hop| outdated.has(hop));
        }
        watch.fib = fib;
    }

    /// Goes on telling the gate again of connections that it has forwarded before something changed, so
    /// that none of them needs a director for its next packet. To be called often.
    pub fn renew_flows(&self) {
        let Some(fast) = &self.shared.fast else {
            return;
        };
        let next = self.fast.lock().renewal.next(fast.moment());
        let Some(cursor) = next else {
            return;
        };
        let (ports, now) = (self.facts.interfaces.len() as u16, self.facts.clock.now());
        let at = self.shared.renew_flows(cursor, ports, now, RENEWAL);
        self.fast.lock().renewal.at = at;
    }

    /// Adds what the gate has forwarded to what real servers and services have carried.
    pub(super) fn collect(&self) {
        if let Some(fast) = &self.shared.fast {
            let pool = self.shared.pool.load();
            fast.collect(pool.reals().map(|real| &**real));
        }
    }

    /// Timeouts are about to change: writes down when cached connections die by those of before. As
    /// in the kernel, that is so until their next packet.
    pub(super) fn keep_ends(&self) {
        if let Some(fast) = &self.shared.fast {
            let table = &self.shared.table;
            table.retime_established(|entry| {
                entry.is_cached().then(|| fast.take_deadline(entry))?
            });
        }
    }

    /// Timeouts have changed that were as long as `before`: has cached connections live no longer
    /// than those of now say, from the next packet on that the gate forwards of each.
    pub(super) fn shorten_cached(&self, before: Ticks) {
        let shortening = &mut self.fast.lock().shortening;
        *shortening = Some(Shortening::after(shortening.as_ref(), before));
    }

    /// Looks for connections whose first packet since then the gate has forwarded. To be called once a
    /// second.
    pub fn keep_shortening(&self) {
        let is_due = {
            let shortening = &mut self.fast.lock().shortening;
            let is_due = shortening.as_mut().is_some_and(Shortening::pass);
            *shortening = shortening.take().filter(|it| !it.is_over());
            is_due
        };
        if let (true, Some(fast)) = (is_due, &self.shared.fast) {
            let table = &self.shared.table;
            table.hasten_established(|entry| entry.is_cached().then(|| fast.deadline(entry))?);
        }
    }

    pub(super) fn fast_path_use(&self) -> Option<model::FastPathUse> {
        let fast = self.shared.fast.as_ref()?;
        let (flows, limit) = fast.usage();
        Some(model::FastPathUse {
            flows: flows.into(),
            limit: limit.into(),
            refused: fast.refused(),
            bytes: fast.footprint() as u64,
        })
    }

    /// What the gate has forwarded of a connection; none while it forwards nothing of it.
    pub(super) fn forwarded(&self, entry: &Entry) -> Option<model::Forwarded> {
        let fast = self.shared.fast.as_ref().filter(|_| entry.is_cached())?;
        let [there, back] = fast.counts(entry)?;
        Some(model::Forwarded {
            in_packets: there.packets,
            out_packets: back.packets,
            in_bytes: there.bytes,
            out_bytes: back.bytes,
        })
    }

    /// When a connection dies unless another packet comes.
    pub(super) fn expiry(&self, entry: &Entry) -> Tick {
        self.shared.table.expiry(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_amid_another_one_waits_for_the_ends_of_both() {
        let mut first = Shortening::after(None, Ticks::seconds(900));
        let looks = (1..=10).filter(|_| first.pass()).count();
        assert_eq!(looks, 4);
        let second = Shortening::after(Some(&first), Ticks::seconds(300));
        assert_eq!((second.next, second.longest), (1, 890));
        assert_eq!(
            Shortening::after(Some(&second), Ticks::seconds(950)).longest,
            950
        );
    }

    #[test]
    fn a_change_amid_a_round_is_followed_by_another_round() {
        let mut renewal = Renewal::default();
        let changes: [Moment; 3] = std::array::from_fn(|n| Moment::of(n as u32));
        let (beginning, amid) = (Some(Cursor::default()), Some(Cursor::from_bits(7)));
        assert_eq!(renewal.next(changes[0]), None, "nothing has changed");
        assert_eq!(renewal.next(changes[1]), beginning);
        renewal.at = amid;
        assert_eq!(renewal.next(changes[2]), amid);
        renewal.at = None;
        assert_eq!(renewal.next(changes[2]), beginning);
        renewal.at = None;
        assert_eq!(renewal.next(changes[2]), None);
    }
}
