//! The real-server agent: packets in tunnels reach the VIP on the real server's loopback, and all
//! others are as if it were not there.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use testbed::agent::{Agent, Outcomes};
use testbed::packet::{Mac, Packet, Segment, checksum, ethernet, flag, protocol, tcp, udp};
use testbed::process::Signal;
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::{ECHO_PORT, Nginx, UdpEcho};
use testbed::topology::{
    CLIENT_SIDE, CLIENT_V4, CLIENT_V6, HOST_SIDE, Layout, Plan, RealHost, Topology, VIP_V4, VIP_V6,
};
use testbed::traffic::fetch_names;
use testbed::tunnel::Tunnel;
use testbed::wait;

const PLAIN: &str = "[agent]\ninterface = \"eth0\"\n";
const REAL_PORT: &str = "rs1";
const PATIENCE: Duration = Duration::from_secs(10);

/// A client, a host in the director's place that sends by hand, and a real server with the VIPs.
struct Bed {
    topology: Topology,
    /// Frames of the sender.
    sender: Tap,
    /// What comes to the client.
    client: Tap,
    _echo: UdpEcho,
    _web: Nginx,
}

impl Bed {
    fn build() -> Result<Self> {
        let topology = Topology::build(Plan {
            reals: 1,
            layout: Layout::Direct,
            ..Plan::default()
        })?;
        topology.director.ip(&format!(
            "addr del {VIP_V4}/32 dev lo\naddr del {VIP_V6}/128 dev lo\n"
        ))?;
        let real = &topology.reals[0];
        real.namespace.ip(&format!(
            "addr add {VIP_V4}/32 dev lo\naddr add {VIP_V6}/128 dev lo nodad\n"
        ))?;
        Ok(Self {
            sender: Tap::open(&topology.director, REAL_PORT)?,
            client: Tap::open(&topology.client, HOST_SIDE)?,
            _echo: UdpEcho::start_at(real, [VIP_V4.into(), VIP_V6.into()])?,
            _web: Nginx::start(real)?,
            topology,
        })
    }

    fn real(&self) -> &RealHost {
        &self.topology.reals[0]
    }

    fn agent(&self, text: &str) -> Result<Agent> {
        Agent::start(&self.real().namespace, text)
    }

    fn send(&self, packet: &[u8]) -> Result<()> {
        let (from, to) = (Mac::of_host(2, 0xfe), Mac::of_host(2, 1));
        self.sender.send(&ethernet(from, to, packet))
    }

    /// The client has the answer of the VIP's echo to `port`.
    fn expect_echo(&self, family: Family, port: u16) -> Result<()> {
        let sockets = Some((family.echo(), client(family, port)));
        let packet = self
            .client
            .expect("echo", |packet| packet.sockets() == sockets)?;
        ensure!(packet.payload_intact() && packet.payload.ends_with(b"rs1:hello"));
        Ok(())
    }

    /// The client has the SYN+ACK of the VIP's nginx to `port`.
    fn expect_syn_ack(&self, family: Family, port: u16) -> Result<()> {
        let sockets = Some((family.http(), client(family, port)));
        let packet = self
            .client
            .expect("SYN+ACK", |packet| packet.sockets() == sockets)?;
        ensure!(packet.payload[13] == flag::SYN | flag::ACK, "{packet:?}");
        Ok(())
    }

    /// Whether the sender's tunnel packets reach the VIP. Where they do not, the kernel of the
    /// real server refuses them.
    fn decapsulates(&self) -> Result<bool> {
        self.sender.drain(|_| true)?;
        self.client.drain(|_| true)?;
        self.send(&wrapped(Tunnel::Ipip, Family::V4, &hello(Family::V4, 4321)))?;
        let mut answered = None;
        wait::until("an answer or a refusal", PATIENCE, || {
            let echo = |packet: &Packet| packet.source == VIP_V4;
            let refusal = |packet: &Packet| {
                packet.protocol == protocol::ICMP && packet.payload.first() == Some(&3)
            };
            if !self.client.drain(echo)?.is_empty() {
                answered = Some(true);
            } else if !self.sender.drain(refusal)?.is_empty() {
                answered = Some(false);
            }
            answered.context("neither")
        })
    }
}

fn client(family: Family, port: u16) -> SocketAddr {
    match family {
        Family::V4 => (CLIENT_V4, port).into(),
        Family::V6 => (CLIENT_V6, port).into(),
    }
}

/// What the client says to the VIP's echo.
fn hello(family: Family, port: u16) -> Vec<u8> {
    udp(client(family, port), family.echo(), b"hello")
}

fn syn(family: Family, port: u16) -> Vec<u8> {
    let segment = Segment {
        flags: flag::SYN,
        sequence: 1000,
        ..Segment::default()
    };
    tcp(client(family, port), family.http(), segment)
}

