//! A blind attacker: whatever is injected, nothing moves unless it is in the window.

use proptest::prelude::*;

use super::*;

/// An open connection: `sent` and `acked` bytes beyond the SYN, by client and real server.
pub(super) fn open(base: [u32; 2], scale: u8, window: u16, sent: [u32; 2]) -> Tracking {
    let segment = |own: usize, seq: u32, ack: u32, flags: u8, payload: u32| Segment {
        seq: base[own].wrapping_add(seq),
        ack: base[1 - own].wrapping_add(ack),
        flags: Flags(flags),
        window,
        payload,
        scale: (flags & Flags::SYN != 0).then_some(scale),
        ..Segment::default()
    };
    let mut tracking = Tracking::opening(&segment(0, 0, 0, Flags::SYN, 0));
    for (direction, segment) in [
        (
            Direction::Reply,
            segment(1, 0, 1, Flags::SYN | Flags::ACK, 0),
        ),
        (Direction::Original, segment(0, 1, 1, Flags::ACK, sent[0])),
        (
            Direction::Reply,
            segment(1, 1, 1 + sent[0] / 2, Flags::ACK, sent[1]),
        ),
        (
            Direction::Original,
            segment(0, 1 + sent[0], 1 + sent[1] / 2, Flags::ACK, 0),
        ),
    ] {
        let judgement = tracking.judge(direction, &segment, &NORMAL);
        assert!(
            matches!(judgement, Judgement::Accept { .. }),
            "{judgement:?}"
        );
    }
    assert_eq!(tracking.state, State::Established);
    tracking
}

prop_compose! {
    fn connections()(
        base in any::<[u32; 2]>(),
        scale in 0u8..=14,
        window in 2_000u16..,
        sent in prop::array::uniform2(0u32..2_000),
    ) -> Tracking {
        open(base, scale, window, sent)
    }
}

/// Numbers anywhere, and more often near the edges of what is known.
fn numbers() -> impl Strategy<Value = (u8, u32)> {
    prop_oneof![
        1 => (Just(3), any::<u32>()),
        2 => (0u8..3, (-3i32..=3).prop_map(|n| n as u32)),
        1 => (0u8..3, (-200_000i32..200_000).prop_map(|n| n as u32)),
    ]
}

fn near(peer: &Peer, other: &Peer, (edge, offset): (u8, u32)) -> u32 {
    let edges = [peer.end, peer.max_end, other.max_ack, 0];
    edges[usize::from(edge)].wrapping_add(offset)
}

/// The distance from `b` to `a` on the circle.
fn distance(a: u32, b: u32) -> i64 {
    i64::from(a.wrapping_sub(b) as i32)
}

/// The bounds once more, in plain integers: RFC 5961 §5 for ACK, a window up and down for SEQ.
fn in_window(sender: &Peer, receiver: &Peer, segment: &Segment) -> bool {
    let slack = i64::from(sender.max_window).max(66_000);
    let sent = distance(segment.end(), sender.end);
    distance(segment.seq, sender.max_end) <= distance(sender.end, sender.max_end).max(0)
        && sent >= -i64::from(receiver.max_window)
        && distance(segment.ack, receiver.end) <= 0
        && distance(segment.ack, sender.max_ack) >= -slack
}

fn is_exact(sender: &Peer, receiver: &Peer, segment: &Segment) -> bool {
    segment.seq == sender.end || segment.seq == receiver.max_ack
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn nothing_moves_unless_in_window(
        mut tracking in connections(),
        from_client: bool,
        seq in numbers(),
        ack in numbers(),
        flags: u8,
        window: u16,
        payload in prop_oneof![Just(0u32), 0u32..65_000],
    ) {
        let direction = if from_client { Direction::Original } else { Direction::Reply };
        let (sender, receiver) = tracking.load(direction);
        let segment = Segment {
            seq: near(&sender, &receiver, seq),
            ack: near(&receiver, &sender, ack),
            flags: Flags(flags),
            window,
            payload,
            ..Segment::default()
        };
        let before = tracking;
        let judgement = tracking.judge(direction, &segment, &NORMAL);
        match (Event::of(segment.flags), judgement) {
            (None, said) => prop_assert_eq!(said, Judgement::Invalid(Invalid::Flags)),
            (Some(Event::Syn), Judgement::Accept { .. }) => {
                prop_assert!(false, "a SYN moves an open connection");
            }
            (Some(Event::Rst), Judgement::Accept { to, .. }) => {
                prop_assert_eq!(to, State::Close);
                prop_assert!(is_exact(&sender, &receiver, &segment));
                prop_assert_eq!(tracking.load(direction), before.load(direction));
            }
            (Some(Event::Rst), said) => prop_assert!(!is_exact(&sender, &receiver, &segment), "{said:?}"),
            (Some(Event::Fin | Event::Ack), Judgement::Accept { .. }) => {
                prop_assert!(in_window(&sender, &receiver, &segment));
            }
            (Some(Event::Fin | Event::Ack), said) => {
                prop_assert!(!in_window(&sender, &receiver, &segment), "{said:?}");
            }
            (Some(Event::Syn), _) => {}
        }
        if !matches!(judgement, Judgement::Accept { .. }) {
            prop_assert_eq!(moved(&before), moved(&tracking));
        }
    }

    /// What an attacker learns by chance about one end does not help with the other; and after
    /// any number of blind segments the connection goes on as before.
    #[test]
    fn the_connection_goes_on_after_a_flood(
        mut tracking in connections(),
        flood in prop::collection::vec((any::<bool>(), any::<u32>(), any::<u32>(), any::<u8>()), 1..50),
    ) {
        let before = moved(&tracking);
        for (from_client, seq, ack, flags) in flood {
            let direction = if from_client { Direction::Original } else { Direction::Reply };
            let (sender, receiver) = tracking.load(direction);
            let segment = Segment { seq, ack, flags: Flags(flags), window: 1, ..Segment::default() };
            let lucky = in_window(&sender, &receiver, &segment) || is_exact(&sender, &receiver, &segment);
            if !lucky {
                let _ = tracking.judge(direction, &segment, &NORMAL);
            }
        }
        prop_assert_eq!(before, moved(&tracking));
        for direction in [Direction::Original, Direction::Reply] {
            let (sender, receiver) = tracking.load(direction);
            let next = Segment {
                seq: sender.end,
                ack: receiver.end,
                flags: Flags(Flags::ACK),
                window: 100,
                payload: 100,
                ..Segment::default()
            };
            let established = State::Established;
            prop_assert_eq!(
                tracking.judge(direction, &next, &NORMAL),
                Judgement::Accept { from: established, to: established }
            );
        }
    }
}
