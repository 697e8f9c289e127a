//! What routers and real servers say of datagrams in tunnels that have not arrived: clients hear it from
//! the VIP, of their own packets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use adminapi::model::{
    ForwardingMethod, Protocol, Scheduler, Service, ServiceId, Tunnel, TunnelChecksum, TunnelType,
};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, by, service};
use testbed::packet::{
    Mac, Packet, Segment, ethernet, flag, icmp, init, ip, protocol, sctp, tcp, udp,
};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{CLIENT_SIDE, CLIENT_V4, CLIENT_V6, HOST_SIDE, Topology};

const KINDS: [Tunnel; 4] = [
    kind(TunnelType::Ipip, TunnelChecksum::None),
    kind(TunnelType::Gre, TunnelChecksum::None),
    kind(TunnelType::Gre, TunnelChecksum::Csum),
    GUE,
];
const GUE: Tunnel = kind(TunnelType::Gue, TunnelChecksum::Csum);

/// Nobody listens there.
const PORT: u16 = 1000;

/// A client that hears nothing waits longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What its sequence numbers begin with.
const ISN: u32 = 7000;

const fn kind(kind: TunnelType, checksum: TunnelChecksum) -> Tunnel {
    Tunnel {
        kind,
        port: None,
        checksum,
    }
}

/// Real server `number` behind the one of the topology, which is a router to it.
fn far(family: Family, number: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 77, 0, number).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, number.into()).into(),
    }
}

/// The director's address towards the real servers, from which its tunnels begin.
fn near(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 0, 2, 0xfe).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0xfe).into(),
    }
}

/// A real server, which takes packets to networks behind it and makes of them what `fate` says
/// (ip-route(8): `unreachable`, `blackhole`...).
fn topology(fate: &str) -> Result<Topology> {
    let topology = Topology::with_one_real()?;
    let router = &topology.reals[0];
    router.namespace.sysctl(&[
        "net.ipv4.ip_forward=1",
        "net.ipv6.conf.all.forwarding=1",
        "net.ipv4.icmp_ratelimit=0",
        "net.ipv6.icmp.ratelimit=0",
    ])?;
    router.namespace.ip(&format!(
        "route add {fate} 10.77.0.0/16\nroute add {fate} fd00:77::/32\n"
    ))?;
    topology.director.ip(&format!(
        "route add 10.77.0.0/16 via {}\nroute add fd00:77::/32 via {}\n",
        router.v4, router.v6
    ))?;
    topology.meet_neighbours()?;
    Ok(topology)
}

fn tunnelled(protocol: Protocol, vip: SocketAddr, real: IpAddr, tunnel: Tunnel) -> Service {
    let real = SocketAddr::new(real, vip.port());
    let one = service(protocol, vip, Scheduler::Rr, [(real, 1)]);
    by(one, ForwardingMethod::Tun, Some(tunnel))
}

fn start(topology: &Topology, services: impl IntoIterator<Item = Service>) -> Result<Director> {
    let configuration = Configuration::new(topology.interfaces()).services(services);
    Director::start(&topology.director, &configuration.without_cookies())
}

/// The error that a client's connect(2) ends with.
fn failure(topology: &Topology, to: SocketAddr) -> Result<io::Error> {
    topology.client.enter(|| {
        let connected = TcpStream::connect_timeout(&to, PATIENCE);
        connected.err().context("somebody is there")
    })
}

