//! The client's half alone: what a segment means when the real server answers past the director
//! (direct routing, tunnels).
//!
//! There is no window of the real server to hold a segment against, so a segment is taken in when
//! both of its numbers lie near what the client has said before, or when one of them is exactly
//! that and so vouches for the other: a long loss moves one number far, never both. What is
//! neither goes on to the real server, which knows better, and moves nothing here. FIN and RST
//! move the state only where the client's last byte has ended.

use super::{CONFIRMED, DOUBTFUL_RESET, Finding, HEARD, NOTED_SYN, PROVED, SPOKE, Tracking};
use crate::direction::Direction;
use crate::tcp::judgement::{Invalid, Judgement, Unmoved};
use crate::tcp::window::{ACK_SLACK, after, later};
use crate::tcp::{Event, Proof, State, StateTable};
use crate::wire::tcp::{Flags, Segment};

/// How far a number may jump when the client has offered a window scale, bytes.
const SCALED_REACH: u32 = 1 << 18;

impl Tracking {
    /// As [`Tracking::judge`], for a segment from the client of a connection whose other half
    /// is never seen.
    #[inline(never)]
    pub fn judge_one_way(&mut self, segment: &Segment, table: &StateTable) -> Judgement {
        let Some(event) = Event::of(segment.flags) else {
            return Judgement::Invalid(Invalid::Flags);
        };
        let from = self.state;
        let finding = match event {
            Event::Syn => self.lone_syn(segment),
            Event::Rst => self.lone_reset(segment),
            Event::Fin | Event::Ack => self.lone_data(segment, event),
        };
        match finding {
            Ok(()) => {
                self.state = table.next(Direction::Original, event, self.state);
                self.believe(table);
                let to = self.state;
                Judgement::Accept { from, to }
            }
            Err(judgement) => judgement,
        }
    }

    /// When the client has shown enough, what the real server must have said is taken as heard.
    fn believe(&mut self, table: &StateTable) {
        let shown = match table.proof {
            Proof::Either => self.has(HEARD | SPOKE),
            Proof::Both => self.has(HEARD) && self.has(SPOKE),
        };
        if shown && !self.has(PROVED) {
            self.flags |= PROVED;
            self.state = table.next(Direction::Reply, Event::Ack, self.state);
        }
    }

    /// The SYN once more, or another one, which only an ACK of its own can make count.
    fn lone_syn(&mut self, segment: &Segment) -> Finding {
        if segment.flags.has(Flags::ACK) {
            return Err(Judgement::Invalid(Invalid::Handshake));
        }
        if self.state.is_over() {
            *self = Self::opening(segment);
            return Ok(());
        }
        if self.is_opening() && segment.seq == self.client_isn() {
            return Ok(());
        }
        self.note_syn(segment);
        Err(Judgement::Ignore(Unmoved::Syn))
    }

    fn lone_data(&mut self, segment: &Segment, event: Event) -> Finding {
        if self.confirms_noted_syn(segment) {
            *self = Self::opening(&self.noted_syn());
        }
        let seq = gap(segment.seq, self.client_end());
        let ack = gap(segment.ack, self.client_ack());
        let reach = self.reach();
        if self.is_opening() {
            // What the real server's SYN was is not known: any acknowledgement will do.
            let from_isn = segment.seq.wrapping_sub(self.client_isn());
            if !(1..=reach).contains(&from_isn) {
                return Err(Judgement::Invalid(Invalid::Handshake));
            }
        } else if !is_near(seq, ack, reach) {
            return Err(Judgement::Ignore(Unmoved::Doubtful));
        }
        // What acknowledges the answer to a FIN may have passed the gate before the FIN is judged here;
        // and a FIN may come with data once more that was there before.
        let last = gap(segment.end(), self.client_end());
        if event == Event::Fin && seq != 0 && !(0..=1).contains(&last) {
            return Err(Judgement::Ignore(Unmoved::Doubtful));
        }
        self.advance_client(segment);
        Ok(())
    }

    /// A RST of a client that has not confirmed the handshake answers what its real server has
    /// said of an older connection (RFC 9293 §3.5.1): it goes on, and ends nothing here. So does one
    /// after a SYN that was noted, which the real server may have taken and the client not know.
    fn lone_reset(&mut self, segment: &Segment) -> Finding {
        let seq = gap(segment.seq, self.client_end());
        if self.is_opening() {
            return Err(Judgement::Ignore(Unmoved::Reset));
        }
        match seq.unsigned_abs() {
            0 => Ok(()),
            near if near <= self.reach() => {
                self.flags |= DOUBTFUL_RESET;
                Err(Judgement::Ignore(Unmoved::Reset))
            }
            _ if self.has(NOTED_SYN) => Err(Judgement::Ignore(Unmoved::Reset)),
            _ => Err(Judgement::Invalid(Invalid::Reset)),
        }
    }

