//! Packets that are wrong.

use anyhow::{Result, ensure};
use testbed::packet::{checksum, protocol};
use testbed::require;
use testbed::scene::Family;
use testbed::topology::VIP_V4;
use testbed::tunnel::Tunnel;
use testbed::wait;

use crate::bed::{Bed, PATIENCE, PLAIN, client, counted, hello, pairs, wrapped};

/// A change of a good packet, and what then becomes of it.
type Fault = (&'static str, Tunnel, &'static str, fn(&mut Vec<u8>));

/// Each on a packet of IPv4 in IPv4 whose outer header takes 20 bytes.
const FAULTS: [Fault; 14] = [
    ("an inner packet cut off", Tunnel::Ipip, "malformed", |p| {
        p.truncate(p.len() - 1);
        set_length(p);
    }),
    ("no inner header", Tunnel::Ipip, "malformed", |p| {
        p.truncate(24);
        set_length(p);
    }),
    ("IPv6 said and IPv4 found", Tunnel::Ipip, "malformed", |p| {
        p[9] = protocol::IPV6;
        set_length(p);
    }),
    ("an inner header too short", Tunnel::Gre, "malformed", |p| {
        p[24] = 0x44
    }),
    ("an outer length too long", Tunnel::Ipip, "malformed", |p| {
        p[3] += 1;
        set_sum(p);
    }),
    ("a UDP length too long", Tunnel::Gue, "malformed", |p| {
        p[25] += 1
    }),
    (
        "a sum that begins outside",
        Tunnel::GueRemoteChecksum,
        "malformed",
        |p| p[36] = 0x70,
    ),
    ("a wrong outer checksum", Tunnel::Ipip, "checksum", |p| {
        p[10] ^= 1
    }),
    (
        "a wrong GRE checksum",
        Tunnel::GreChecksum,
        "checksum",
        |p| p[24] ^= 1,
    ),
    ("a GRE key", Tunnel::Gre, "form", |p| p[20] = 0x20),
    ("a bridged frame in GRE", Tunnel::Gre, "form", |p| {
        p[22..24].copy_from_slice(&[0x65, 0x58]);
    }),
    ("a GUE control message", Tunnel::Gue, "form", |p| {
        p[28] |= 0x20
    }),
    ("a fragment", Tunnel::Ipip, "form", |p| {
        p[6] = 0x20;
        set_sum(p);
    }),
    (
        "congestion, which the ends do not know",
        Tunnel::Ipip,
        "congestion",
        |p| {
            p[1] = 3;
            set_sum(p);
        },
    ),
];

/// Makes the outer length true.
fn set_length(packet: &mut [u8]) {
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    set_sum(packet);
}

/// Makes the outer header checksum right.
pub(crate) fn set_sum(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let sum = checksum(&[&packet[..20]]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn what_is_wrong_is_counted_by_its_reason_and_reaches_nobody() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let agent = bed.agent(PLAIN)?;
    for (what, tunnel, outcome, spoil) in FAULTS {
        let before = agent.outcomes()?;
        let mut packet = wrapped(tunnel, Family::V4, &hello(Family::V4, 30_000));
        spoil(&mut packet);
        bed.send(&packet)?;
        let changed = wait::until(what, PATIENCE, || {
            let mut changed = counted(agent.outcomes()?);
            changed.retain(|(name, packets)| before[name] != *packets);
            ensure!(!changed.is_empty(), "nothing is counted");
            Ok(changed)
        })?;
        assert_eq!(
            changed,
            [(outcome.to_owned(), before[outcome] + 1)],
            "{what}"
        );
    }
    bed.send(&wrapped(
        Tunnel::Ipip,
        Family::V4,
        &hello(Family::V4, 30_001),
    ))?;
    bed.expect_echo(Family::V4, 30_001)?;
    let answers = bed.client.drain(|packet| packet.source == VIP_V4)?;
    assert_eq!(answers, [], "the VIP answered a faulty packet");
    Ok(())
}

#[test]
fn no_byte_of_the_headers_can_upset_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let agent = bed.agent(PLAIN)?;
    let mut sent = 0;
    for tunnel in Tunnel::ALL {
        for (outer, inner) in pairs() {
            let good = wrapped(tunnel, outer, &hello(inner, 31_000));
            for at in 0..good.len() {
                let mut odd = good.clone();
                odd[at] ^= 0xff;
                bed.send(&odd)?;
                bed.send(&good[..at.max(1)])?;
                sent += 2;
            }
        }
    }
    // The client's tap is full of answers: some of the changes leave a good packet.
    let last = wrapped(Tunnel::Ipip, Family::V4, &hello(Family::V4, 31_001));
    let sockets = Some((Family::V4.echo(), client(Family::V4, 31_001)));
    wait::until("an echo", PATIENCE, || {
        bed.send(&last)?;
        let answers = bed.client.drain(|packet| packet.sockets() == sockets)?;
        ensure!(!answers.is_empty());
        Ok(())
    })?;
    let (outcomes, lost) = (agent.outcomes()?, bed.lost()?);
    assert!(
        outcomes.values().sum::<u64>() + lost > sent,
        "{sent}, of which {lost} were lost on the link: {outcomes:?}"
    );
    assert_eq!(outcomes["no_room"], 0, "{outcomes:?}");
    Ok(())
}