#[test]
fn a_client_hears_at_once_that_there_is_no_way_to_the_real_server() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = topology("unreachable")?;
    let ports = || (PORT..).step_by(2).zip([KINDS[0], KINDS[3]]);
    let services = ports().flat_map(|(port, tunnel)| {
        let each = |(outer, port)| {
            Family::BOTH.map(|family| {
                let vip = SocketAddr::new(family.vip(), port);
                tunnelled(Protocol::Tcp, vip, far(outer, 1), tunnel)
            })
        };
        [(Family::V4, port), (Family::V6, port + 1)].map(each)
    });
    let director = start(&topology, services.flatten())?;
    let both = |(port, tunnel)| [(Family::V4, port, tunnel), (Family::V6, port + 1, tunnel)];
    for (outer, port, tunnel) in ports().flat_map(both) {
        for family in Family::BOTH {
            let vip = SocketAddr::new(family.vip(), port);
            // A router says "host unreachable", and by IPv6 "no route".
            let expected = match (outer, family) {
                (Family::V6, Family::V6) => libc::ENETUNREACH,
                _ => libc::EHOSTUNREACH,
            };
            let error = failure(&topology, vip)?;
            assert_eq!(
                error.raw_os_error(),
                Some(expected),
                "{vip} {tunnel:?}: {error}"
            );
            let shown = director.api().service(ServiceId::at(Protocol::Tcp, vip))?;
            assert!(shown.stats.out_packets >= 1, "{shown:?}");
        }
    }
    assert_accounts(&director);
    Ok(())
}

#[test]
fn a_client_hears_at_once_that_the_real_server_takes_no_such_tunnel() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = topology("unreachable")?;
    let vips = Family::BOTH.map(|family| SocketAddr::new(family.vip(), PORT));
    let real = |vip: SocketAddr| topology.reals[0].address(vip.ip());
    let services = vips.map(|vip| tunnelled(Protocol::Tcp, vip, real(vip), GUE));
    let director = start(&topology, services)?;
    for vip in vips {
        let error = failure(&topology, vip)?;
        assert_eq!(
            error.raw_os_error(),
            Some(libc::ECONNREFUSED),
            "{vip}: {error}"
        );
    }
    assert_accounts(&director);
    Ok(())
}

/// A director whose tunnels lead into silence, and who speaks for the routers there.
struct Bench {
    director: Director,
    at_client: Tap,
    at_real: Tap,
    outer: Family,
    topology: Topology,
}

impl Bench {
    /// Each protocol has a service for each tunnel, in both families; and there is another real server.
    fn start(outer: Family) -> Result<Self> {
        let topology = topology("blackhole")?;
        let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        let services = protocols.into_iter().flat_map(|protocol| {
            Family::BOTH.into_iter().flat_map(move |family| {
                let vip = move |port| SocketAddr::new(family.vip(), port);
                let one = |(port, tunnel)| tunnelled(protocol, vip(port), far(outer, 1), tunnel);
                let other = tunnelled(protocol, vip(PORT - 1), far(outer, 2), KINDS[0]);
                let each: Vec<_> = (PORT..).zip(KINDS).map(one).chain([other]).collect();
                each
            })
        });
        Ok(Self {
            director: start(&topology, services)?,
            at_client: Tap::open(&topology.client, HOST_SIDE)?,
            at_real: Tap::open(&topology.reals[0].namespace, HOST_SIDE)?,
            outer,
            topology,
        })
    }

    /// Sends a client's packet; the outer datagram that it becomes.
    fn send(&self, packet: &[u8]) -> Result<Packet> {
        let (from, to) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
        self.at_client.send(&ethernet(from, to, packet))?;
        let is_outer = |p: &Packet| p.source == near(self.outer) && p.icmp().is_none();
        self.at_real.expect("packet in a tunnel", is_outer)
    }

    /// Has a router say something of `outer`, of which it quotes `length` bytes beyond the header.
    fn say(&self, kind: (u8, u8), outer: &Packet, length: usize) -> Result<()> {
        let Packet {
            source,
            destination,
            ref payload,
            ..
        } = *outer;
        let length = length.min(payload.len());
        let quoted = ip(source, destination, outer.protocol, &payload[..length]);
        let router = self.topology.reals[0].address(destination);
        let said = icmp(router, near(self.outer), (kind.0, kind.1, 0), &quoted);
        let (from, to) = (Mac::of_host(2, 1), Mac::of_host(2, 0xfe));
        self.at_real.send(&ethernet(from, to, &said))
    }

