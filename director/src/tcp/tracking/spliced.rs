//! A connection whose client was answered before its real server was asked, with a number that the
//! director has made up: all that the real server says is numbered otherwise, by the same difference
//! for good. What is tracked are the real server's own numbers.

use super::{CONFIRMED, PROVED, Tracking};
use crate::direction::Direction;
use crate::tcp::State;
use crate::tcp::window::later;
use crate::wire::tcp::Segment;

/// Beside the scale in `note_scale`: the connection is spliced, and `note` is no note. Until the real
/// server has answered it is the number that the client was told, then what is added to the real
/// server's.
pub(super) const SPLICED: u8 = 0x80;

impl Tracking {
    /// A connection that a client has agreed to which was told the initial sequence number `told`, and
    /// whose `syn` its real server has yet to answer.
    pub fn spliced(syn: &Segment, told: u32) -> Self {
        Self {
            note: told,
            note_scale: SPLICED,
            ..Self::opening(syn)
        }
    }

    /// Whether its ends number what the real server says in different ways.
    #[inline]
    pub const fn is_spliced(&self) -> bool {
        self.note_scale & SPLICED != 0
    }

    /// The initial sequence number that the client was told, as long as the real server has none.
    #[inline]
    pub const fn told(&self) -> Option<u32> {
        match self.is_spliced() && !self.has(CONFIRMED) {
            true => Some(self.note),
            false => None,
        }
    }

    /// What is added to the real server's numbers for the client, once it has some.
    pub const fn gap(&self) -> Option<u32> {
        match self.is_spliced() && self.has(CONFIRMED) {
            true => Some(self.note),
            false => None,
        }
    }

    /// The window scale that the client has offered.
    pub fn client_scale(&self) -> Option<u8> {
        (self.scales & 0x0f).checked_sub(1)
    }

    /// Joins both ends, after the real server's SYN+ACK with the number `isn` was taken in.
    pub fn join(&mut self, isn: u32) {
        let (mut client, server) = self.load(Direction::Original);
        client.max_ack = later(isn.wrapping_add(1), client.max_ack);
        self.store(Direction::Original, client, server);
        self.note = self.note.wrapping_sub(isn);
        self.flags |= CONFIRMED | PROVED;
        self.state = State::Established;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{Judgement, NORMAL, Unmoved};
    use crate::wire::tcp::Flags;
    use proptest::prelude::*;

    const TOLD: u32 = 0xffff_fff0;

    fn syn(seq: u32) -> Segment {
        Segment {
            seq,
            flags: Flags(Flags::SYN),
            window: 1000,
            scale: Some(7),
            ..Segment::default()
        }
    }

    fn answer(isn: u32, seq: u32) -> Segment {
        Segment {
            seq,
            ack: isn.wrapping_add(1),
            flags: Flags(Flags::SYN | Flags::ACK),
            window: 500,
            scale: Some(9),
            ..Segment::default()
        }
    }

    proptest! {
        #[test]
        fn the_gap_is_what_lies_between_both_numbers(isn: u32, told: u32, seq: u32) {
            let mut tracking = Tracking::spliced(&syn(isn), told);
            prop_assert_eq!((tracking.told(), tracking.gap()), (Some(told), None));
            let judged = tracking.judge(Direction::Reply, &answer(isn, seq), &NORMAL);
            let is_accepted = matches!(judged, Judgement::Accept { .. });
            prop_assert!(is_accepted);
            tracking.join(seq);
            prop_assert_eq!(tracking.told(), None);
            prop_assert_eq!(seq.wrapping_add(tracking.gap().unwrap()), told);
            prop_assert!(tracking.is_proved() && tracking.state == State::Established);
            let data = Segment {
                seq: isn.wrapping_add(1),
                ack: seq.wrapping_add(1),
                flags: Flags(Flags::ACK),
                payload: 500,
                ..Segment::default()
            };
            let judged = tracking.judge(Direction::Original, &data, &NORMAL);
            let is_accepted = matches!(judged, Judgement::Accept { .. });
            prop_assert!(is_accepted);
        }
    }

    #[test]
    fn a_syn_that_is_not_its_own_takes_nothing_away_and_the_next_connection_is_not_spliced() {
        let mut tracking = Tracking::spliced(&syn(5), TOLD);
        let _ = tracking.judge(Direction::Reply, &answer(5, 100), &NORMAL);
        tracking.join(100);
        let gap = tracking.gap();
        let stranger = tracking.judge(Direction::Original, &syn(77), &NORMAL);
        assert_eq!(stranger, Judgement::Ignore(Unmoved::Syn));
        assert_eq!(tracking.gap(), gap);
        tracking.state = State::TimeWait;
        let _ = tracking.judge(Direction::Original, &syn(77), &NORMAL);
        assert!(!tracking.is_spliced());
        assert_eq!((tracking.told(), tracking.gap()), (None, None));
    }

    /// Its numbers differ by as much as ever, whichever end goes on with it first.
    #[test]
    fn one_that_nobody_has_followed_stays_spliced() {
        let mut tracking = Tracking::spliced(&syn(5), TOLD);
        let _ = tracking.judge(Direction::Reply, &answer(5, 100), &NORMAL);
        tracking.join(100);
        let far = Segment {
            seq: 1 << 30,
            ack: 1 << 31,
            flags: Flags(Flags::ACK),
            ..Segment::default()
        };
        for way in [Direction::Original, Direction::Reply] {
            let mut regained = tracking.regained(way, &far).unwrap();
            let judged = regained.judge(way, &far, &NORMAL);
            assert!(matches!(judged, Judgement::Accept { .. }), "{judged:?}");
            assert_eq!(regained.told(), None, "{way:?}");
            assert_eq!(regained.gap(), tracking.gap(), "{way:?}");
        }
    }

    #[test]
    fn what_a_real_server_says_of_an_older_connection_takes_nothing_away() {
        let mut tracking = Tracking::spliced(&syn(5), TOLD);
        let older = Segment {
            flags: Flags(Flags::ACK),
            ..answer(900, 3)
        };
        let judged = tracking.judge(Direction::Reply, &older, &NORMAL);
        assert_eq!(judged, Judgement::Ignore(Unmoved::Challenge));
        assert_eq!(tracking.told(), Some(TOLD));
    }
}