/// The ends of the tunnel: the sender and the real server.
fn ends(outer: Family) -> (IpAddr, IpAddr) {
    let address = |text: &str| text.parse().expect("an address");
    match outer {
        Family::V4 => (address("10.0.2.254"), address("10.0.2.1")),
        Family::V6 => (address("fd00:2::fe"), address("fd00:2::1")),
    }
}

fn wrapped(tunnel: Tunnel, outer: Family, inner: &[u8]) -> Vec<u8> {
    let (source, destination) = ends(outer);
    tunnel.wrap(source, destination, inner)
}

fn outcome_of(tunnel: Tunnel) -> &'static str {
    match tunnel {
        Tunnel::Ipip => "ipip",
        Tunnel::Gre | Tunnel::GreChecksum => "gre",
        Tunnel::Gue | Tunnel::GueDirect | Tunnel::GueRemoteChecksum => "gue",
    }
}

/// What was counted but `passed`, which includes the neighbour discovery of the hosts.
fn counted(outcomes: Outcomes) -> Vec<(String, u64)> {
    let interesting = |(name, packets): &(String, u64)| name != "passed" && *packets > 0;
    outcomes.into_iter().filter(interesting).collect()
}

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

fn pairs() -> impl Iterator<Item = (Family, Family)> {
    let each = |outer| Family::BOTH.map(move |inner| (outer, inner));
    Family::BOTH.into_iter().flat_map(each)
}

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
fn set_sum(packet: &mut [u8]) {
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
        let after = agent.outcomes()?;
        let changed: Vec<_> = counted(after)
            .into_iter()
            .filter(|(name, packets)| before[name] != *packets)
            .collect();
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
    let outcomes = agent.outcomes()?;
    assert!(
        outcomes.values().sum::<u64>() > sent,
        "{sent}: {outcomes:?}"
    );
    assert_eq!(outcomes["no_room"], 0, "{outcomes:?}");
    Ok(())
}

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
fn a_reload_changes_the_lists_and_a_bad_file_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let lists =
        |director: &str| format!("{PLAIN}directors = [\"{director}\"]\nvips = [\"{VIP_V4}\"]\n");
    let agent = bed.agent(&lists("10.0.2.253"))?;
    let heard = |port| -> Result<Vec<(String, u64)>> {
        bed.send(&wrapped(Tunnel::Ipip, Family::V4, &hello(Family::V4, port)))?;
        Ok(counted(agent.outcomes()?))
    };
    let counts = |source, ipip| {
        let all = [("ipip", ipip), ("source", source)].map(|(n, c)| (n.to_owned(), c));
        all.into_iter().filter(|(_, c)| *c > 0).collect::<Vec<_>>()
    };
    assert_eq!(heard(37_001)?, counts(1, 0));
    agent.reload(&lists("10.0.2.254"))?;
    assert_eq!(heard(37_002)?, counts(1, 1));
    agent.reload("[agent]\n")?;
    assert!(agent.log().contains("not reloaded"));
    assert_eq!(heard(37_003)?, counts(1, 2));
    agent.reload(&lists("10.0.2.253"))?;
    assert_eq!(heard(37_004)?, counts(2, 2));
    agent.reload(PLAIN)?;
    assert_eq!(heard(37_005)?, counts(2, 3));
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

/// Wraps what the client sends to the VIPs, as a director does, until it is stopped.
fn relay(from: &Tap, to: &Tap, tunnel: Tunnel, outer: Family, stop: &AtomicBool) -> Result<()> {
    let (here, there) = (Mac::of_host(2, 0xfe), Mac::of_host(2, 1));
    while !stop.load(Relaxed) {
        let Some(frame) = from.next_frame()? else {
            continue;
        };
        let to_vip = Packet::in_frame(&frame)
            .is_some_and(|p| p.destination == VIP_V4 || p.destination == VIP_V6);
        if to_vip {
            let packet = wrapped(tunnel, outer, &frame[14..]);
            to.send(&ethernet(here, there, &packet))?;
        }
    }
    Ok(())
}

/// What a server on the VIP gets of a client that sends it `sent`.
fn upload(bed: &Bed, server: SocketAddr, sent: &[u8]) -> Result<Vec<u8>> {
    let listener = bed
        .real()
        .namespace
        .enter(|| Ok(TcpListener::bind(server)?))?;
    let receiver = std::thread::spawn(move || -> Result<Vec<u8>> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got)?;
        Ok(got)
    });
    bed.topology.client.enter(|| {
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(sent)?;
        Ok(stream.shutdown(Shutdown::Write)?)
    })?;
    match receiver.join() {
        Ok(got) => got,
        Err(_) => bail!("the receiver panicked"),
    }
}

