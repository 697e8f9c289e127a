//! Tunnels: what arrives at the real server, header by header, and what the client hears of a
//! packet that does not fit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use adminapi::model::{
    ForwardingMethod, Protocol, Scheduler, Service, Tunnel, TunnelChecksum, TunnelType,
};
use adminapi::sysctl::Value;
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, by, service};
use testbed::packet::{
    Mac, Packet, Segment, checksum, ethernet, flag, icmp, ip, protocol, tcp, transport_checksum,
    udp,
};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{CLIENT_V4, CLIENT_V6, HOST_SIDE, Topology};
use testbed::wait;

const IPV4: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;

const KINDS: [Tunnel; 6] = [
    kind(TunnelType::Ipip, TunnelChecksum::None),
    kind(TunnelType::Gre, TunnelChecksum::None),
    kind(TunnelType::Gre, TunnelChecksum::Csum),
    kind(TunnelType::Gue, TunnelChecksum::None),
    kind(TunnelType::Gue, TunnelChecksum::Csum),
    kind(TunnelType::Gue, TunnelChecksum::Remcsum),
];

const fn kind(kind: TunnelType, checksum: TunnelChecksum) -> Tunnel {
    Tunnel {
        kind,
        port: None,
        checksum,
    }
}

/// One tunnelled real server and a sniffer at each end. Service i of `tunnels` is on port
/// `FIRST_PORT + i`, in each protocol and family.
struct Bench {
    director: Director,
    configuration: Configuration,
    at_client: Tap,
    at_real: Tap,
    /// The family that the outer header has.
    outer: Family,
    _topology: Topology,
}

const FIRST_PORT: u16 = 1000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Within this the director has told its gate again of all flows that something has changed for.
const ROUND: Duration = Duration::from_secs(1);

impl Bench {
    fn start(outer: Family, tunnels: &[Tunnel]) -> Result<Self> {
        Self::start_with(outer, tunnels, |configuration| configuration)
    }

    fn start_with(
        outer: Family,
        tunnels: &[Tunnel],
        settle: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<Self> {
        let topology = Topology::with_one_real()?;
        let real = topology.reals[0].address(outer.vip());
        let services = tunnels.iter().zip(FIRST_PORT..);
        let configuration = Configuration::new(topology.interfaces())
            .services(services.flat_map(|(tun, port)| all_services(real, port, *tun)));
        let configuration = settle(configuration);
        topology.meet_neighbours()?;
        Ok(Self {
            director: Director::start(&topology.director, &configuration)?,
            configuration,
            at_client: Tap::open(&topology.client, HOST_SIDE)?,
            at_real: Tap::open(&topology.reals[0].namespace, HOST_SIDE)?,
            outer,
            _topology: topology,
        })
    }

    /// Has the director read a sysctl in its file.
    fn tell(&mut self, sysctl: &str, value: i64) -> Result<()> {
        let text = self.configuration.clone().sysctl(sysctl, value);
        let text = text.text(&self.director.socket())?;
        self.director.reload(&text)?;
        wait::until("the reload", PATIENCE, || {
            let present = self.director.api();
            let present = present.call(async |api| api.sysctl(sysctl).await)?;
            ensure!(present.value == Value::Number(value), "{present:?}");
            Ok(())
        })
    }

    fn send(&self, packet: &[u8]) -> Result<()> {
        let (from, to) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
        self.at_client.send(&ethernet(from, to, packet))
    }

    /// Has a router before the real server say that `outer` is too long for a path of `mtu` bytes.
    fn report_narrow(&self, outer: &Packet, mtu: u32) -> Result<()> {
        let quoted = ip(
            outer.source,
            outer.destination,
            outer.protocol,
            &outer.payload[..64],
        );
        let kind = match self.outer {
            Family::V4 => (3, 4, mtu),
            Family::V6 => (2, 0, mtu),
        };
        let said = icmp(outer.destination, outer.source, kind, &quoted);
        let (from, to) = (Mac::of_host(2, 1), Mac::of_host(2, 0xfe));
        self.at_real.send(&ethernet(from, to, &said))
    }

    fn is_outer(&self, packet: &Packet) -> bool {
        let from_director = match self.outer {
            Family::V4 => IpAddr::from(Ipv4Addr::new(10, 0, 2, 0xfe)),
            Family::V6 => Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0xfe).into(),
        };
        packet.source == from_director
            && matches!(packet.protocol, IPV4 | IPV6 | GRE | protocol::UDP)
    }

