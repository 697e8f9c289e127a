//! Scripts of whole connections, and a simulation.

mod attack;
mod endpoint;
mod fragments;
mod script;
mod simulation;

use super::*;
use crate::tcp::NORMAL;

/// What has been learnt of the connection, apart from notes.
pub(super) fn moved(tracking: &Tracking) -> (State, Peer, Peer) {
    let (client, server) = tracking.load(Direction::Original);
    (tracking.state, client, server)
}

/// What is picked up in the middle is the client's when it says so, and nobody else's.
#[test]
fn a_resumed_connection_waits_for_its_client() {
    let segment = |flags, seq, ack, payload| Segment {
        flags: Flags(flags),
        seq,
        ack,
        window: 500,
        payload,
        ..Segment::default()
    };
    let said = segment(Flags::ACK, 5_000, 90_000, 1000);
    let moved = [
        (segment(Flags::ACK, 90_000, 6_000, 0), State::Established),
        (segment(Flags::ACK, 90_000, 5_000, 0), State::Established),
        (segment(Flags::ACK, 90_000, 800_000, 0), State::Established),
        (segment(Flags::ACK, 90_000, 4_000, 700), State::Established),
        (
            segment(Flags::ACK, 90_000, 6_001 + UNDER_WAY, 0),
            State::SynAck,
        ),
        (segment(Flags::ACK, 90_000, 1 << 30, 0), State::SynAck),
        (segment(Flags::RST, 91_000, 0, 0), State::SynAck),
    ];
    for (answer, state) in moved {
        let mut tracking = Tracking::resumed(&said);
        let _ = tracking.judge(Direction::Reply, &said, &NORMAL);
        assert_eq!(
            (tracking.state, tracking.is_proved()),
            (State::SynAck, false)
        );
        let judged = tracking.judge(Direction::Original, &answer, &NORMAL);
        assert_eq!(tracking.state, state, "{answer:?}: {judged:?}");
    }
}
