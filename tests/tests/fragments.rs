//! Datagrams in fragments: of any size by every method, in any order, and as attackers send them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use adminapi::model::{ForwardingMethod, Scheduler, Tunnel, TunnelChecksum, TunnelType};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::agent::Agent;
use testbed::director::{Configuration, Director, by};
use testbed::packet::{
    Mac, Packet, Segment, ethernet, flag, fragment, icmp, ip, protocol, tcp, udp,
};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene, services};
use testbed::servers::UdpEcho;
use testbed::topology::{CLIENT_V4, CLIENT_V6, HOST_SIDE, Plan, Topology, VIP_V4, VIP_V6};
use testbed::traffic::{HttpConnection, UdpClient};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(20);
const PORT: u16 = 40_000;

/// One real server behind one queue or several.
fn nat(queues: u8) -> Result<Scene> {
    let plan = Plan {
        reals: 1,
        queues,
        ..Plan::default()
    };
    Scene::start_with(plan, Scheduler::Rr, &[1])
}

fn client(family: Family) -> SocketAddr {
    match family {
        Family::V4 => (CLIENT_V4, PORT).into(),
        Family::V6 => (CLIENT_V6, PORT).into(),
    }
}

/// Length of the IP header.
const fn header(family: Family) -> usize {
    match family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

fn dropped(director: &Director, reason: &str) -> Result<u64> {
    Ok(director
        .api()
        .stats()?
        .drops
        .get(reason)
        .copied()
        .unwrap_or(0))
}

/// Frames of the client's own making.
struct ByHand {
    tap: Tap,
}

impl ByHand {
    fn open(scene: &Scene) -> Result<Self> {
        Ok(Self {
            tap: Tap::open(&scene.topology.client, HOST_SIDE)?,
        })
    }

    fn send(&self, packet: &[u8]) -> Result<()> {
        let (from, to) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
        self.tap.send(&ethernet(from, to, packet))
    }

    /// The echo of `message` comes back, whole.
    fn expect_echo(&self, family: Family, message: &[u8]) -> Result<()> {
        let ends = Some((family.echo(), client(family)));
        let is_echo = |p: &Packet| p.protocol == protocol::UDP && p.sockets() == ends;
        let echo = self.tap.expect("echo", is_echo)?;
        ensure!(echo.payload_intact() && echo.payload.ends_with(message));
        Ok(())
    }
}

#[test]
fn datagrams_of_any_size_pass_in_both_directions() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for queues in [1, 2] {
        let scene = nat(queues)?;
        for family in Family::BOTH {
            let client = UdpClient::open(&scene.topology.client, family.echo())?;
            for length in [1473, 8_000, 60_000] {
                assert_eq!(client.echo(&bytes(length))?, "rs1", "{family:?} {length}");
            }
            let stats = scene.director.api().service(family.echo_service())?.stats;
            assert_eq!(stats.connections, 1);
            assert!(stats.in_bytes > 69_473 && stats.out_bytes > 69_473);
        }
        assert_accounts(&scene.director);
    }
    Ok(())
}

/// Real servers with the VIP, which answer past the director.
struct OneWay {
    director: Director,
    _agent: Option<Agent>,
    _echo: UdpEcho,
    topology: Topology,
}

impl OneWay {
    fn start(method: ForwardingMethod, tun: Option<Tunnel>) -> Result<Self> {
        let topology = Topology::build(Plan {
            reals: 1,
            ..Plan::default()
        })?;
        topology.bypass_director()?;
        let real = &topology.reals[0];
        let echo = UdpEcho::start_at(real, [VIP_V4.into(), VIP_V6.into()])?;
        let agent = match tun {
            Some(_) => {
                let text = "[agent]\ninterface = \"eth0\"\n";
                Some(Agent::start(&real.namespace, text)?)
            }
            None => None,
        };
        let configuration = services(&topology, Scheduler::Rr, &[1])
            .into_iter()
            .map(|service| by(service, method, tun))
            .fold(
                Configuration::new(topology.interfaces()),
                Configuration::service,
            );
        topology.meet_neighbours()?;
        Ok(Self {
            director: Director::start(&topology.director, &configuration)?,
            _agent: agent,
            _echo: echo,
            topology,
        })
    }

    /// The client hears of the MTU by a datagram that is lost, if at all.
    fn echo(&self, family: Family, length: usize) -> Result<()> {
        let client = UdpClient::open(&self.topology.client, family.echo())?;
        wait::until("the echo", PATIENCE, || {
            let name = client.echo(&bytes(length))?;
            ensure!(name == "rs1");
            Ok(())
        })
    }
}