    /// What `packet` becomes on its way.
    fn tunnelled(&self, packet: &[u8]) -> Result<Packet> {
        self.send(packet)?;
        self.at_real.expect("packet", |p| self.is_outer(p))
    }

    /// The same, opened and checked as one of `tunnel`.
    fn carried(&self, packet: &[u8], tunnel: Tunnel) -> Result<Packet> {
        let outer = self.tunnelled(packet)?;
        let inner = open(&outer, tunnel).with_context(|| format!("{outer:?}"))?;
        ensure!(outer.header_intact && inner.header_intact && inner.payload_intact());
        ensure!(outer.hops == inner.hops, "{} hops outside", outer.hops);
        Ok(inner)
    }
}

fn all_services(real: IpAddr, port: u16, tun: Tunnel) -> Vec<Service> {
    let real = [(SocketAddr::new(real, port), 1)];
    let each = |protocol, family: Family| {
        let vip = SocketAddr::new(family.vip(), port);
        let one = service(protocol, vip, Scheduler::Rr, real);
        by(one, ForwardingMethod::Tun, Some(tun))
    };
    [Protocol::Tcp, Protocol::Udp]
        .into_iter()
        .flat_map(|protocol| Family::BOTH.map(|family| each(protocol, family)))
        .collect()
}

fn client(family: Family, port: u16) -> SocketAddr {
    match family {
        Family::V4 => (CLIENT_V4, port).into(),
        Family::V6 => (CLIENT_V6, port).into(),
    }
}

/// What a tunnel header of this kind carries.
fn open(outer: &Packet, tunnel: Tunnel) -> Result<Packet> {
    let payload = &outer.payload;
    let (inner, named) = match tunnel.kind {
        TunnelType::Ipip => (&payload[..], u16::from(outer.protocol)),
        TunnelType::Gre => {
            ensure!(outer.protocol == GRE);
            let with_sum = tunnel.checksum == TunnelChecksum::Csum;
            ensure!(payload[..2] == [u8::from(with_sum) << 7, 0]);
            ensure!(!with_sum || checksum(&[payload]) == 0, "checksum of GRE");
            let named = u16::from_be_bytes([payload[2], payload[3]]);
            (&payload[if with_sum { 8 } else { 4 }..], named)
        }
        TunnelType::Gue => {
            let (from, to) = outer.sockets().context("no ports")?;
            ensure!(outer.protocol == protocol::UDP && to.port() == 6080 && from.port() >= 0xc000);
            let sum = transport_checksum(outer.source, outer.destination, protocol::UDP, payload);
            match tunnel.checksum {
                TunnelChecksum::None => ensure!(payload[6..8] == [0, 0]),
                _ => ensure!(sum == 0 && payload[6..8] != [0, 0], "checksum of UDP"),
            }
            ensure!(payload[8] == 0 && payload[10..12] == [0, 0]);
            (&payload[12..], payload[9].into())
        }
    };
    let packet = Packet::read(inner).context("nothing inside")?;
    let expected = match (packet.source.is_ipv4(), tunnel.kind) {
        (true, TunnelType::Gre) => 0x0800,
        (false, TunnelType::Gre) => 0x86dd,
        (true, _) => u16::from(IPV4),
        (false, _) => u16::from(IPV6),
    };
    ensure!(named == expected, "{named} is named, {expected} is inside");
    Ok(packet)
}

