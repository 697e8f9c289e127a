//! What the agent opens, and what it makes of it.

use anyhow::{Context, Result};
use testbed::packet::udp;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::ECHO_PORT;
use testbed::tunnel::Tunnel;

use crate::bed::{Bed, PLAIN, counted, ends, hello, pairs, syn, wrapped};
use crate::faults::set_sum;

#[test]
fn every_tunnel_reaches_the_vip_and_the_answers_go_to_the_client() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let mut agent = bed.agent(PLAIN)?;
    let mut port = 20_000;
    for tunnel in Tunnel::ALL {
        for (outer, inner) in pairs() {
            port += 1;
            let case = format!("{tunnel:?}, {inner:?} in {outer:?}");
            bed.send(&wrapped(tunnel, outer, &hello(inner, port)))?;
            bed.expect_echo(inner, port).context(case.clone())?;
            bed.send(&wrapped(tunnel, outer, &syn(inner, port)))?;
            bed.expect_syn_ack(inner, port).context(case)?;
        }
    }
    let (status, outcomes) = agent.end_by(Signal::Term)?;
    assert!(status.success(), "{status}");
    let expected = [("gre", 16), ("gue", 24), ("ipip", 8)].map(|(n, c)| (n.to_owned(), c));
    assert_eq!(
        counted(outcomes.context("no counters at the end")?),
        expected
    );
    Ok(())
}

#[test]
fn only_the_tunnels_named_on_the_port_named() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let agent = bed.agent(&format!("{PLAIN}tunnels = [\"gue\"]\ngue_port = 5555\n"))?;
    let (source, destination) = ends(Family::V4);
    for tunnel in Tunnel::ALL {
        bed.send(&wrapped(tunnel, Family::V4, &hello(Family::V4, 34_000)))?;
    }
    let inner = hello(Family::V4, 34_001);
    let outer = udp((source, 4000).into(), (destination, 5555).into(), &inner);
    bed.send(&outer)?;
    bed.expect_echo(Family::V4, 34_001)?;
    assert_eq!(counted(agent.outcomes()?), [("gue".to_owned(), 1)]);
    Ok(())
}

/// RFC 6040 4.2: the mark of the outer header goes over to an inner packet that knows ECN.
#[test]
fn the_mark_of_congestion_goes_over_to_the_inner_packet() -> Result<()> {
    if !require::programs(&["ip", "ethtool", "nft", "nginx"]) {
        return Ok(());
    }
    let bed = Bed::build()?;
    let marked = |text: &str| format!("{text} ecn ce udp dport {ECHO_PORT} counter");
    let rules = format!(
        "add table inet t; add chain inet t in {{ type filter hook input priority 0; }}; \
         add rule inet t in {}; add rule inet t in {}",
        marked("ip"),
        marked("ip6")
    );
    bed.real().namespace.run("nft", &[&rules])?;
    let agent = bed.agent(PLAIN)?;
    for (port, (outer, inner)) in (35_000..).zip(pairs()) {
        let mut packet = hello(inner, port);
        set_ecn(inner, &mut packet, 2);
        let mut packet = wrapped(Tunnel::Ipip, outer, &packet);
        set_ecn(outer, &mut packet, 3);
        bed.send(&packet)?;
        bed.expect_echo(inner, port)?;
    }
    assert_eq!(counted(agent.outcomes()?), [("ipip".to_owned(), 4)]);
    let rules = bed.real().namespace.run("nft", &["list", "ruleset"])?;
    assert_eq!(rules.matches("counter packets 2 ").count(), 2, "{rules}");
    Ok(())
}

fn set_ecn(family: Family, packet: &mut [u8], bits: u8) {
    match family {
        Family::V4 => {
            packet[1] |= bits;
            set_sum(packet);
        }
        Family::V6 => packet[1] |= bits << 4,
    }
}