    /// Whether the real server may have sent sequence number `seq` lately, so that an ICMP error
    /// may quote it: the client has acknowledged or awaits it, as far as its window goes.
    pub fn may_have_been_answered(&self, seq: u32) -> bool {
        let shift = (self.scales & 0x0f).saturating_sub(1);
        let window = u32::from(self.max_window[Direction::Original as usize]) << shift;
        let away = gap(seq, self.client_ack()).unsigned_abs();
        self.is_opening() || away <= window.max(self.reach())
    }

    fn advance_client(&mut self, segment: &Segment) {
        let side = Direction::Original as usize;
        if !self.is_opening() {
            self.note_progress(segment);
        }
        self.max_ack[side] = match self.is_opening() {
            true => segment.ack,
            false => later(segment.ack, self.max_ack[side]),
        };
        self.end[side] = later(segment.end(), self.end[side]);
        self.max_window[side] = self.max_window[side].max(segment.window);
        self.flags |= CONFIRMED;
    }

    /// A FIN is no progress: it takes no real server to send one.
    fn note_progress(&mut self, segment: &Segment) {
        if after(segment.ack, self.client_ack()) {
            self.flags |= HEARD;
        }
        if segment.payload > 0 && after(segment.end(), self.client_end()) {
            self.flags |= SPOKE;
        }
    }

    /// Whether this is the ACK of a SYN that was noted, when the client may have started anew:
    /// in the handshake, or after its FIN.
    fn confirms_noted_syn(&self, segment: &Segment) -> bool {
        let may = self.is_opening() || self.state == State::FinWait;
        may && self.has(NOTED_SYN) && segment.seq == self.note.wrapping_add(1)
    }

    const fn is_opening(&self) -> bool {
        !self.has(CONFIRMED)
    }

    /// After the highest byte that the client has sent.
    const fn client_end(&self) -> u32 {
        self.end[Direction::Original as usize]
    }

    /// The highest acknowledgement of the client.
    const fn client_ack(&self) -> u32 {
        self.max_ack[Direction::Original as usize]
    }

    /// How far a number may jump: without a scale no window is above 64 KiB (RFC 7323 §2.2).
    pub(super) const fn reach(&self) -> u32 {
        match self.scales & 0x0f {
            0 => ACK_SLACK,
            _ => SCALED_REACH,
        }
    }
}

