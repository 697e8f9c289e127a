//! What is said of the connection that a segment belongs to, held against what then becomes of it.

use super::*;
use crate::path::bystander::Bystander;

/// Where numbers stand in a frame of IPv4 without options.
const SEQ: usize = 14 + 20 + 4;
const ACK: usize = SEQ + 4;

/// The state after a segment, or why it is dropped.
type Fate = Result<State, DropReason>;

fn probe(flags: u8) -> Probe<'static> {
    Probe {
        flags: Flags(flags),
        ..Probe::opening(tuple(Protocol::Tcp))
    }
}

fn tracking(shared: &Shared) -> Tracking {
    let tuple = tuple(Protocol::Tcp);
    let place = shared.table.locate(Direction::Original, &tuple);
    let shard = shared.table.lock(&place);
    let found = shard.find(&place, |entry| entry.matches_original(&tuple));
    match shard.entry(found.unwrap()).tracked {
        Tracked::Tcp(tracking) => tracking,
        _ => panic!("not of TCP"),
    }
}

/// Sends a segment with the numbers that its client would give it next.
fn sent(shared: &Shared, flags: u8) -> Fate {
    let bystander = Bystander::of(shared);
    let view = bystander.view(0, NOW);
    let mut frame = probe::frame(&probe(flags));
    let segment = Segment {
        flags: Flags(flags),
        ..Segment::default()
    };
    let segment = tracking(shared).timely(Direction::Original, segment);
    frame[SEQ..ACK].copy_from_slice(&segment.seq.to_be_bytes());
    frame[ACK..ACK + 4].copy_from_slice(&segment.ack.to_be_bytes());
    let Reading::Packet { packet, way, place } = view.read(&frame) else {
        panic!("no packet");
    };
    let sent = view.packet(&mut frame, &packet, way, &place);
    sent.map_err(|refusal| refusal.reason)?;
    Ok(tracking(shared).state)
}

fn told(shared: &Shared, flags: u8) -> Option<Fate> {
    let told = shared.explain(&probe(flags), 0, NOW);
    let fate = told
        .refused
        .map_or_else(|| told.becomes.map(Ok), |why| Some(Err(why)));
    fate.filter(|_| told.connection.is_some())
}

#[test]
fn what_a_segment_makes_of_its_connection_is_told() {
    for state in State::ALL {
        for flags in (0..=u8::MAX).filter(|flags| !Flags(*flags).is_nonsense()) {
            let (shared, _) = scene(Protocol::Tcp, in_state(state));
            if let Some(told) = told(&shared, flags) {
                assert_eq!(told, sent(&shared, flags), "{state:?} {flags:#x}");
            }
        }
    }
}

#[test]
fn the_usual_ends_and_what_is_none() {
    let becomes = |state, flags| {
        let (shared, _) = scene(Protocol::Tcp, in_state(state));
        let before = tracking(&shared);
        let told = told(&shared, flags);
        assert_eq!(tracking(&shared), before, "nothing is changed");
        told
    };
    let (open, fin) = (State::Established, Flags::FIN | Flags::ACK);
    assert_eq!(becomes(open, Flags::RST), Some(Ok(State::Close)));
    assert_eq!(becomes(open, fin), Some(Ok(State::CloseWait)));
    assert_eq!(becomes(open, Flags::ACK), Some(Ok(open)));
    assert_eq!(becomes(open, Flags::SYN), Some(Ok(open)));
    let early = Some(Err(Cause::TcpHandshake.into()));
    assert_eq!(becomes(State::SynRecv, Flags::ACK), early);
}