#[test]
fn datagrams_of_any_size_pass_by_direct_routing_and_tunnels() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let ipip = Tunnel {
        kind: TunnelType::Ipip,
        port: None,
        checksum: TunnelChecksum::None,
    };
    for (method, tun) in [
        (ForwardingMethod::Dr, None),
        (ForwardingMethod::Tun, Some(ipip)),
    ] {
        let bench = OneWay::start(method, tun)?;
        for family in Family::BOTH {
            for length in [8_000, 60_000] {
                bench.echo(family, length)?;
            }
        }
        assert_accounts(&bench.director);
    }
    Ok(())
}

#[test]
fn a_link_that_is_narrower_gets_more_fragments() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let narrow = ["link", "set", "rs0", "mtu", "1300"];
    scene.topology.director.run("ip", &narrow)?;
    let narrow = ["link", "set", HOST_SIDE, "mtu", "1300"];
    scene.topology.reals[0].namespace.run("ip", &narrow)?;
    let at_real = Tap::open(&scene.topology.reals[0].namespace, HOST_SIDE)?;
    let client = UdpClient::open(&scene.topology.client, Family::V4.echo())?;
    // Until the director has heard of the MTU, what is too long is lost.
    wait::until("the narrow link to be known", PATIENCE, || {
        client.echo(&bytes(8_000)).map(drop)
    })?;
    at_real.drain(|_| true)?;
    for length in [8_000, 60_000] {
        assert_eq!(client.echo(&bytes(length))?, "rs1", "{length}");
    }
    let answered = scene.echo[0].answered();
    let by_hand = ByHand::open(&scene)?;
    let packet = udp(self::client(Family::V4), Family::V4.echo(), &bytes(1400));
    // All of it, without DF.
    by_hand.send(&fragment(&packet, 77, 0..1408, false))?;
    wait::until("the datagram in two parts", PATIENCE, || {
        ensure!(scene.echo[0].answered() == answered + 1);
        Ok(())
    })?;
    let lengths = at_real.drain(|p| p.protocol == protocol::UDP && p.source == CLIENT_V4)?;
    assert!(lengths.iter().all(|p| p.payload.len() + 20 <= 1300));
    assert!(lengths.iter().all(|p| p.header_intact && p.hops == 63));
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn fragments_come_in_any_order() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene)?;
    let message = bytes(1200);
    for family in Family::BOTH {
        let packet = udp(client(family), family.echo(), &message);
        let end = packet.len() - header(family);
        let parts = [(0..400, true), (400..800, true), (800..end, false)];
        let orders = [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ];
        for (ident, order) in (1..).zip(orders) {
            for (part, more) in order.map(|n| parts[n].clone()) {
                by_hand.send(&fragment(&packet, ident, part, more))?;
            }
            by_hand.expect_echo(family, &message)?;
        }
    }
    assert_eq!(dropped(&scene.director, "fragment_orphan")?, 0);
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_first_fragment_without_its_headers_is_dropped() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene)?;
    for family in Family::BOTH {
        let syn = Segment {
            flags: flag::SYN,
            ..Segment::default()
        };
        let packet = tcp(client(family), family.http(), syn);
        // RFC 1858: the flags come in the second fragment.
        by_hand.send(&fragment(&packet, 1, 0..8, true))?;
        by_hand.send(&fragment(&packet, 1, 8..20, false))?;
        // No TCP sends its SYN in fragments.
        let long = tcp(
            client(family),
            family.http(),
            Segment {
                payload: &[7; 64],
                ..syn
            },
        );
        by_hand.send(&fragment(&long, 2, 0..40, true))?;
    }
    for (reason, count) in [
        ("fragment_first_too_small", 2),
        ("tcp_flags", 2),
        ("fragment_orphan", 2),
    ] {
        wait::until(reason, PATIENCE, || {
            ensure!(dropped(&scene.director, reason)? == count);
            Ok(())
        })?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn what_overlaps_is_dropped_with_its_datagram() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene)?;
    let message = bytes(1200);
    for (family, before) in Family::BOTH.into_iter().zip([0, 1]) {
        let packet = udp(client(family), family.echo(), &message);
        let end = packet.len() - header(family);
        for (part, more) in [(0..800, true), (400..1000, true), (800..end, false)] {
            by_hand.send(&fragment(&packet, 1, part, more))?;
        }
        // Another datagram, one of whose fragments comes twice, is not hurt.
        for (part, more) in [(0..800, true), (0..800, true), (800..end, false)] {
            by_hand.send(&fragment(&packet, 2, part, more))?;
        }
        by_hand.expect_echo(family, &message)?;
        assert_eq!(scene.echo[0].answered(), before + 1, "{family:?}");
        assert_eq!(
            dropped(&scene.director, "fragment_overlap")?,
            2 * (before + 1)
        );
        assert_eq!(dropped(&scene.director, "fragment_orphan")?, before + 1);
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// Floods of fragments whose datagrams are never complete: with a first one, and without.
#[test]
fn a_flood_of_fragments_leaves_others_alone() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene)?;
    let mut web = HttpConnection::open(&scene.topology.client, Family::V4.http())?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<()> {
        let flood = scope.spawn(|| -> Result<()> {
            let packets = Family::BOTH.map(|family| {
                let packet = udp(client(family), family.echo(), &bytes(1200));
                [(0..400, true), (400..800, true)].map(|part| (packet.clone(), part))
            });
            for ident in 100.. {
                for (packet, (part, more)) in packets.iter().flatten() {
                    // Those without a first one have another identification.
                    let ident = ident * 2 + u32::from(part.start > 0);
                    by_hand.send(&fragment(packet, ident, part.clone(), *more))?;
                }
                if ident % 8 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if done.load(Relaxed) {
                    break;
                }
            }
            Ok(())
        });
        let legitimate = || -> Result<()> {
            for family in Family::BOTH {
                let client = UdpClient::open(&scene.topology.client, family.echo())?;
                for _ in 0..50 {
                    ensure!(client.echo(&bytes(8_000))? == "rs1");
                    ensure!(web.ask_name()? == "rs1");
                }
            }
            Ok(())
        };
        let mut legitimate = legitimate;
        let outcome = legitimate();
        done.store(true, Relaxed);
        flood.join().expect("the flood")?;
        outcome
    })?;
    wait::until("the flood to be counted", PATIENCE, || {
        let orphans = dropped(&scene.director, "fragment_orphan")?;
        let crowded = dropped(&scene.director, "fragment_no_room")?;
        ensure!(orphans + crowded > 0);
        Ok(())
    })?;
    assert_accounts(&scene.director);
    Ok(())
}

