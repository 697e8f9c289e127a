//! What is not for the agent: other senders, other destinations, other traffic.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use testbed::packet::{Mac, ethernet, udp};
use testbed::require;
use testbed::scene::Family;
use testbed::servers::ECHO_PORT;
use testbed::topology::VIP_V4;
use testbed::traffic::fetch_names;
use testbed::tunnel::Tunnel;
use testbed::wait;

use crate::bed::{Bed, PATIENCE, PLAIN, client, counted, ends, hello, pairs, wrapped};

#[test]
fn only_the_directors_named_and_only_the_vips_named() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let agent = bed.agent(&format!(
        "{PLAIN}directors = [\"10.0.2.248/29\", \"fd00:2::fe\"]\nvips = [\"{VIP_V4}\"]\n"
    ))?;
    let (_, real) = ends(Family::V4);
    let stranger = "10.0.2.77".parse()?;
    for tunnel in Tunnel::ALL {
        bed.send(&tunnel.wrap(stranger, real, &hello(Family::V4, 32_000)))?;
        bed.send(&wrapped(tunnel, Family::V6, &hello(Family::V6, 32_001)))?;
    }
    for (port, outer) in [(32_002, Family::V4), (32_003, Family::V6)] {
        bed.send(&wrapped(Tunnel::Gre, outer, &hello(Family::V4, port)))?;
        bed.expect_echo(Family::V4, port)?;
    }
    let expected = [("destination", 6), ("gre", 2), ("source", 6)].map(|(n, c)| (n.to_owned(), c));
    assert_eq!(counted(agent.outcomes()?), expected);
    let answers = bed
        .client
        .drain(|packet| matches!(packet.sockets(), Some((from, _)) if from.port() == ECHO_PORT))?;
    assert_eq!(answers, []);
    Ok(())
}

#[test]
fn a_real_server_that_forwards_sends_no_inner_packet_on() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    bed.real().namespace.sysctl(&[
        "net.ipv4.ip_forward=1",
        "net.ipv6.conf.all.forwarding=1",
        "net.ipv4.conf.all.rp_filter=0",
        "net.ipv4.conf.eth0.rp_filter=0",
    ])?;
    let agent = bed.agent(PLAIN)?;
    let elsewhere = |family| {
        let source = client(family, 33_000);
        udp(source, client(family, 33_001), b"pass it on")
    };
    for (outer, inner) in pairs() {
        bed.send(&wrapped(Tunnel::Ipip, outer, &elsewhere(inner)))?;
    }
    for family in Family::BOTH {
        bed.send(&wrapped(Tunnel::Gue, Family::V4, &hello(family, 33_002)))?;
        bed.expect_echo(family, 33_002)?;
    }
    let expected = [("destination", 4), ("gue", 2)].map(|(n, c)| (n.to_owned(), c));
    assert_eq!(counted(agent.outcomes()?), expected);
    let passed_on = bed
        .client
        .drain(|packet| packet.payload.ends_with(b"pass it on"))?;
    assert_eq!(passed_on, []);
    Ok(())
}

#[test]
fn other_traffic_is_untouched() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let agent = bed.agent(PLAIN)?;
    bed.topology.director.ip("neigh flush dev rs1\n")?;
    bed.topology.meet_neighbours()?;
    for rip in [IpAddr::from(bed.real().v4), bed.real().v6.into()] {
        let web = SocketAddr::new(rip, 80);
        assert_eq!(fetch_names(&bed.topology.client, web, 3)?, ["rs1"; 3]);
    }
    let outcomes = agent.outcomes()?;
    assert!(outcomes["passed"] >= 20, "{outcomes:?}");
    assert_eq!(counted(outcomes), []);
    Ok(())
}

/// A frame for another station, as a bridge floods it, and one for another host.
#[test]
fn tunnels_of_others_are_not_opened() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let agent = bed.agent(PLAIN)?;
    let inner = hello(Family::V4, 36_000);
    let packet = wrapped(Tunnel::Ipip, Family::V4, &inner);
    let (from, to) = (Mac::of_host(2, 0xfe), Mac::of_host(2, 1));
    bed.sender
        .send(&ethernet(from, Mac::of_host(2, 9), &packet))?;
    let (source, _) = ends(Family::V4);
    let elsewhere = Tunnel::Ipip.wrap(source, "10.0.2.9".parse()?, &inner);
    bed.send(&elsewhere)?;
    let mut tagged = ethernet(from, to, &packet);
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    bed.sender.send(&tagged)?;
    assert_eq!(counted(agent.outcomes()?), []);

    // An address that comes later is this host's too.
    bed.real().namespace.ip("addr add 10.0.2.9/24 dev eth0\n")?;
    wait::until("the agent to see the address", PATIENCE, || {
        bed.send(&elsewhere)?;
        ensure!(counted(agent.outcomes()?).len() == 1);
        Ok(())
    })?;
    bed.expect_echo(Family::V4, 36_000)
}