#[test]
fn every_kind_carries_both_families_over_both() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for outer in Family::BOTH {
        let bench = Bench::start(outer, &KINDS)?;
        for (tunnel, port) in KINDS.into_iter().zip(FIRST_PORT..) {
            for family in Family::BOTH {
                let vip = SocketAddr::new(family.vip(), port);
                let syn = Segment {
                    flags: flag::SYN,
                    ..Segment::default()
                };
                for sent in [
                    udp(client(family, 4000), vip, b"through a tunnel"),
                    udp(client(family, 4000), vip, b"odd"),
                    tcp(client(family, 4000), vip, syn),
                ] {
                    let got = bench
                        .carried(&sent, tunnel)
                        .with_context(|| format!("{family:?} in {outer:?}, {tunnel:?}"))?;
                    let sent = Packet::read(&sent).context("not a packet")?;
                    let hops = sent.hops - 1;
                    assert_eq!(got, Packet { hops, ..sent });
                }
            }
        }
        assert_accounts(&bench.director);
    }
    Ok(())
}

#[test]
fn flows_spread_and_each_stays_together() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let gue = KINDS[3];
    let bench = Bench::start(Family::V4, &[gue])?;
    let vip = SocketAddr::new(Family::V4.vip(), FIRST_PORT);
    let mut ports = Vec::new();
    for _ in 0..2 {
        for port in 4000..4016 {
            let outer = bench.tunnelled(&udp(client(Family::V4, port), vip, b"x"))?;
            ports.push(outer.sockets().context("no ports")?.0.port());
        }
    }
    let (first, again) = ports.split_at(16);
    assert_eq!(first, again);
    let mut distinct = first.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() > 12, "{distinct:?}");
    assert_accounts(&bench.director);
    Ok(())
}

/// A SYN that offers segments of `mss` bytes.
fn syn_with_mss(from: SocketAddr, to: SocketAddr, mss: u16) -> Vec<u8> {
    let [high, low] = mss.to_be_bytes();
    let segment = Segment {
        flags: flag::SYN,
        payload: &[2, 4, high, low],
        ..Segment::default()
    };
    let mut packet = tcp(from, to, segment);
    packet[20 + 12] = 0x60;
    packet[20 + 16..20 + 18].fill(0);
    let sum = transport_checksum(from.ip(), to.ip(), protocol::TCP, &packet[20..]);
    packet[20 + 16..20 + 18].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[test]
fn the_mss_and_what_clients_are_told_can_be_left_alone() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (ipip, vip) = (KINDS[0], SocketAddr::new(Family::V4.vip(), FIRST_PORT));
    for (on, mss) in [(true, 1440u16), (false, 1460)] {
        let bench = Bench::start_with(Family::V4, &[ipip], |configuration| {
            configuration
                .datapath("clamp_mss", on)
                .datapath("path_mtu_answers", on)
        })?;
        let syn = syn_with_mss(client(Family::V4, 4000), vip, 1460);
        let syn = bench.carried(&syn, ipip)?;
        assert_eq!(syn.payload[22..24], mss.to_be_bytes());
        bench.send(&udp(client(Family::V4, 4000), vip, &[7; 1460]))?;
        wait::until("the drop", PATIENCE, || {
            let stats = bench.director.api().stats()?;
            ensure!(stats.drops.get("too_big") == Some(&1));
            Ok(())
        })?;
        assert_accounts(&bench.director);
        let is_told = |p: &Packet| p.icmp() == Some((3, 4));
        if on {
            bench.at_client.expect("an error", is_told)?;
        }
        assert_eq!(bench.at_client.drain(is_told)?, []);
    }
    Ok(())
}

/// What a router says of an outer datagram is heard, and told to the client.
#[test]
fn the_path_mtu_of_a_tunnel_is_learnt() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for outer in Family::BOTH {
        for tunnel in [KINDS[0], KINDS[1], KINDS[3]] {
            let bench = Bench::start(outer, &[tunnel])?;
            let vip = SocketAddr::new(Family::V4.vip(), FIRST_PORT);
            let sized = |size: usize| udp(client(Family::V4, 4001), vip, &vec![7; size - 28]);
            let seen = bench.tunnelled(&sized(1400))?;
            // Of what no tunnel of the director is, nothing is believed.
            let stranger = Packet {
                protocol: 50,
                ..seen.clone()
            };
            bench.report_narrow(&stranger, 1290)?;
            let overhead = seen.payload.len() - 1400 + if outer == Family::V4 { 20 } else { 40 };
            let report = || bench.report_narrow(&seen, 1390);
            wait::until_repeated("the client to be told", PATIENCE, report, || {
                bench.send(&sized(1400))?;
                let is_error = |p: &Packet| p.icmp() == Some((3, 4));
                let errors = bench.at_client.drain(is_error)?;
                let error = errors.first().context("no error")?;
                let told = u16::from_be_bytes([error.payload[6], error.payload[7]]);
                assert_eq!(usize::from(told), 1390 - overhead, "{outer:?} {tunnel:?}");
                Ok(())
            })?;
            assert_accounts(&bench.director);
        }
    }
    Ok(())
}

