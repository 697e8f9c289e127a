//! A connection whose handshake the director has gone through with the client by itself, with a
//! cookie: both initial sequence numbers are known, and the client is where it says it is.

use super::{ANSWERED, CONFIRMED, PROVED, Tracking, offered};
use crate::direction::Direction;
use crate::tcp::State;
use crate::tcp::window::{Peer, right_edge};

/// What both ends have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The initial sequence numbers of client and real server.
    pub isn: [u32; 2],
    /// Their window scales, if both have one.
    pub scales: Option<[u8; 2]>,
    /// The window that the client was offered.
    pub window: u16,
}

impl Tracking {
    /// A connection with nothing said in it yet.
    pub fn agreed(agreement: &Agreement) -> Self {
        let [client_isn, server_isn] = agreement.isn;
        let (starts, answers) = (client_isn.wrapping_add(1), server_isn.wrapping_add(1));
        let window = u32::from(agreement.window);
        let scales = agreement.scales.map_or(0, |[client, server]| {
            offered(Some(client)) | offered(Some(server)) << 4
        });
        let mut agreed = Self {
            scales,
            flags: ANSWERED | CONFIRMED | PROVED,
            state: State::Established,
            ..Self::default()
        };
        let client = Peer {
            end: starts,
            max_end: right_edge(starts, window),
            max_ack: answers,
            max_window: 1,
            ..Peer::default()
        };
        let server = Peer {
            end: answers,
            max_end: right_edge(answers, 0),
            max_ack: starts,
            max_window: window,
            ..Peer::default()
        };
        agreed.store(Direction::Original, client, server);
        agreed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{Invalid, Judgement, NORMAL, ONE_WAY, Unmoved};
    use crate::wire::tcp::{Flags, Segment};

    const CLIENT: u32 = u32::MAX - 5;
    const SERVER: u32 = 70_000;

    fn agreed() -> Tracking {
        Tracking::agreed(&Agreement {
            isn: [CLIENT, SERVER],
            scales: Some([7, 7]),
            window: 64_240,
        })
    }

    /// Numbers count from the first byte after the SYN.
    fn client(flags: u8, seq: u32, ack: u32, payload: u32) -> Segment {
        Segment {
            seq: CLIENT.wrapping_add(1 + seq),
            ack: SERVER.wrapping_add(1 + ack),
            flags: Flags(flags),
            window: 500,
            payload,
            ..Segment::default()
        }
    }

    fn server(flags: u8, seq: u32, ack: u32, payload: u32) -> Segment {
        Segment {
            seq: SERVER.wrapping_add(1 + seq),
            ack: CLIENT.wrapping_add(1 + ack),
            ..client(flags, 0, 0, payload)
        }
    }

    const ACK: u8 = Flags::ACK;
    const FIN: u8 = Flags::FIN | ACK;

    #[test]
    fn both_ends_go_on_from_their_numbers_and_it_is_proved_from_the_start() {
        let mut tracking = agreed();
        assert!(tracking.is_proved());
        let (to, from) = (Direction::Original, Direction::Reply);
        for (way, segment, state) in [
            (to, client(ACK, 0, 0, 0), State::Established),
            (to, client(ACK, 0, 0, 1000), State::Established),
            (from, server(ACK, 0, 1000, 1460), State::Established),
            (from, server(ACK, 1460, 1000, 60_000), State::Established),
            (to, client(FIN, 1000, 61_460, 0), State::CloseWait),
            (from, server(FIN, 61_460, 1001, 0), State::TimeWait),
        ] {
            let judged = tracking.judge(way, &segment, &NORMAL);
            assert!(
                matches!(judged, Judgement::Accept { .. }),
                "{segment:?}: {judged:?}"
            );
            assert_eq!(tracking.state, state, "{segment:?}");
        }
    }

    #[test]
    fn what_does_not_fit_the_numbers_is_no_segment_of_it() {
        for (way, segment, expected) in [
            (
                Direction::Original,
                client(ACK, 0, 1, 0),
                Judgement::Invalid(Invalid::AckAboveSent),
            ),
            (
                Direction::Original,
                client(ACK, 64_241, 0, 1),
                Judgement::Invalid(Invalid::DataAboveWindow),
            ),
            (
                Direction::Reply,
                server(ACK, 0, 1, 0),
                Judgement::Invalid(Invalid::AckAboveSent),
            ),
        ] {
            assert_eq!(
                agreed().judge(way, &segment, &NORMAL),
                expected,
                "{segment:?}"
            );
        }
    }

    /// The real server's number is known although it is never heard.
    #[test]
    fn one_way_a_fin_far_from_both_numbers_moves_nothing() {
        let mut tracking = agreed();
        let far = tracking.judge_one_way(&client(FIN, 1 << 24, 1 << 24, 0), &ONE_WAY);
        assert_eq!(far, Judgement::Ignore(Unmoved::Doubtful));
        let _ = tracking.judge_one_way(&client(ACK, 0, 0, 10), &ONE_WAY);
        let _ = tracking.judge_one_way(&client(FIN, 10, 0, 0), &ONE_WAY);
        assert_eq!(tracking.state, State::FinWait);
    }
}
