//! A connection that is taken up in its midst: its client goes on with what another director, or
//! this one before a restart, has seen begin (`sloppy_tcp`).
//!
//! Until the real server goes on with it too it is alleged, and on probation: anyone can send a
//! segment, so the client's move no state, and the real server's first one counts for both. What the
//! ends have offered is not known, so their windows are taken for the largest that there are
//! (as nf_conntrack does, `nf_conntrack_tcp_loose`).
//!
//! Any segment may be the oldest of what is under way, sent once more: what came after it passed
//! unseen, and is acknowledged all at once when the gap is closed. So each end may have sent as much
//! as the other one's window takes; and as all of that may have been acknowledged unseen, it may
//! send as much again.

use super::{ANSWERED, CONFIRMED, Tracking};
use crate::direction::Direction;
use crate::tcp::window::{ACK_SLACK, Peer, right_edge};
use crate::tcp::{Event, NORMAL, State};
use crate::wire::tcp::Segment;

/// The largest scale, of both ends (RFC 7323 §2.3).
const LARGEST_SCALES: u8 = 0xff;

/// What may be acknowledged unseen is taken for no more, bytes: numbers that lie half a circle apart
/// cannot be compared.
const MOST_UNSEEN: u32 = 1 << 29;

impl Tracking {
    /// A connection that goes on with the client's `segment`; none when the segment opens or
    /// resets one.
    pub fn midway(segment: &Segment) -> Option<Self> {
        let event = Event::of(segment.flags)?;
        if !matches!(event, Event::Ack | Event::Fin) {
            return None;
        }
        let mut taken = Self {
            scales: LARGEST_SCALES,
            flags: CONFIRMED,
            state: NORMAL.next(Direction::Original, event, State::None),
            ..Self::default()
        };
        let client = Peer {
            end: segment.end(),
            max_end: segment.end(),
            max_ack: segment.ack,
            max_window: u32::from(segment.window) << taken.shift(Direction::Original),
            ..Peer::default()
        };
        taken.store(Direction::Original, client, Peer::default());
        Some(taken)
    }

    /// This connection as it goes on with a `segment` that goes in `direction`, after nobody knows which:
    /// somebody else has followed it, and cannot be asked. It is alleged until its real server speaks,
    /// and to be judged by this segment. None when that opens or ends one.
    pub fn regained(&self, direction: Direction, segment: &Segment) -> Option<Self> {
        if Event::of(segment.flags) != Some(Event::Ack) {
            return None;
        }
        let widest = |way| Peer {
            max_window: u32::from(u16::MAX) << self.shift(way),
            shift: self.shift(way),
            ..Peer::default()
        };
        let (client, server) = (widest(Direction::Original), widest(Direction::Reply));
        let client = match direction {
            Direction::Original => Peer {
                end: segment.end(),
                max_end: segment.end(),
                max_ack: segment.ack,
                ..client
            },
            Direction::Reply => client,
        };
        let mut regained = Self {
            flags: CONFIRMED,
            ..*self
        };
        regained.store(Direction::Original, client, server);
        Some(regained)
    }

    /// Whether nothing but the client's word says that there is a connection: no other client
    /// goes on before it has been answered.
    pub(super) const fn is_alleged(&self) -> bool {
        self.has(CONFIRMED) && !self.has(ANSWERED)
    }