/// Whoever sends by IPv6 believes in no path of less than 1,280 bytes: around that, routers cut the
/// outer datagram.
#[test]
fn an_ipv4_path_is_never_too_narrow_for_the_least_of_ipv6() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for tunnel in [KINDS[0], KINDS[1], KINDS[3]] {
        let bench = Bench::start(Family::V4, &[tunnel])?;
        let vip = SocketAddr::new(Family::V6.vip(), FIRST_PORT);
        let sized = |size: usize| udp(client(Family::V6, 4001), vip, &vec![7; size - 48]);
        let seen = bench.tunnelled(&sized(1400))?;
        let report = || bench.report_narrow(&seen, 600);
        wait::until_repeated("the client to be told", PATIENCE, report, || {
            bench.send(&sized(1281))?;
            let is_error = |p: &Packet| p.icmp() == Some((2, 0));
            let errors = bench.at_client.drain(is_error)?;
            let error = errors.first().context("no error")?;
            assert_eq!(error.payload[4..8], 1280u32.to_be_bytes(), "{tunnel:?}");
            Ok(())
        })?;
        bench.at_real.drain(|p| bench.is_outer(p))?;
        let got = bench.carried(&sized(1280), tunnel)?;
        assert_eq!(got.payload.len() + 40, 1280, "{tunnel:?}");
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// So the gate is told, too, before the next packet comes.
#[test]
fn the_gate_takes_the_least_of_ipv6_along_a_narrow_ipv4_path() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for tunnel in [KINDS[0], KINDS[1], KINDS[3]] {
        let bench = Bench::start_with(Family::V4, &[tunnel], |configuration| {
            configuration.fast_path(true)
        })?;
        let vip = SocketAddr::new(Family::V6.vip(), FIRST_PORT);
        let sized = |port: u16, size: usize| {
            let payload = vec![7; size - 48];
            udp(client(Family::V6, port), vip, &payload)
        };
        // The gate is told of who has said more than one thing.
        let mut known = 4001..4010;
        for port in known.clone() {
            for _ in 0..2 {
                bench.carried(&sized(port, 1400), tunnel)?;
            }
        }
        let seen = bench.tunnelled(&sized(4001, 1400))?;
        ensure!(forwarded(&bench)? == 1, "the gate does not know it");
        let report = || bench.report_narrow(&seen, 1280);
        wait::until_repeated("the client to be told", PATIENCE, report, || {
            bench.send(&sized(4001, 1281))?;
            let errors = bench.at_client.drain(|p| p.icmp() == Some((2, 0)))?;
            ensure!(!errors.is_empty(), "no error");
            Ok(())
        })?;
        wait::until("the gate to be told", PATIENCE, || {
            std::thread::sleep(ROUND);
            bench.at_real.drain(|p| bench.is_outer(p))?;
            // One that has said nothing since: the director tells the gate of those that have.
            let port = known.next_back().context("no other is known")?;
            let before = forwarded(&bench)?;
            for _ in 0..3 {
                bench.carried(&sized(port, 1280), tunnel)?;
            }
            let by_it = forwarded(&bench)? - before;
            ensure!(by_it == 3, "{by_it} by the gate, {tunnel:?}");
            Ok(())
        })?;
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// The largest packet that fits passes; one byte more comes back as an error with the MTU that
/// is left inside of the tunnel.
#[test]
fn what_does_not_fit_is_answered_with_the_right_mtu() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for outer in Family::BOTH {
        let bench = Bench::start(outer, &KINDS)?;
        let around = if outer == Family::V4 { 20 } else { 40 };
        let shims = [0, 4, 8, 12, 12, 12];
        for ((tunnel, shim), port) in KINDS.into_iter().zip(shims).zip(FIRST_PORT..) {
            for family in Family::BOTH {
                let vip = SocketAddr::new(family.vip(), port);
                let mtu = 1500 - around - shim;
                let headers = if family == Family::V4 { 28 } else { 48 };
                let sized = |size: usize| udp(client(family, 4001), vip, &vec![7; size - headers]);
                let got = bench.carried(&sized(mtu), tunnel)?;
                assert_eq!(got.payload.len() + headers - 8, mtu);
                bench.send(&sized(mtu + 1))?;
                let kind = if family == Family::V4 { (3, 4) } else { (2, 0) };
                let error = bench
                    .at_client
                    .expect("error", |p| p.icmp() == Some(kind))?;
                assert_eq!(error.source, family.vip());
                let told = u16::from_be_bytes([error.payload[6], error.payload[7]]);
                assert_eq!(
                    usize::from(told),
                    mtu,
                    "{family:?} in {outer:?}, {tunnel:?}"
                );
                assert!(error.payload_intact());
            }
        }
        let stats = bench.director.api().stats()?;
        assert_eq!(stats.drops.get("too_big"), Some(&12));
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// Datagrams that the gate has forwarded.
fn forwarded(bench: &Bench) -> Result<u64> {
    let stats = bench.director.api().stats()?;
    Ok(stats.interfaces.iter().map(|each| each.forwarded).sum())
}

/// The gate knows a flow by heart; what is told to the director anew holds for it, too.
#[test]
fn a_reload_reaches_the_flows_that_the_gate_forwards() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (ipip, vip) = (KINDS[0], SocketAddr::new(Family::V4.vip(), FIRST_PORT));
    let mut bench = Bench::start_with(Family::V4, &[ipip], |configuration| {
        configuration.fast_path(true)
    })?;
    for (discovers, by_gate) in [(1, true), (0, false), (1, true)] {
        bench.tell("pmtu_disc", discovers)?;
        // The first one after a change is the director's.
        wait::until("the gate to know", PATIENCE, || {
            let before = forwarded(&bench)?;
            for _ in 0..3 {
                bench.carried(&udp(client(Family::V4, 4000), vip, b"hello"), ipip)?;
            }
            let by_it = forwarded(&bench)? - before;
            let all = if by_gate { 3 } else { 0 };
            ensure!(by_it == all, "{by_it} by the gate, {discovers}");
            Ok(())
        })?;
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// What a router says again changes nothing: no packet leaves the gate's way for it.
#[test]
fn the_gate_goes_on_when_a_path_is_as_narrow_as_before() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (ipip, vip) = (KINDS[0], SocketAddr::new(Family::V4.vip(), FIRST_PORT));
    let bench = Bench::start_with(Family::V4, &[ipip], |configuration| {
        configuration.fast_path(true)
    })?;
    let sized = |size: usize| udp(client(Family::V4, 4000), vip, &vec![7; size - 28]);
    let seen = bench.tunnelled(&sized(1400))?;
    let report = || bench.report_narrow(&seen, 1390);
    wait::until_repeated("the client to be told", PATIENCE, report, || {
        bench.send(&sized(1400))?;
        let errors = bench.at_client.drain(|p| p.icmp() == Some((3, 4)))?;
        ensure!(!errors.is_empty(), "no error");
        Ok(())
    })?;
    bench.at_real.drain(|p| bench.is_outer(p))?;
    for _ in 0..2 {
        bench.carried(&sized(100), ipip)?;
    }
    let before = forwarded(&bench)?;
    for _ in 0..5 {
        bench.report_narrow(&seen, 1390)?;
        for _ in 0..50 {
            bench.send(&sized(100))?;
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    wait::until("all to arrive", PATIENCE, || {
        let by_it = forwarded(&bench)? - before;
        ensure!(by_it == 5 * 50, "{by_it} by the gate");
        Ok(())
    })?;
    assert_accounts(&bench.director);
    Ok(())
}