    /// What the client hears, which is one thing.
    fn heard(&self, family: Family) -> Result<Packet> {
        let is_error = |p: &Packet| p.source == family.vip() && p.icmp().is_some();
        let error = self.at_client.expect("error", is_error)?;
        let more = self.at_client.drain(is_error)?;
        ensure!(more.is_empty(), "{more:?}");
        Ok(error)
    }

    fn state(&self, protocol: Protocol, vip: SocketAddr) -> Result<String> {
        let service = ServiceId::at(protocol, vip);
        let mut all = self.director.api().connections(service)?;
        ensure!(all.len() == 1, "{all:?}");
        Ok(all.remove(0).state)
    }
}

fn client(family: Family) -> SocketAddr {
    match family {
        Family::V4 => (CLIENT_V4, 4000).into(),
        Family::V6 => (CLIENT_V6, 4000).into(),
    }
}

/// What opens a connection of each protocol.
fn openings(family: Family, port: u16) -> [(Protocol, Vec<u8>); 3] {
    let (from, to) = (client(family), SocketAddr::new(family.vip(), port));
    let syn = Segment {
        flags: flag::SYN,
        sequence: ISN,
        ..Segment::default()
    };
    [
        (Protocol::Tcp, tcp(from, to, syn)),
        (Protocol::Udp, udp(from, to, b"is anyone there?")),
        (Protocol::Sctp, sctp(from, to, 0, &[(1, 0, &init(5))])),
    ]
}

/// Type and code of an error of `outer`, and what becomes of it for a client of `inner`.
fn errors(outer: Family, inner: Family) -> Vec<((u8, u8), (u8, u8))> {
    let unreachable = |codes: &[u8], told: fn(u8) -> (u8, u8)| -> Vec<((u8, u8), (u8, u8))> {
        let kind = if outer == Family::V4 { 3 } else { 1 };
        codes
            .iter()
            .map(|code| ((kind, *code), told(*code)))
            .collect()
    };
    let (codes, expired): (&[u8], _) = match outer {
        Family::V4 => (&[0, 1, 2, 3, 13], (11, 0)),
        Family::V6 => (&[0, 1, 3, 4], (3, 0)),
    };
    let (mut all, late) = match (outer, inner) {
        (Family::V4, Family::V4) => (unreachable(codes, |code| (3, code)), (11, 0)),
        (Family::V6, Family::V6) => (unreachable(codes, |code| (1, code)), (3, 0)),
        (Family::V4, Family::V6) => (unreachable(codes, |_| (1, 3)), (3, 0)),
        (Family::V6, Family::V4) => (unreachable(codes, |_| (3, 1)), (11, 0)),
    };
    all.push((expired, late));
    all
}

