//! SCTP through the director. Kernels without SCTP are enough: both ends are sent and read by
//! hand.

use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::{ForwardingMethod, Protocol, Scheduler, ServiceId, Tunnel};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, by, service};
use testbed::packet::{Mac, Packet, ethernet, icmp, init, protocol, sctp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{HOST_SIDE, Topology};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(20);

/// Chunk types (RFC 9260 3.2).
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const SHUTDOWN_COMPLETE: u8 = 14;

const PORT: u16 = 5000;
const CLIENT_PORT: u16 = 4000;
/// Tags that client and real server want.
const CLIENT_TAG: u32 = 0x0c11_e277;
const REAL_TAG: u32 = 0x5e12_3e12;

type Chunks<'a> = &'a [(u8, u8, &'a [u8])];

/// One real server, and a sniffer at each end.
struct Bench {
    director: Director,
    at_client: Tap,
    at_real: Tap,
    real_port: u16,
    topology: Topology,
}

impl Bench {
    fn start(method: ForwardingMethod, tun: Option<Tunnel>, real_port: u16) -> Result<Self> {
        let topology = Topology::with_one_real()?;
        let configuration =
            Configuration::new(topology.interfaces()).services(Family::BOTH.map(|family| {
                let real = SocketAddr::new(topology.reals[0].address(family.vip()), real_port);
                let vip = SocketAddr::new(family.vip(), PORT);
                by(
                    service(Protocol::Sctp, vip, Scheduler::Rr, [(real, 1)]),
                    method,
                    tun,
                )
            }));
        topology.meet_neighbours()?;
        Ok(Self {
            director: Director::start(&topology.director, &configuration)?,
            at_client: Tap::open(&topology.client, HOST_SIDE)?,
            at_real: Tap::open(&topology.reals[0].namespace, HOST_SIDE)?,
            real_port,
            topology,
        })
    }

    fn client(family: Family) -> SocketAddr {
        (family.client(), CLIENT_PORT).into()
    }

    fn vip(family: Family) -> SocketAddr {
        (family.vip(), PORT).into()
    }

    fn real(&self, family: Family) -> SocketAddr {
        let address = self.topology.reals[0].address(family.vip());
        (address, self.real_port).into()
    }

    fn by_client(&self, packet: &[u8]) -> Result<()> {
        let (from, to) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
        self.at_client.send(&ethernet(from, to, packet))
    }

    fn by_real(&self, packet: &[u8]) -> Result<()> {
        let (from, to) = (Mac::of_host(2, 1), Mac::of_host(2, 0xfe));
        self.at_real.send(&ethernet(from, to, packet))
    }

    /// Sends it from the client; what arrives at the real server has its ends and is intact.
    fn asks(&self, family: Family, tag: u32, chunks: Chunks<'_>) -> Result<()> {
        let sent = sctp(Self::client(family), Self::vip(family), tag, chunks);
        self.by_client(&sent)?;
        let ends = (Self::client(family), self.real(family));
        let is_it = |p: &Packet| is_sctp(p) && p.source == ends.0.ip();
        let got = self.at_real.expect("chunk of the client", is_it)?;
        assert_same_but_for_ends(&sent, &got, ends);
        Ok(())
    }

    /// The other way.
    fn answers(&self, family: Family, tag: u32, chunks: Chunks<'_>) -> Result<()> {
        let sent = sctp(self.real(family), Self::client(family), tag, chunks);
        self.by_real(&sent)?;
        let ends = (Self::vip(family), Self::client(family));
        let is_it = |p: &Packet| is_sctp(p) && p.source == ends.0.ip();
        let got = self.at_client.expect("chunk of the real", is_it)?;
        assert_same_but_for_ends(&sent, &got, ends);
        Ok(())
    }

    fn open(&self, family: Family) -> Result<()> {
        self.asks(family, 0, &[(INIT, 0, &init(CLIENT_TAG))])?;
        self.shows(family, "INIT1")?;
        self.answers(family, CLIENT_TAG, &[(INIT_ACK, 0, &init(REAL_TAG))])?;
        self.shows(family, "C-SENT")?;
        self.asks(family, REAL_TAG, &[(COOKIE_ECHO, 0, b"cookie")])?;
        self.shows(family, "C-REPLIED")?;
        self.answers(family, CLIENT_TAG, &[(COOKIE_ACK, 0, b"")])?;
        self.shows(family, "ESTABLISHED")
    }

    fn shows(&self, family: Family, expected: &str) -> Result<()> {
        let id = ServiceId::at(Protocol::Sctp, Self::vip(family));
        wait::until(expected, PATIENCE, || {
            let connections = self.director.api().connections(id)?;
            let states: Vec<&str> = connections.iter().map(|c| c.state.as_str()).collect();
            ensure!(states == [expected], "{states:?}");
            Ok(())
        })
    }

    fn counted(&self, reason: &str, expected: u64) -> Result<()> {
        wait::until(reason, PATIENCE, || {
            let seen = self.director.api().dropped(reason)?;
            ensure!(seen == expected, "{seen} counted");
            Ok(())
        })
    }
}

fn is_sctp(packet: &Packet) -> bool {
    packet.protocol == protocol::SCTP
}

fn assert_same_but_for_ends(sent: &[u8], got: &Packet, ends: (SocketAddr, SocketAddr)) {
    let sent = Packet::read(sent).expect("an IP packet");
    assert_eq!(got.sockets(), Some(ends));
    assert!(got.header_intact && got.payload_intact(), "{got:?}");
    assert_eq!(got.hops, sent.hops - 1);
    assert_eq!(got.payload[4..8], sent.payload[4..8], "tag");
    assert_eq!(got.payload[12..], sent.payload[12..], "chunks");
}

/// With another port, and so another checksum, and without.
#[test]
fn an_association_lives_and_ends_by_nat() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for real_port in [PORT, 5001] {
        let bench = Bench::start(ForwardingMethod::Nat, None, real_port)?;
        for family in Family::BOTH {
            bench.open(family)?;
            for length in [1, 2, 3, 1300] {
                let data = vec![0x5a; length];
                bench.asks(family, REAL_TAG, &[(DATA, 3, &data)])?;
                bench.answers(family, CLIENT_TAG, &[(3, 0, b"sack"), (DATA, 3, &data)])?;
            }
            bench.asks(family, REAL_TAG, &[(SHUTDOWN, 0, &[0; 4])])?;
            bench.shows(family, "S-RECEIVED")?;
            bench.answers(family, CLIENT_TAG, &[(SHUTDOWN_ACK, 0, b"")])?;
            bench.shows(family, "S-ACK-SENT")?;
            bench.asks(family, REAL_TAG, &[(SHUTDOWN_COMPLETE, 0, b"")])?;
            bench.shows(family, "CLOSED")?;
            bench.asks(family, 0, &[(INIT, 0, &init(CLIENT_TAG + 1))])?;
            bench.shows(family, "INIT1")?;
        }
        assert_accounts(&bench.director);
    }
    Ok(())
}

#[test]
fn who_does_not_know_the_tag_ends_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat, None, 5001)?;
    for (family, counted) in [(Family::V4, 4), (Family::V6, 8)] {
        bench.open(family)?;
        let (client, vip, real) = (
            Bench::client(family),
            Bench::vip(family),
            bench.real(family),
        );
        for kind in [ABORT, SHUTDOWN_COMPLETE] {
            for flags in [0, 1] {
                bench.by_client(&sctp(client, vip, 0x0bad, &[(kind, flags, b"")]))?;
            }
        }
        bench.counted("sctp_tag", counted)?;
        bench.shows(family, "ESTABLISHED")?;
        bench.asks(family, REAL_TAG, &[(DATA, 3, b"still there")])?;
        // A host that has lost its association answers with the tag that it got.
        bench.by_real(&sctp(real, client, REAL_TAG, &[(ABORT, 1, b"")]))?;
        bench.shows(family, "CLOSED")?;
    }
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn what_opens_no_association_is_dropped_and_a_wrong_checksum_stays_wrong() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat, None, 5001)?;
    for (family, counted) in [(Family::V4, 1), (Family::V6, 2)] {
        let (client, vip) = (Bench::client(family), Bench::vip(family));
        bench.by_client(&sctp(
            client,
            vip,
            REAL_TAG,
            &[(DATA, 3, b"out of the blue")],
        ))?;
        bench.counted("no_connection", counted)?;
        let bundled = [(INIT, 0, &init(CLIENT_TAG)[..]), (DATA, 3, b"d")];
        bench.by_client(&sctp(client, vip, 0, &bundled))?;
        bench.counted("sctp_chunks", counted)?;
        bench.open(family)?;
        let mut damaged = sctp(client, vip, REAL_TAG, &[(DATA, 3, b"damaged")]);
        *damaged.last_mut().expect("not empty") ^= 0x10;
        bench.by_client(&damaged)?;
        let got = bench.at_real.expect("damaged chunk", is_sctp)?;
        assert!(!got.payload_intact(), "a wrong checksum was made right");
        assert_eq!(got.sockets(), Some((client, bench.real(family))));
    }
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn errors_about_an_association_are_translated() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat, None, 5001)?;
    for (family, counted) in [(Family::V4, 1), (Family::V6, 2)] {
        bench.open(family)?;
        let (client, real) = (Bench::client(family), bench.real(family));
        let error = match family {
            Family::V4 => (11, 0, 0),
            Family::V6 => (3, 0, 0),
        };
        let about = |tag| sctp(client, real, tag, &[(DATA, 3, b"data")]);
        let is_error = |p: &Packet| p.icmp() == Some((error.0, error.1));
        bench.by_real(&icmp(real.ip(), client.ip(), error, &about(0x0bad)))?;
        bench.counted("icmp_sequence", counted)?;
        bench.by_real(&icmp(real.ip(), client.ip(), error, &about(REAL_TAG)))?;
        let got = bench.at_client.expect("error", is_error)?;
        assert_eq!((got.source, got.destination), (family.vip(), client.ip()));
        assert!(got.header_intact && got.payload_intact(), "{got:?}");
        let quoted = got.quoted().expect("an error quotes");
        assert_eq!(quoted.sockets(), Some((client, Bench::vip(family))));
    }
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn the_client_alone_is_followed_by_dr_and_in_tunnels() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for (method, tun) in [
        (ForwardingMethod::Dr, None),
        (ForwardingMethod::Tun, Some(Tunnel::default())),
    ] {
        let bench = Bench::start(method, tun, PORT)?;
        for family in Family::BOTH {
            let (client, vip) = (Bench::client(family), Bench::vip(family));
            for (tag, kind, value, state) in [
                (0, INIT, &init(CLIENT_TAG)[..], "INIT1"),
                (REAL_TAG, COOKIE_ECHO, b"cookie", "ESTABLISHED"),
                (REAL_TAG, DATA, b"data", "ESTABLISHED"),
                (0x0bad, ABORT, b"", "ESTABLISHED"),
                (REAL_TAG, ABORT, b"", "CLOSED"),
            ] {
                let sent = sctp(client, vip, tag, &[(kind, 0, value)]);
                bench.by_client(&sent)?;
                let arrives = |p: &Packet| match method {
                    ForwardingMethod::Dr => is_sctp(p),
                    _ => matches!(p.protocol, protocol::IPIP | protocol::IPV6),
                };
                let outer = bench.at_real.expect("chunk of the client", arrives)?;
                let got = match method {
                    ForwardingMethod::Dr => outer,
                    _ => Packet::read(&outer.payload).expect("an inner packet"),
                };
                assert_same_but_for_ends(&sent, &got, (client, vip));
                bench.shows(family, state)?;
            }
        }
        assert_accounts(&bench.director);
    }
    Ok(())
}
