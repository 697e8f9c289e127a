//! A connection that somebody else follows for a while, as long as nothing but data passes.

use super::Tracking;
use crate::direction::Direction;

/// What one end has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Sequence number after the highest one sent.
    pub end: u32,
    /// Highest acknowledgement sent.
    pub ack: u32,
    /// Highest sequence number that the other end may send; when that is never seen, how far
    /// numbers may jump.
    pub edge: u32,
    /// Largest window advertised, bytes.
    pub window: u32,
}

impl Tracking {
    /// What the end that sends in `direction` has said, and what the window field of its segments
    /// is shifted by.
    pub fn said(&self, direction: Direction, is_one_way: bool) -> (Said, u8) {
        let peer = self.peer(direction);
        let said = Said {
            end: peer.end,
            ack: peer.max_ack,
            edge: match is_one_way {
                true => self.reach(),
                false => self.peer(direction.reversed()).max_end,
            },
            window: peer.max_window,
        };
        (said, peer.shift)
    }

    /// Takes over what the end that sends in `direction` has said meanwhile. Numbers may have gone
    /// around the circle, so they are not compared.
    pub fn catch_up(&mut self, direction: Direction, said: &Said, is_one_way: bool) {
        let (mut sender, mut receiver) = self.load(direction);
        sender.end = said.end;
        sender.max_ack = said.ack;
        sender.max_window = sender.max_window.max(said.window);
        if !is_one_way {
            receiver.max_end = said.edge;
        }
        self.store(direction, sender, receiver);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::{Flags, Segment};

    #[test]
    fn what_was_said_elsewhere_is_taken_over_in_full() {
        let syn = Segment {
            seq: u32::MAX,
            flags: Flags(Flags::SYN),
            window: 1000,
            ..Segment::default()
        };
        let mut tracking = Tracking::opening(&syn);
        for (direction, end) in [(Direction::Original, 1 << 31), (Direction::Reply, 7)] {
            let said = Said {
                end,
                ack: end + 1,
                edge: end + 2,
                window: 3000,
            };
            tracking.catch_up(direction, &said, false);
            assert_eq!(tracking.said(direction, false), (said, 0));
        }
        let server = tracking.peer(Direction::Reply);
        assert_eq!(server.max_end, (1 << 31) + 2, "the client's right edge");
    }
}
