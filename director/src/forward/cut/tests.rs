//! What the pieces are, and that they make the whole again.

use proptest::prelude::*;

use super::*;
use crate::wire::sample::{self, Sample};
use crate::wire::{Fragment, Packet, Piece, fragment, parse};

fn layout_of(frame: &[u8]) -> Layout {
    match parse(frame) {
        Ok(Packet::Transport(packet)) => packet.layout,
        other => panic!("{other:?}"),
    }
}

fn pieces(frame: &[u8], layout: &Layout, mtu: u32) -> Option<Vec<Vec<u8>>> {
    let cuts = Cuts::of(frame, layout, mtu)?;
    let mut first = frame.to_vec();
    let end = cuts.keep_first(&mut first).end;
    first.truncate(end.into());
    let later = |n| {
        let mut piece = vec![0xaa; 2048];
        let end = cuts.write(n, frame, &mut piece).end;
        piece.truncate(end.into());
        piece
    };
    Some(
        std::iter::once(first)
            .chain((1..cuts.count()).map(later))
            .collect(),
    )
}

fn read(frame: &[u8]) -> Fragment {
    fragment(frame).unwrap_or_else(|error| panic!("{error:?}"))
}

proptest! {
    #[test]
    fn the_pieces_fit_and_make_the_datagram_again(
        (mut sample, _) in sample::samples(),
        more in 0usize..1000,
        mtu in 68u32..600,
    ) {
        sample.payload.resize(sample.payload.len() + more, 0x5a);
        let frame = sample.frame();
        let layout = layout_of(&frame);
        prop_assume!(u32::from(layout.datagram_len()) > mtu);
        let Some(pieces) = pieces(&frame, &layout, mtu) else {
            // Headers longer than a link may be narrow leave no room.
            prop_assert!(!sample.tuple.src.addr.is_v4() || mtu < 76);
            return Ok(());
        };
        let mut payload: Vec<u8> = Vec::new();
        for (n, piece) in pieces.iter().enumerate() {
            let Fragment { layout, span, .. } = match n {
                // A very small first one is no transport header.
                0 if fragment(piece).is_err() => return Ok(()),
                _ => read(piece),
            };
            prop_assert!(u32::from(layout.datagram_len()) <= mtu);
            prop_assert_eq!(usize::from(span.start), payload.len());
            prop_assert_eq!(span.is_last, n + 1 == pieces.len());
            let header = if n == 0 { 20 + 4 * usize::from(sample.extra) } else { 20 };
            payload.extend(&piece[14 + header..]);
            prop_assert_eq!(&piece[18..20], &frame[18..20], "identification");
        }
        prop_assert_eq!(payload, layout.segment(&frame));
    }
}

fn a_datagram(payload: usize) -> Vec<u8> {
    let socket = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().into();
    let mut sample = Sample::of(crate::wire::Tuple {
        protocol: crate::wire::Protocol::Udp,
        src: socket("192.0.2.1:1"),
        dst: socket("192.0.2.2:2"),
    });
    sample.payload = vec![7; payload];
    sample.frame()
}

#[test]
fn a_fragment_is_cut_into_fragments_of_the_same_datagram() {
    let frame = a_datagram(792);
    let whole = layout_of(&frame);
    let halves = pieces(&frame, &whole, 420).unwrap();
    assert_eq!(halves.len(), 2);
    let spans = |frame: &[u8], mtu| -> Vec<_> {
        let layout = read(frame).layout;
        let pieces = pieces(frame, &layout, mtu).unwrap();
        let spans = pieces.iter().map(|piece| read(piece).span);
        spans
            .map(|span| (span.start, span.end, span.is_last))
            .collect()
    };
    assert_eq!(spans(&halves[0], 220), [(0, 200, false), (200, 400, false)]);
    assert_eq!(
        spans(&halves[1], 220),
        [(400, 600, false), (600, 800, true)]
    );
    assert_eq!(read(&halves[1]).layout.piece, Piece::Later);
}

#[test]
fn what_may_not_be_fragmented_is_not() {
    let mut frame = a_datagram(100);
    frame[20] |= 0x40;
    sample::seal_v4(&mut frame[14..]);
    let layout = layout_of(&frame);
    assert!(Cuts::of(&frame, &layout, 80).is_none());
}

#[test]
fn df_can_be_lifted_and_gives_the_fragments_an_identification() {
    let with = |ident: u16, flags: u8| {
        let mut frame = a_datagram(100);
        frame[18..20].copy_from_slice(&ident.to_be_bytes());
        frame[20] = flags;
        sample::seal_v4(&mut frame[14..]);
        frame
    };
    let mut whole = with(0, 0x40);
    let layout = layout_of(&whole);
    lift_dont_fragment(&mut whole, &layout, 9);
    assert_eq!(whole, with(9, 0));
    assert_eq!(
        pieces(&whole, &layout, 80).map(|pieces| pieces.len()),
        Some(2)
    );
    lift_dont_fragment(&mut whole, &layout, 10);
    assert_eq!(whole, with(9, 0), "it had none");
    let mut part = with(3, 0x60);
    lift_dont_fragment(&mut part, &layout, 9);
    assert_eq!(part, with(3, 0x20), "others have that, too");
}

#[test]
fn options_that_are_not_copied_stay_with_the_first() {
    // Record route (7), router alert (148), no operation.
    let options = [7, 3, 4, 148, 4, 1, 2, 1];
    let mut kept = [0xee; ipv4::MAX_OPTIONS];
    assert_eq!(ipv4::copied_options(&options, &mut kept), [148, 4, 1, 2]);
    assert_eq!(
        ipv4::copied_options(&[136, 3, 9, 0], &mut kept),
        [136, 3, 9, 0]
    );
    assert_eq!(ipv4::copied_options(&[7, 3, 4, 0], &mut kept), [0; 0]);
    assert_eq!(
        ipv4::copied_options(&[148, 9, 0, 0], &mut kept),
        [0; 0],
        "cut off"
    );
}