/// The kernel of the real server merges what arrives (GRO) before the agent sees it.
#[test]
fn streams_through_every_tunnel_are_whole() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    // Room for the outer headers.
    bed.topology.client.ip("link set eth0 mtu 1400\n")?;
    bed.topology.director.ip(&format!(
        "route add blackhole {VIP_V4}/32\nroute add blackhole {VIP_V6}/128\n"
    ))?;
    // Packets wait for others to be merged with.
    let wait = format!("echo 1000000 >/sys/class/net/{HOST_SIDE}/gro_flush_timeout");
    bed.real().namespace.run("sh", &["-c", &wait])?;
    let agent = bed.agent(PLAIN)?;
    let sent: Vec<u8> = (0..1u32 << 20).map(|i| ((i * 31) >> 7) as u8).collect();
    for tunnel in Tunnel::ALL {
        for (outer, inner) in pairs() {
            let stop = Arc::new(AtomicBool::new(false));
            let from = Tap::open(&bed.topology.director, CLIENT_SIDE)?;
            let to = Tap::open(&bed.topology.director, REAL_PORT)?;
            let stopped = Arc::clone(&stop);
            let relay = std::thread::spawn(move || relay(&from, &to, tunnel, outer, &stopped));
            let seen = Tap::open(&bed.real().namespace, HOST_SIDE)?;
            let got = upload(&bed, SocketAddr::new(inner.vip(), 9), &sent);
            let longest = seen.drain(|_| true)?.iter().map(|p| p.payload.len()).max();
            stop.store(true, Relaxed);
            let relayed = relay.join();
            let case = format!("{tunnel:?}, {inner:?} in {outer:?}");
            relayed
                .map_err(|_| anyhow::anyhow!("relay"))
                .context(case.clone())??;
            assert!(got.context(case.clone())? == sent, "{case}");
            if tunnel == Tunnel::Ipip {
                assert!(longest > Some(1500), "{case}: nothing was merged");
            }
        }
    }
    let outcomes = agent.outcomes()?;
    for tunnel in Tunnel::ALL {
        assert!(outcomes[outcome_of(tunnel)] > 0, "{outcomes:?}");
    }
    for fault in ["malformed", "checksum", "no_room", "destination", "form"] {
        assert_eq!(outcomes[fault], 0, "{outcomes:?}");
    }
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

#[test]
fn every_end_detaches_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    assert!(!bed.decapsulates()?);
    for signal in [Signal::Term, Signal::Kill, Signal::Term] {
        let mut agent = bed.agent(PLAIN)?;
        assert!(bed.decapsulates()?, "after a start");
        let (status, _) = agent.end_by(signal)?;
        assert_eq!(status.success(), signal == Signal::Term);
        assert!(!bed.decapsulates()?, "after {signal:?}");
    }
    Ok(())
}

/// Kernels before 6.6 have no links at tc: there a killed agent leaves its filter, and the next
/// one takes its place.
#[test]
fn as_a_filter_it_is_replaced_after_a_kill_and_goes_with_an_orderly_end() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let filters = || {
        let list = &["filter", "show", "dev", HOST_SIDE, "ingress"];
        let text = bed.real().namespace.run("tc", list)?;
        Ok::<_, anyhow::Error>(text.matches("direct-action").count())
    };
    let text = format!("{PLAIN}hook = \"clsact\"\n");
    let mut agent = bed.agent(&text)?;
    assert!(agent.log().contains("clsact"));
    assert!(bed.decapsulates()?);
    agent.end_by(Signal::Kill)?;
    assert_eq!(filters()?, 1);
    let mut agent = bed.agent(&text)?;
    assert_eq!(filters()?, 1);
    assert!(bed.decapsulates()?);
    let (status, outcomes) = agent.end_by(Signal::Term)?;
    assert!(status.success());
    assert_eq!(outcomes.context("no counters")?["ipip"], 1);
    assert_eq!(filters()?, 0);
    assert!(!bed.decapsulates()?);
    Ok(())
}

#[test]
fn what_cannot_start_says_why_and_a_lost_interface_ends_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    for (text, word) in [
        (
            "[agent]\ninterface = \"nic7\"\n",
            "there is no interface `nic7`",
        ),
        ("[agent]\ninterface = \"lo\"\n", "no Ethernet interface"),
        ("[agent]\n", "agent.toml:1: agent.interface: is missing"),
    ] {
        let said = bed.agent(text).map(drop).expect_err(text).to_string();
        assert!(said.contains(word), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    let mut agent = bed.agent(PLAIN)?;
    bed.real().namespace.ip("link del eth0\n")?;
    assert!(!agent.wait()?.success());
    assert!(agent.log().contains("`eth0` is gone"));
    Ok(())
}
