//! Segments cut up so that whoever looks at one piece only is deceived (T11).

use adminapi::model::ForwardingMethod;
use anyhow::Result;
use testbed::packet::{Segment, flag, fragment, tcp};
use testbed::require;

use super::bench::{Bench, HTTP, Victim, hand_made};

/// Of an IPv4 packet without options.
const HEADER: usize = 20;
const COPIES: u32 = 20;

/// One fragment: the bytes of the payload, and whether others follow.
type Part = (std::ops::Range<usize>, bool);

/// `COPIES` datagrams, each cut into these parts.
fn cut(packet: &[u8], first_ident: u32, parts: &[Part]) -> Vec<Vec<u8>> {
    (first_ident..first_ident + COPIES)
        .flat_map(|ident| {
            let part = |(part, more): &Part| fragment(packet, ident, part.clone(), *more);
            parts.iter().map(part).collect::<Vec<_>>()
        })
        .collect()
}

/// A SYN in fragments reaches nobody: neither one so small that its flags come in the second, nor
/// one whose flags are seen at once.
#[test]
fn a_syn_in_fragments_opens_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat)?;
    let mut victim = Victim::open(&bench)?;
    let syn = Segment {
        flags: flag::SYN,
        sequence: 1000,
        payload: &[7; 64],
        ..Segment::default()
    };
    let client = hand_made(26_000);
    let packet = tcp(client, HTTP.http(), syn);
    let end = packet.len() - HEADER;
    let tiny = [(0..8, true), (8..end, false)];
    let flags_seen = [(0..40, true), (40..end, false)];
    for (first, parts, reason) in [
        (1000, tiny, "fragment_first_too_small"),
        (2000, flags_seen, "tcp_flags"),
    ] {
        let packets = |round| cut(&packet, first + round * COPIES, &parts);
        bench.expect_drops_of(packets, reason, COPIES.into())?;
    }
    victim.use_once()?;
    assert_eq!(bench.state(client)?, "none");
    bench.end()
}

/// An innocent beginning, and a fragment that would put other flags over it.
#[test]
fn an_overlapping_fragment_rewrites_no_segment() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat)?;
    let mut victim = Victim::open(&bench)?;
    for (ident, name, flags) in [
        (3000, "RST", flag::RST | flag::ACK),
        (4000, "FIN", flag::FIN | flag::ACK),
        (5000, "SYN", flag::SYN),
    ] {
        let segment = |flags| Segment {
            flags,
            sequence: victim.next,
            acknowledgement: victim.awaited,
            payload: &[7; 64],
        };
        let innocent = tcp(victim.client, HTTP.http(), segment(flag::ACK));
        let wicked = tcp(victim.client, HTTP.http(), segment(flags));
        let end = innocent.len() - HEADER;
        let parts = |ident| {
            [
                fragment(&innocent, ident, 0..40, true),
                fragment(&wicked, ident, 8..48, true),
                fragment(&innocent, ident, 40..end, false),
            ]
        };
        let packets = |round| {
            let first = ident + round * COPIES;
            (first..first + COPIES).flat_map(parts).collect()
        };
        bench.expect_drops_of(packets, "fragment_overlap", COPIES.into())?;
        victim.use_once()?;
        assert_eq!(bench.state(victim.client)?, "ESTABLISHED", "{name}");
    }
    bench.end()
}
