//! Headers, flags and options.

use super::*;
use proptest::prelude::*;

fn segment(flags: u8, options: &[u8], payload: usize) -> Vec<u8> {
    let mut header = [0; LEN];
    Repr {
        src_port: 1000,
        dst_port: 80,
        seq: 0x0102_0304,
        ack: 0x0506_0708,
        flags: Flags(flags),
    }
    .write(&mut header);
    let mut options = options.to_vec();
    options.resize(options.len().next_multiple_of(4), 0);
    header[field::OFFSET] += (options.len() as u8 / 4) << 4;
    put_u16(&mut header, field::WINDOW, 512);
    [&header[..], &options, &vec![0xaa; payload]].concat()
}

fn sack(edges: &[(u32, u32)]) -> Vec<u8> {
    let mut option = vec![5, 2 + 8 * edges.len() as u8];
    for (left, right) in edges {
        option.extend(left.to_be_bytes());
        option.extend(right.to_be_bytes());
    }
    option
}

#[test]
fn fields() {
    let parsed = Segment::parse(&segment(Flags::ACK | Flags::PSH, &[1, 1, 1], 7));
    let expected = Segment {
        seq: 0x0102_0304,
        ack: 0x0506_0708,
        flags: Flags(Flags::ACK | Flags::PSH),
        window: 512,
        payload: 7,
        scale: None,
        sack: None,
    };
    assert_eq!(parsed, Ok(expected));
}

#[test]
fn window_scale_only_from_a_syn() {
    for (flags, options, expected) in [
        (Flags::SYN, &[3, 3, 7][..], Some(7)),
        (Flags::SYN | Flags::ACK, &[1, 3, 3, 7], Some(7)),
        (Flags::SYN, &[2, 4, 5, 0xb4, 3, 3, 15], Some(14)),
        (Flags::SYN, &[3, 3, 255], Some(14)),
        (Flags::ACK, &[3, 3, 7], None),
        (Flags::SYN, &[3, 4, 7, 7], None),
        (Flags::SYN, &[0, 3, 3, 7], None),
        (Flags::SYN, &[9, 1, 3, 3, 7], None),
        (Flags::SYN, &[9, 40, 3, 3, 7], None),
        (Flags::SYN, &[1, 1, 3, 3], None),
    ] {
        let parsed = Segment::parse(&segment(flags, options, 0)).unwrap();
        assert_eq!(parsed.scale, expected, "{options:?}");
    }
}

#[test]
fn highest_sack_edge_across_the_wrap() {
    for (edges, expected) in [
        (&[(10, 20)][..], Some(20)),
        (&[(30, 40), (10, 20)], Some(40)),
        (&[(0xffff_fff0, 0xffff_fff8), (2, 8)], Some(8)),
        (&[(2, 8), (0xffff_fff0, 0xffff_fff8)], Some(8)),
        (&[], None),
    ] {
        let parsed = Segment::parse(&segment(Flags::ACK, &sack(edges), 3)).unwrap();
        assert_eq!(parsed.sack, expected, "{edges:?}");
    }
    let timestamp = [
        &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1][..],
        &sack(&[(5, 9)]),
    ]
    .concat();
    let parsed = Segment::parse(&segment(Flags::ACK, &timestamp, 0)).unwrap();
    assert_eq!(parsed.sack, Some(9));
}

#[test]
fn data_offset_is_checked() {
    let good = segment(Flags::ACK, &[1; 8], 2);
    for (words, expected) in [
        (0, Some(Malformed::BadTcpOffset)),
        (4, Some(Malformed::BadTcpOffset)),
        (5, None),
        (7, None),
        (8, Some(Malformed::BadTcpOffset)),
        (15, Some(Malformed::BadTcpOffset)),
    ] {
        let mut bytes = good.clone();
        bytes[field::OFFSET] = words << 4;
        assert_eq!(Segment::parse(&bytes).err(), expected, "{words}");
    }
    assert_eq!(
        Segment::parse(&good[..19]).err(),
        Some(Malformed::Truncated)
    );
}

#[test]
fn nonsense_flags() {
    use Flags as F;
    for (flags, expected) in [
        (0, true),
        (F::PSH, true),
        (F::FIN, true),
        (F::URG, true),
        (F::SYN | F::FIN, true),
        (F::SYN | F::FIN | F::ACK, true),
        (F::SYN | F::RST, true),
        (F::RST | F::FIN | F::ACK, true),
        (F::FIN | F::PSH | F::URG, true),
        (F::FIN | F::SYN | F::RST | F::PSH | F::ACK | F::URG, true),
        (F::SYN, false),
        (F::SYN | 0xc0, false),
        (F::SYN | F::ACK, false),
        (F::ACK, false),
        (F::ACK | F::PSH | F::URG, false),
        (F::FIN | F::ACK | F::PSH, false),
        (F::RST, false),
        (F::RST | F::ACK, false),
    ] {
        assert_eq!(Flags(flags).is_nonsense(), expected, "{:?}", Flags(flags));
    }
}

proptest! {
    #[test]
    fn any_options_are_survived(
        options in proptest::collection::vec(any::<u8>(), 0..=40),
        flags: u8,
    ) {
        let parsed = Segment::parse(&segment(flags, &options, 1)).unwrap();
        prop_assert!(parsed.scale.is_none_or(|shift| shift <= MAX_SCALE));
        prop_assert_eq!(parsed.payload, 1);
    }
}