/// The way from `b` to `a` on the circle of sequence numbers.
const fn gap(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

const fn is_near(seq: i32, ack: i32, reach: u32) -> bool {
    let near = seq.unsigned_abs() <= reach && ack.unsigned_abs() <= reach;
    near || seq == 0 || ack == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{ATTACKED_ONE_WAY, ONE_WAY};
    use proptest::prelude::*;

    const ISN: u32 = u32::MAX - 10;
    const ACKED: u32 = 5000;

    /// A segment of the client, its sequence number counted from the first byte after the SYN.
    fn segment(flags: u8, seq: i64, ack: u32, payload: u32) -> Segment {
        Segment {
            seq: ISN.wrapping_add(1).wrapping_add(seq as u32),
            ack,
            flags: Flags(flags),
            window: 60_000,
            payload,
            ..Segment::default()
        }
    }

    fn syn() -> Segment {
        Segment {
            scale: Some(7),
            ..segment(Flags::SYN, -1, 0, 0)
        }
    }

    const ACK: u8 = Flags::ACK;
    const FIN: u8 = Flags::FIN | Flags::ACK;
    const RST: u8 = Flags::RST;

    fn judge(tracking: &mut Tracking, segment: Segment) -> Judgement {
        tracking.judge_one_way(&segment, &ONE_WAY)
    }

    fn established() -> Tracking {
        let mut tracking = Tracking::opening(&syn());
        let _ = judge(&mut tracking, segment(ACK, 0, ACKED, 0));
        assert_eq!(tracking.state, State::Established);
        tracking
    }

    #[test]
    fn a_client_that_closes_and_one_that_resets() {
        let mut tracking = established();
        let _ = judge(&mut tracking, segment(ACK, 0, ACKED, 100));
        let _ = judge(&mut tracking, segment(FIN, 100, ACKED + 3000, 0));
        assert_eq!(tracking.state, State::FinWait);
        let _ = judge(&mut tracking, segment(ACK, 101, ACKED + 3001, 0));
        assert_eq!(tracking.state, State::FinWait);

        let mut tracking = established();
        let _ = judge(&mut tracking, segment(RST, 0, 0, 0));
        assert_eq!(tracking.state, State::Close);
        let (from, to) = (State::Close, State::SynRecv);
        assert_eq!(judge(&mut tracking, syn()), Judgement::Accept { from, to });
        assert_eq!(tracking, Tracking::opening(&syn()));
    }

    /// The gate forwards an ACK at once, while the FIN before it waits for a worker.
    #[test]
    fn a_fin_may_be_overtaken_by_what_follows_it_and_come_with_data_once_more() {
        for (size, fin) in [(0, 100), (40, 60)] {
            let fin = segment(FIN, fin, ACKED + 10, size);
            let mut tracking = established();
            let _ = judge(&mut tracking, segment(ACK, 0, ACKED, 100));
            let mut overtaken = tracking;
            let _ = judge(&mut overtaken, segment(ACK, 101, ACKED + 11, 0));
            for mut tracking in [tracking, overtaken] {
                let _ = judge(&mut tracking, fin);
                assert_eq!(tracking.state, State::FinWait, "{fin:?}");
            }
        }
    }

    #[test]
    fn the_handshake_needs_the_ack_of_the_syn() {
        let opened = || Tracking::opening(&syn());
        for (what, expected) in [
            (syn(), State::SynRecv),
            (segment(RST, 99, 0, 0), State::SynRecv),
            (segment(ACK, 0, 77, 0), State::Established),
            (segment(ACK, 0, 77, 500), State::Established),
            (segment(ACK, 1460, 77, 500), State::Established),
            (segment(ACK, -1, 77, 0), State::SynRecv),
            (segment(ACK, 1 << 20, 77, 0), State::SynRecv),
            (segment(FIN, 0, 77, 0), State::TimeWait),
        ] {
            let mut tracking = opened();
            let _ = judge(&mut tracking, what);
            assert_eq!(tracking.state, expected, "{what:?}");
        }
    }

    #[test]
    fn a_client_may_start_anew_before_it_is_heard_and_after_its_fin() {
        let other = |flags, seq: i64| segment(flags, 1 << 30 | seq, 9, 0);
        let mut opening = Tracking::opening(&syn());
        let mut closed = established();
        let _ = judge(&mut closed, segment(FIN, 0, ACKED, 0));
        for tracking in [&mut opening, &mut closed] {
            let noted = judge(tracking, other(Flags::SYN, 0));
            assert_eq!(noted, Judgement::Ignore(Unmoved::Syn));
            let _ = judge(tracking, other(ACK, 1));
            assert_eq!(tracking.state, State::Established);
            let _ = judge(tracking, other(FIN, 1));
            assert_eq!(tracking.state, State::FinWait);
        }
    }

    /// The real server may have taken the SYN that was noted, and its client not know of it any more.
    #[test]
    fn a_reset_after_another_syn_goes_on() {
        let mut closed = established();
        let _ = judge(&mut closed, segment(FIN, 0, ACKED, 0));
        let reset = segment(RST, (1 << 30) + 1, 0, 0);
        assert_eq!(
            judge(&mut closed, reset),
            Judgement::Invalid(Invalid::Reset)
        );
        for syn in [1 << 30, 1 << 29] {
            let _ = judge(&mut closed, segment(Flags::SYN, syn, 0, 0));
            assert_eq!(judge(&mut closed, reset), Judgement::Ignore(Unmoved::Reset));
            assert_eq!(closed.state, State::FinWait);
        }
    }

    #[test]
    fn a_stranger_moves_nothing() {
        let doubtful = Judgement::Ignore(Unmoved::Doubtful);
        let syn_and_blind_ack = [
            (
                segment(Flags::SYN, 1 << 30, 0, 0),
                Judgement::Ignore(Unmoved::Syn),
            ),
            (segment(ACK, (1 << 30) + 1, 99, 0), doubtful),
        ];
        let blind = [
            (segment(FIN, 1, ACKED, 0), doubtful),
            (segment(FIN, -2, ACKED, 0), doubtful),
            (segment(FIN, -1, ACKED + (1 << 30), 0), doubtful),
            (segment(ACK, 1 << 30, 1 << 30, 10), doubtful),
            (segment(RST, 1, 0, 0), Judgement::Ignore(Unmoved::Reset)),
            (
                segment(RST, 1 << 30, 0, 0),
                Judgement::Invalid(Invalid::Reset),
            ),
            (
                segment(Flags::SYN | ACK, 0, 0, 0),
                Judgement::Invalid(Invalid::Handshake),
            ),
        ];
        for (what, expected) in syn_and_blind_ack.into_iter().chain(blind) {
            let mut tracking = established();
            assert_eq!(judge(&mut tracking, what), expected, "{what:?}");
            assert_eq!(tracking.state, State::Established, "{what:?}");
            let _ = judge(&mut tracking, segment(FIN, 0, ACKED, 0));
            assert_eq!(tracking.state, State::FinWait, "after {what:?}");
        }
    }

    #[test]
    fn one_exact_number_vouches_for_a_long_loss() {
        let mut tracking = established();
        let far = 10 << 20;
        let _ = judge(&mut tracking, segment(ACK, far, ACKED, 1000));
        let _ = judge(&mut tracking, segment(FIN, far + 1000, ACKED, 0));
        assert_eq!(tracking.state, State::FinWait);

        let mut tracking = established();
        let _ = judge(&mut tracking, segment(ACK, 0, ACKED + far as u32, 0));
        let _ = judge(&mut tracking, segment(ACK, 1000, ACKED + far as u32, 1));
        let _ = judge(&mut tracking, segment(FIN, 1001, ACKED + far as u32, 0));
        assert_eq!(tracking.state, State::FinWait);
    }

    #[test]
    fn one_ack_proves_nothing_and_what_does_depends_on_the_table() {
        let data = segment(ACK, 0, ACKED, 100);
        let more = segment(ACK, 0, ACKED + 10, 0);
        let both = segment(ACK, 0, ACKED + 10, 100);
        let again = segment(ACK, 0, ACKED, 0);
        let fin = segment(FIN, 0, ACKED, 0);
        let (peace, siege) = (&ONE_WAY, &ATTACKED_ONE_WAY);
        use State::{Established as ES, FinWait as FW, SynAck as SA, TimeWait as TW};
        for (table, said, state, proved) in [
            (peace, vec![], ES, false),
            (peace, vec![again, again], ES, false),
            (peace, vec![data], ES, true),
            (peace, vec![more], ES, true),
            (peace, vec![fin], FW, false),
            (siege, vec![], SA, false),
            (siege, vec![again], SA, false),
            (siege, vec![data], SA, false),
            (siege, vec![more], SA, false),
            (siege, vec![data, data], SA, false),
            (siege, vec![data, more], ES, true),
            (siege, vec![more, data], ES, true),
            (siege, vec![both], ES, true),
            (siege, vec![fin], TW, false),
            (
                siege,
                vec![data, more, segment(FIN, 100, ACKED + 10, 0)],
                FW,
                true,
            ),
        ] {
            let mut tracking = Tracking::opening(&syn());
            for one in std::iter::once(again).chain(said.clone()) {
                let _ = tracking.judge_one_way(&one, table);
            }
            let is = (tracking.state, tracking.is_proved());
            assert_eq!(is, (state, proved), "{} {said:?}", table.moves.name);
        }
    }

    #[test]
    fn an_error_may_quote_what_the_client_can_await() {
        let tracking = established();
        for (away, expected) in [(0, true), (1 << 20, true), (-1000, true), (1 << 30, false)] {
            let seq = ACKED.wrapping_add_signed(away);
            assert_eq!(tracking.may_have_been_answered(seq), expected, "{away}");
        }
        assert!(Tracking::opening(&syn()).may_have_been_answered(1 << 30));
    }

    proptest! {
        /// Whatever is sent in whatever order, an honest FIN at the end is understood.
        #[test]
        fn segments_in_any_order_are_followed(
            sizes in prop::collection::vec(1u32..1460, 1..40),
            order in any::<u64>(),
        ) {
            let mut tracking = established();
            let mut at = 0;
            let mut segments: Vec<Segment> = sizes.iter().map(|&size| {
                let one = segment(ACK, i64::from(at), ACKED, size);
                at += size;
                one
            }).collect();
            let count = segments.len();
            (0..count).for_each(|i| segments.swap(i, order.rotate_left(i as u32) as usize % count));
            for one in segments {
                let moved = judge(&mut tracking, one);
                let known = matches!(moved, Judgement::Accept { .. });
                prop_assert!(known, "{:?}", moved);
            }
            let _ = judge(&mut tracking, segment(FIN, i64::from(at), ACKED, 0));
            prop_assert_eq!(tracking.state, State::FinWait);
        }
    }
}