    /// Takes a segment of an alleged connection in. With the real server's first one it is
    /// alleged no more, and only what that one says counts.
    pub(super) fn learn(&mut self, direction: Direction, segment: &Segment) {
        let (mut client, mut server) = self.load(Direction::Original);
        if direction == Direction::Original {
            client.advance(&mut server, segment);
            return self.store(Direction::Original, client, server);
        }
        let window = u32::from(segment.window) << server.shift;
        let end = segment.end().wrapping_add(client.max_window);
        server = Peer {
            end,
            max_end: right_edge(end, client.max_window.min(MOST_UNSEEN)),
            max_ack: segment.ack,
            max_window: server.max_window.max(window),
            shift: server.shift,
        };
        let end = segment.ack.wrapping_add(server.max_window);
        client = Peer {
            end,
            max_end: right_edge(end, server.max_window.min(MOST_UNSEEN)),
            // It may not have heard what is said for the first time here.
            max_ack: segment.seq.wrapping_sub(ACK_SLACK),
            ..client
        };
        self.store(Direction::Original, client, server);
        self.flags |= ANSWERED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{Invalid, Judgement, ONE_WAY};
    use crate::wire::tcp::Flags;

    const ACK: u8 = Flags::ACK;
    const FIN: u8 = Flags::FIN | ACK;
    const RST: u8 = Flags::RST;
    /// Where the ends stand when they are first seen.
    const CLIENT: u32 = u32::MAX - 50;
    const SERVER: u32 = 7_000;
    /// What they may send, by a field of 500.
    const WINDOW: i32 = 500 << 14;

    fn segment(flags: u8, seq: u32, ack: u32, payload: u32) -> Segment {
        Segment {
            seq,
            ack,
            flags: Flags(flags),
            window: 500,
            payload,
            ..Segment::default()
        }
    }

    fn client(flags: u8, seq: i32, ack: i32, payload: u32) -> Segment {
        let (seq, ack) = (
            CLIENT.wrapping_add_signed(seq),
            SERVER.wrapping_add_signed(ack),
        );
        segment(flags, seq, ack, payload)
    }

    fn server(flags: u8, seq: i32, ack: i32, payload: u32) -> Segment {
        let (seq, ack) = (
            SERVER.wrapping_add_signed(seq),
            CLIENT.wrapping_add_signed(ack),
        );
        segment(flags, seq, ack, payload)
    }

    fn state(judgement: Judgement) -> Option<State> {
        match judgement {
            Judgement::Accept { to, .. } => Some(to),
            _ => None,
        }
    }

    #[test]
    fn only_what_neither_opens_nor_resets_is_taken_up() {
        for (flags, expected) in [
            (ACK, Some(State::Established)),
            (ACK | Flags::PSH, Some(State::Established)),
            (FIN, Some(State::Close)),
            (Flags::SYN, None),
            (Flags::SYN | ACK, None),
            (RST, None),
            (RST | ACK, None),
            (0, None),
            (Flags::FIN, None),
        ] {
            let taken = Tracking::midway(&client(flags, 0, 0, 0));
            assert_eq!(taken.map(|tracking| tracking.state), expected, "{flags:#x}");
        }
    }

    /// The first segment seen may be an old one, the real server's answer to it a later one.
    #[test]
    fn both_ends_go_on_from_where_they_are() {
        let mut tracking = Tracking::midway(&client(ACK, -3000, -9000, 1000)).unwrap();
        let es = Some(State::Established);
        let mut judge = |direction, segment| state(tracking.judge(direction, &segment, &NORMAL));
        let (to, from) = (Direction::Original, Direction::Reply);
        assert_eq!(judge(to, client(ACK, -1000, 0, 500)), es);
        assert_eq!(judge(from, server(ACK, 0, 200, 1460)), es);
        assert_eq!(judge(from, server(ACK, 1460, 200, 1460)), es);
        assert_eq!(judge(to, client(ACK, 200, 2920, 100)), es);
        assert_eq!(judge(from, server(FIN, 2920, 300, 0)), Some(State::FinWait));
        assert_eq!(judge(to, client(FIN, 300, 2921, 0)), Some(State::TimeWait));
    }

    #[test]
    fn it_is_on_probation_until_the_real_server_goes_on_with_it() {
        let mut tracking = Tracking::midway(&client(ACK, 0, 0, 10)).unwrap();
        let _ = tracking.judge(Direction::Original, &client(ACK, 10, 0, 10), &NORMAL);
        assert!(!tracking.is_proved());
        let _ = tracking.judge(Direction::Reply, &server(ACK, 0, 20, 0), &NORMAL);
        assert!(tracking.is_proved());
        let forged = tracking.judge(Direction::Reply, &server(ACK, 0, 21 + WINDOW, 0), &NORMAL);
        assert_eq!(forged, Judgement::Invalid(Invalid::AckAboveSent));
    }

    /// Whichever end speaks first, and however far they have come.
    #[test]
    fn one_that_nobody_has_followed_is_regained_by_its_next_segment() {
        let known = Tracking::midway(&client(ACK, 0, 0, 10)).unwrap();
        let far = 3 << 30;
        let (to, from) = (Direction::Original, Direction::Reply);
        let ahead = segment(ACK, SERVER.wrapping_add(far), CLIENT.wrapping_add(10), 1460);
        let mut tracking = known.regained(from, &ahead).unwrap();
        let es = Some(State::Established);
        let mut judge = |direction, segment| state(tracking.judge(direction, &segment, &NORMAL));
        assert_eq!(judge(from, ahead), es);
        let acked = ahead.end();
        assert_eq!(
            judge(to, segment(ACK, CLIENT.wrapping_add(10), acked, 0)),
            es
        );
        assert_eq!(
            judge(from, segment(ACK, acked, CLIENT.wrapping_add(10), 1460)),
            es
        );

        let ahead = segment(ACK, CLIENT.wrapping_add(far), SERVER.wrapping_add(far), 500);
        let mut tracking = known.regained(to, &ahead).unwrap();
        let mut judge = |direction, segment| state(tracking.judge(direction, &segment, &NORMAL));
        assert_eq!(judge(to, ahead), es);
        assert_eq!(judge(from, segment(ACK, ahead.ack, ahead.end(), 1460)), es);
        for flags in [Flags::SYN, RST, FIN] {
            assert_eq!(known.regained(to, &client(flags, 0, 0, 0)), None);
        }
    }

    /// The real server sends once more what is oldest; all that came after it the client has.
    #[test]
    fn what_nobody_has_seen_is_acknowledged_at_once() {
        let known = Tracking::midway(&client(ACK, 0, 0, 10)).unwrap();
        let (to, from) = (Direction::Original, Direction::Reply);
        let es = Some(State::Established);
        let mut tracking = known.regained(to, &client(ACK, 10, 1 << 30, 0)).unwrap();
        let mut judge = |direction, segment| state(tracking.judge(direction, &segment, &NORMAL));
        assert_eq!(judge(to, client(ACK, 10, 1 << 30, 0)), es);
        assert_eq!(judge(from, server(ACK, 1 << 30, 10, 1460)), es);
        assert_eq!(judge(to, client(ACK, 10, (1 << 30) + 3_000_000, 0)), es);
    }

    /// So nobody ends it who knows nothing of it but its addresses.
    #[test]
    fn what_its_client_is_said_to_end_goes_on() {
        let known = Tracking::midway(&client(ACK, 0, 0, 10)).unwrap();
        let (to, from) = (Direction::Original, Direction::Reply);
        let forged = client(ACK, 1 << 30, 1 << 30, 0);
        for flags in [RST, FIN] {
            let mut tracking = known.regained(to, &forged).unwrap();
            for segment in [forged, client(flags, 1 << 30, 1 << 30, 0)] {
                let _ = tracking.judge(to, &segment, &NORMAL);
            }
            assert_eq!(tracking.state, State::Established, "{flags:#x}");
            for (way, segment) in [(from, server(ACK, 0, 10, 0)), (to, client(ACK, 10, 0, 10))] {
                let judged = tracking.judge(way, &segment, &NORMAL);
                assert_eq!(state(judged), Some(State::Established), "{segment:?}");
            }
        }
    }

    /// Where the real server is not seen, the client's next segment has to fit the first.
    #[test]
    fn one_way_it_is_on_probation_until_its_client_goes_on_with_it() {
        let mut tracking = Tracking::midway(&client(ACK, 0, 0, 10)).unwrap();
        let _ = tracking.judge_one_way(&client(ACK, 1 << 30, 1 << 30, 10), &ONE_WAY);
        assert!(!tracking.is_proved());
        let _ = tracking.judge_one_way(&client(ACK, 10, 1000, 10), &ONE_WAY);
        assert!(tracking.is_proved());
    }

    #[test]
    fn the_reset_of_a_real_server_that_knows_of_nothing_closes_it() {
        let mut tracking = Tracking::midway(&client(ACK, 0, 0, 10)).unwrap();
        let reset = tracking.judge(Direction::Reply, &server(RST, 0, 0, 0), &NORMAL);
        assert_eq!(state(reset), Some(State::Close));
    }
}
