//! What the gate has seen of a connection, and the director brings it after.

use std::sync::atomic::Ordering::Relaxed;

use super::Fast;
use super::bounds::{Count, count_of, last_seen, raise, said_in};
use crate::direction::Direction;
use crate::flow::{Entry, Tracked};
use crate::tcp::{State, Timeouts};
use crate::time::{Tick, Ticks};

impl Fast {
    /// Takes what a packet that the gate has not seen has moved to the gate.
    pub fn raise(&self, entry: &Entry) {
        if let Some(flow) = self.flow_of(entry) {
            raise(flow, entry);
        }
    }

    /// Brings a connection after what the gate has seen of it; false when the gate does not know it.
    pub fn catch_up(&self, entry: &mut Entry) -> bool {
        let Some(flow) = self.flow_of(entry) else {
            return false;
        };
        let is_one_way = entry.is_one_way();
        let sides = [Direction::Original, Direction::Reply].map(|way| (way, entry.side(way)));
        if let Tracked::Tcp(tcp) = &mut entry.tracked {
            for (way, side) in sides {
                let said = said_in(&flow.courses[way as usize]);
                tcp.catch_up(side, &said, is_one_way);
                if is_one_way {
                    break;
                }
            }
        }
        true
    }

    /// When a cached connection dies by the timeouts of now, if the gate has seen a packet of it since
    /// a worker has.
    pub fn deadline(&self, entry: &Entry) -> Option<Tick> {
        let flow = self.flow_of(entry)?;
        match last_seen(flow, entry.is_one_way()) {
            Tick(0) => None,
            seen => {
                let life = lifetime(entry, &self.timeouts.load());
                Some(self.pause.latest(seen).after(life))
            }
        }
    }

    /// The same, for a caller that writes it down: only what the gate sees from now on is newer.
    pub fn take_deadline(&self, entry: &Entry) -> Option<Tick> {
        let deadline = self.deadline(entry)?;
        for course in &self.flow_of(entry)?.courses {
            course.seen.store(0, Relaxed);
        }
        Some(deadline)
    }

    /// What the gate has forwarded of a cached connection since it was entered, by direction.
    pub fn counts(&self, entry: &Entry) -> Option<[Count; 2]> {
        Some(self.flow_of(entry)?.courses.each_ref().map(count_of))
    }
}

/// How long a cached connection lives from its last packet on.
pub fn lifetime(entry: &Entry, timeouts: &Timeouts) -> Ticks {
    match &entry.tracked {
        Tracked::Udp | Tracked::Call(_) => timeouts.udp(),
        _ => timeouts.tcp(State::Established),
    }
}