/// An error that quotes a first fragment reaches the real server that has sent it.
#[test]
fn an_error_about_a_fragment_reaches_its_sender() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene)?;
    let at_real = Tap::open(&scene.topology.reals[0].namespace, HOST_SIDE)?;
    for (family, kind) in [(Family::V4, (3, 4, 1400)), (Family::V6, (2, 0, 1400))] {
        let client = UdpClient::open(&scene.topology.client, family.echo())?;
        client.echo(&bytes(8_000))?;
        // The next are the fragments of the answer.
        let is_answer = |p: &Packet| p.source == family.vip();
        let first = by_hand.tap.expect("first fragment", is_answer)?;
        let (vip, host) = (first.source, first.destination);
        let mut quoted = ip(vip, host, first.protocol, &first.payload[..200]);
        if family == Family::V4 {
            quoted[6..8].copy_from_slice(&0x2000u16.to_be_bytes());
        }
        by_hand.send(&icmp(host, vip, kind, &quoted))?;
        let is_error = |p: &Packet| p.icmp() == Some((kind.0, kind.1));
        let error = at_real.expect("error", is_error)?;
        let real = scene.topology.reals[0].address(family.vip());
        assert_eq!((error.source, error.destination), (host, real));
        assert_eq!(error.quoted().expect("a quote").source, real);
        assert!(error.payload_intact());
        by_hand.tap.drain(|_| true)?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// What a real server sends in fragments on its own account is routed.
#[test]
fn a_real_server_sends_fragments_of_its_own() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let at_client = Tap::open(&scene.topology.client, HOST_SIDE)?;
    let at_real = Tap::open(&scene.topology.reals[0].namespace, HOST_SIDE)?;
    for family in Family::BOTH {
        let real = scene.topology.reals[0].address(family.vip());
        let packet = udp(SocketAddr::new(real, 5000), client(family), &bytes(800));
        let end = packet.len() - header(family);
        for (part, more) in [(400..end, false), (0..400, true)] {
            let piece = fragment(&packet, 9, part, more);
            let frame = ethernet(Mac::of_host(2, 1), Mac::of_host(2, 0xfe), &piece);
            at_real.send(&frame)?;
        }
        for _ in 0..2 {
            let got = at_client.expect("fragment", |p| p.source == real)?;
            assert_eq!(got.hops, 63);
        }
    }
    assert_accounts(&scene.director);
    Ok(())
}
