//! Segments in fragments, of which the first one alone is judged.

use super::attack::open;
use super::*;

const BASE: [u32; 2] = [1_000, 5_000_000];
const WINDOW: u16 = 60_000;

/// A segment of the client; numbers count from the first byte.
fn from_client(seq: u32, flags: u8, payload: u32) -> Segment {
    Segment {
        seq: BASE[0] + 1 + seq,
        ack: BASE[1] + 1,
        flags: Flags(flags),
        window: WINDOW,
        payload,
        ..Segment::default()
    }
}

fn from_server(acked: u32) -> Segment {
    Segment {
        seq: BASE[1] + 1,
        ack: BASE[0] + 1 + acked,
        flags: Flags(Flags::ACK),
        window: WINDOW,
        ..Segment::default()
    }
}

fn accepted(judgement: Judgement) -> bool {
    matches!(judgement, Judgement::Accept { .. })
}

#[test]
fn all_of_it_can_be_acknowledged_and_what_follows_is_sent() {
    let mut tracking = open(BASE, 0, WINDOW, [0, 0]);
    let first = tracking.open_ended(Direction::Original, from_client(0, Flags::ACK, 500));
    assert!(accepted(tracking.judge(
        Direction::Original,
        &first,
        &NORMAL
    )));
    let all = from_server(4_000);
    assert!(accepted(tracking.judge(Direction::Reply, &all, &NORMAL)));
    let next = from_client(4_000, Flags::ACK, 100);
    assert!(accepted(tracking.judge(
        Direction::Original,
        &next,
        &NORMAL
    )));
    // Behind the window, what nobody has sent is as invalid as before.
    let never = from_server(u32::from(WINDOW) + 4_001);
    assert_eq!(
        tracking.judge(Direction::Reply, &never, &NORMAL),
        Judgement::Invalid(Invalid::AckAboveSent)
    );
}

#[test]
fn it_ends_nothing() {
    let mut tracking = open(BASE, 0, WINDOW, [0, 0]);
    let fin = from_client(0, Flags::ACK | Flags::FIN, 500);
    let first = tracking.open_ended(Direction::Original, fin);
    assert!(accepted(tracking.judge(
        Direction::Original,
        &first,
        &NORMAL
    )));
    assert_eq!(tracking.state, State::Established);
}

#[test]
fn above_the_window_it_stays_above() {
    let mut tracking = open(BASE, 0, WINDOW, [0, 0]);
    let far = from_client(2 * u32::from(WINDOW), Flags::ACK, 500);
    let first = tracking.open_ended(Direction::Original, far);
    assert_eq!(first, far);
    assert_eq!(
        tracking.judge(Direction::Original, &first, &NORMAL),
        Judgement::Invalid(Invalid::DataAboveWindow)
    );
}

/// A window above the longest segment does not make it end with its first fragment.
#[test]
fn in_a_wide_window_it_is_as_long_as_any() {
    let (scale, window) = (7, 8_192);
    for (direction, own) in [(Direction::Original, 0), (Direction::Reply, 1)] {
        let segment = |from: usize, seq: u32, ack: u32, payload: u32| Segment {
            seq: BASE[from] + 1 + seq,
            ack: BASE[1 - from] + 1 + ack,
            flags: Flags(Flags::ACK),
            window,
            payload,
            ..Segment::default()
        };
        let mut tracking = open(BASE, scale, window, [0, 0]);
        let first = tracking.open_ended(direction, segment(own, 0, 0, 1_180));
        assert_eq!(first.payload, LONGEST_SEGMENT);
        assert!(accepted(tracking.judge(direction, &first, &NORMAL)));
        let answer = |acked| segment(1 - own, 0, acked, 0);
        let never = tracking.judge(direction.reversed(), &answer(LONGEST_SEGMENT + 1), &NORMAL);
        assert_eq!(never, Judgement::Invalid(Invalid::AckAboveSent));
        let all = tracking.judge(direction.reversed(), &answer(2_000), &NORMAL);
        assert!(accepted(all), "{direction:?}: {all:?}");
        let next = tracking.judge(direction, &segment(own, 2_000, 0, 100), &NORMAL);
        assert!(accepted(next), "{direction:?}: {next:?}");
    }
}

/// What is old stays old.
#[test]
fn far_below_the_window_it_stays_below() {
    let mut tracking = open(BASE, 7, 8_192, [0, 0]);
    let next = from_client(0, Flags::ACK, 500);
    let old = Segment {
        seq: next.seq.wrapping_sub(1 << 30),
        ..next
    };
    let first = tracking.open_ended(Direction::Original, old);
    assert_eq!(
        tracking.judge(Direction::Original, &first, &NORMAL),
        Judgement::Ignore(Unmoved::OldData)
    );
}