#[test]
fn the_client_gets_the_same_error_about_its_own_packet() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for outer in Family::BOTH {
        let bench = Bench::start(outer)?;
        for family in Family::BOTH {
            let kinds = (PORT..).zip(KINDS);
            for (port, tunnel) in kinds {
                for (protocol, sent) in openings(family, port) {
                    let seen = bench.send(&sent)?;
                    let sent = Packet::read(&sent).context("not a packet")?;
                    for (said, told) in errors(outer, family) {
                        bench.say(said, &seen, usize::MAX)?;
                        let case = format!("{said:?} {family:?} in {outer:?}, {tunnel:?}");
                        let error = bench.heard(family).context(case.clone())?;
                        assert_eq!(error.icmp(), Some(told), "{case}");
                        assert_eq!(error.destination, client(family).ip());
                        assert!(error.header_intact && error.payload_intact(), "{error:?}");
                        assert_eq!(error.payload[4..8], [0; 4]);
                        let quoted = error.quoted().context("nothing is quoted")?;
                        let hops = sent.hops - 1;
                        assert_eq!(
                            quoted,
                            Packet {
                                hops,
                                ..sent.clone()
                            },
                            "{case}"
                        );
                    }
                    let vip = SocketAddr::new(family.vip(), port);
                    let stats = bench.director.api().service(ServiceId::at(protocol, vip))?;
                    let told = errors(outer, family).len() as u64;
                    assert_eq!(stats.stats.out_packets, told);
                    assert_eq!(stats.stats.in_packets, 1);
                }
            }
        }
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// The same datagram, with another source, destination or payload.
fn forged(seen: &Packet, change: impl FnOnce(&mut Packet)) -> Packet {
    let mut other = seen.clone();
    change(&mut other);
    other
}

/// Nobody is told of what the director has not sent, nor where too little is quoted. What is believed
/// ends no connection.
#[test]
fn what_is_forged_or_cut_short_goes_nowhere() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(Family::V4)?;
    let (v4, said) = (Family::V4, (3, 1));
    let vip = SocketAddr::new(v4.vip(), PORT);
    for (protocol, sent) in openings(v4, PORT) {
        let seen = bench.send(&sent)?;
        let state = bench.state(protocol, vip)?;
        // In the payload: the IP header inside, ports, and the number of TCP or the tag of SCTP.
        for (what, changed) in [
            (
                "not from here",
                forged(&seen, |p| p.source = [10, 0, 2, 77].into()),
            ),
            (
                "to no real server",
                forged(&seen, |p| p.destination = far(v4, 3)),
            ),
            (
                "to another one",
                forged(&seen, |p| p.destination = far(v4, 2)),
            ),
            ("another tunnel", forged(&seen, |p| p.protocol = 50)),
            ("another client", forged(&seen, |p| p.payload[15] ^= 1)),
            ("another service", forged(&seen, |p| p.payload[19] ^= 1)),
            ("another port", forged(&seen, |p| p.payload[21] ^= 1)),
            ("no header", forged(&seen, |p| p.payload.truncate(8))),
            ("no whole header", forged(&seen, |p| p.payload.truncate(19))),
            ("no number", forged(&seen, |p| p.payload.truncate(24))),
        ] {
            bench.say(said, &changed, usize::MAX).context(what)?;
        }
        if protocol != Protocol::Udp {
            let ahead = forged(&seen, |p| p.payload[24] ^= 0x40);
            bench.say(said, &ahead, usize::MAX)?;
        }
        for other in [(3, 4), (4, 0), (12, 0), (0, 0)] {
            bench.say(other, &seen, usize::MAX)?;
        }
        // As little as tells whose it is.
        bench.say(said, &seen, 28)?;
        let error = bench.heard(v4)?;
        assert_eq!(error.icmp(), Some(said), "{protocol:?}");
        let quoted = error.quoted().context("nothing is quoted")?;
        assert_eq!(quoted.payload, seen.payload[20..28]);
        assert_eq!(bench.state(protocol, vip)?, state);
        bench.send(&sent)?;
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// However much the gate has forwarded, the director knows what may be under way. A client whose
/// neighbour is not known is told once it is.
#[test]
fn a_client_far_ahead_is_told_and_one_who_has_to_be_asked_for() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(Family::V4)?;
    let (v4, said) = (Family::V4, (11, 0));
    let (from, vip) = (client(v4), SocketAddr::new(v4.vip(), PORT));
    let [(_, syn), ..] = openings(v4, PORT);
    let early = bench.send(&syn)?;
    let data = [7; 1000];
    let mut last = early.clone();
    for n in 0..150 {
        let segment = Segment {
            flags: flag::ACK,
            sequence: ISN + 1 + n * 1000,
            acknowledgement: 1,
            payload: &data,
        };
        last = bench.send(&tcp(from, vip, segment))?;
    }
    bench.say(said, &early, usize::MAX)?;
    bench
        .topology
        .director
        .ip(&format!("neigh flush dev {CLIENT_SIDE}"))?;
    bench.say(said, &last, usize::MAX)?;
    let error = bench.heard(v4)?;
    assert_eq!(error.icmp(), Some(said));
    let quoted = error.quoted().context("nothing is quoted")?;
    assert_eq!(quoted.protocol, protocol::TCP);
    assert_eq!(quoted.payload[4..8], last.payload[24..28], "the last one");
    // RFC 1812 §4.3.2.3.
    assert_eq!(error.payload.len(), 576 - 20);
    assert_accounts(&bench.director);
    Ok(())
}
