//! A director under attack, the connection that is attacked, and the attacker's means.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use adminapi::model::{Connection, ConnectionQuery, ForwardingMethod, Scheduler};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, by};
use testbed::packet::{Mac, Packet, Segment, ethernet, flag, tcp};
use testbed::raw::Tap;
use testbed::scene::{Family, services};
use testbed::servers::{Nginx, big_file};
use testbed::topology::{HOST_SIDE, Plan, Topology};
use testbed::traffic::{HttpConnection, file_sha256};
use testbed::wait;

pub(super) const HTTP: Family = Family::V4;
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// What all packets of a round take to get there, of which none is lost.
const ROUND: Duration = Duration::from_secs(2);
/// What hand-made clients begin with.
pub(super) const ISN: u32 = 1_000_000;
/// Where the director speaks from by FullNAT, with few ports.
const LOCAL: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 0, 2, 240)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0xf0)),
];
const LOCAL_PORTS: &str = "20000-21023";

/// A director with real servers, and downloads that go on and on beside whatever is tried.
pub(super) struct Bench {
    stop: Arc<AtomicBool>,
    downloads: Option<JoinHandle<Result<u32>>>,
    /// At the client, where the attacker sits too.
    pub(super) tap: Tap,
    pub(super) director: Director,
    _web: Vec<Nginx>,
    pub(super) topology: Topology,
}

impl Bench {
    pub(super) fn start(method: ForwardingMethod) -> Result<Self> {
        Self::start_with(method, |configuration| configuration)
    }

    /// The same, with a configuration that `shape` has changed.
    pub(super) fn start_with(
        method: ForwardingMethod,
        shape: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        topology
            .director
            .ip("route add 172.16.0.0/12 via 10.0.1.1\n")?;
        match method {
            ForwardingMethod::Nat => {}
            ForwardingMethod::FullNat => topology.isolate_reals(&LOCAL)?,
            ForwardingMethod::Dr | ForwardingMethod::Tun => topology.bypass_director()?,
        }
        let web = topology.reals.iter().map(Nginx::start);
        let web = web.collect::<Result<_>>()?;
        let configuration = Configuration::new(topology.interfaces()).services(
            services(&topology, Scheduler::Rr, &[1, 1, 1])
                .into_iter()
                .map(|service| match method {
                    ForwardingMethod::Nat => service,
                    _ => by(service, method, None),
                }),
        );
        let configuration = match method {
            ForwardingMethod::FullNat => configuration
                .datapath(
                    "local_addresses",
                    LOCAL.map(|each| each.to_string()).to_vec(),
                )
                .datapath("local_ports", LOCAL_PORTS),
            _ => configuration,
        };
        topology.meet_neighbours()?;
        let director = Director::start(&topology.director, &shape(configuration))?;
        let stop = Arc::new(AtomicBool::new(false));
        let downloads = Some(download_until(&topology, Arc::clone(&stop))?);
        Ok(Self {
            stop,
            downloads,
            tap: Tap::open(&topology.client, HOST_SIDE)?,
            director,
            _web: web,
            topology,
        })
    }

    /// The downloads were all whole, and the books balance.
    pub(super) fn end(mut self) -> Result<()> {
        self.stop.store(true, Relaxed);
        let downloads = self.downloads.take().context("ended twice")?;
        let whole = downloads.join().expect("a download panicked")?;
        assert!(whole > 0, "nothing was downloaded");
        assert_accounts(&self.director);
        Ok(())
    }

    /// The entry of the connection from `client`.
    pub(super) fn entry(&self, client: SocketAddr) -> Result<Option<Connection>> {
        let query = ConnectionQuery {
            service: Some(HTTP.http_service()),
            client: Some(client.ip()),
            ..ConnectionQuery::default()
        };
        let api = self.director.api();
        let page = api.call(async |api| api.connections(&query).await)?;
        let mut all = page.connections.into_iter();
        Ok(all.find(|entry| entry.client == client))
    }

    pub(super) fn state(&self, client: SocketAddr) -> Result<String> {
        Ok(self
            .entry(client)?
            .map_or_else(|| "none".to_owned(), |entry| entry.state))
    }

    pub(super) fn dropped(&self, reason: &str) -> Result<u64> {
        let drops = self.director.api().stats()?.drops;
        Ok(drops.get(reason).copied().unwrap_or(0))
    }

    /// Sends IP packets to the director from the client's side.
    pub(super) fn send(&self, packets: &[Vec<u8>]) -> Result<()> {
        let frame = |packet| ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), packet);
        packets
            .iter()
            .try_for_each(|packet| self.tap.send(&frame(packet)))
    }

    /// Sends packets of which `count` are to be dropped for `reason`, and waits until they are.
    pub(super) fn expect_drops(&self, packets: &[Vec<u8>], reason: &str, count: u64) -> Result<()> {
        self.expect_drops_of(|_| packets.to_vec(), reason, count)
    }

    /// The same of packets that differ from round to round: when the machine has lost one there is
    /// another round, and in one of them all have to be dropped.
    pub(super) fn expect_drops_of(
        &self,
        packets: impl Fn(u32) -> Vec<Vec<u8>>,
        reason: &str,
        count: u64,
    ) -> Result<()> {
        let mut rounds = 0..;
        wait::until(reason, PATIENCE, || {
            let round = rounds.next().context("no end of rounds")?;
            let before = self.dropped(reason)?;
            self.send(&packets(round))?;
            wait::until(reason, ROUND, || {
                let dropped = self.dropped(reason)? - before;
                ensure!(
                    dropped == count,
                    "{dropped} dropped for {reason}, not {count}"
                );
                Ok(())
            })
        })
    }
}

/// What comes of handshakes that are made by hand: for each client the number that the real server
/// has begun with, plus one.
pub(super) fn shake_hands(bench: &Bench, clients: &[SocketAddr]) -> Result<Vec<u32>> {
    let tap = Tap::open(&bench.topology.client, HOST_SIDE)?;
    let syns: Vec<_> = clients
        .iter()
        .map(|client| segment(*client, flag::SYN, ISN, 0))
        .collect();
    let mut answered = HashMap::new();
    wait::until("all SYN+ACKs", PATIENCE, || {
        // What was lost on the way is sent again.
        let missing = clients.iter().zip(&syns);
        let missing = missing.filter(|(client, _)| !answered.contains_key(*client));
        bench.send(&missing.map(|(_, syn)| syn.clone()).collect::<Vec<_>>())?;
        for packet in tap.drain(|packet| packet.source == HTTP.vip())? {
            if let Some((_, client)) = packet.sockets() {
                answered.insert(client, numbers(&packet).0);
            }
        }
        let found: Option<Vec<u32>> = clients
            .iter()
            .map(|client| answered.get(client).copied())
            .collect();
        found.context("some are missing")
    })
}

/// Downloads the big file again and again, and says how often.
fn download_until(topology: &Topology, stop: Arc<AtomicBool>) -> Result<JoinHandle<Result<u32>>> {
    let expected = file_sha256(&big_file()?)?;
    let url = format!("http://{}/big", HTTP.http());
    let pipeline = format!(
        "set -o pipefail; curl -gsS --fail --max-time 120 --limit-rate 30M {url} | sha256sum"
    );
    topology.client.spawn(move || {
        let mut whole = 0;
        while !stop.load(Relaxed) || whole == 0 {
            let output = Command::new("bash").args(["-c", &pipeline]).output()?;
            let sum = String::from_utf8_lossy(&output.stdout);
            ensure!(
                output.status.success() && sum.starts_with(&expected),
                "download {whole} is not whole: {output:?}"
            );
            whole += 1;
        }
        Ok(whole)
    })
}

/// A connection of the kernel's, kept alive, whose numbers the attacker may know or not.
pub(super) struct Victim {
    http: HttpConnection,
    name: String,
    pub(super) client: SocketAddr,
    /// What the client would send next, and what it expects.
    pub(super) next: u32,
    pub(super) awaited: u32,
}

impl Victim {
    /// Opened, and used once.
    pub(super) fn open(bench: &Bench) -> Result<Self> {
        let mut http = HttpConnection::open(&bench.topology.client, HTTP.http())?;
        let client = http.client()?;
        let name = http.ask_name()?;
        let mut victim = Self {
            http,
            name,
            client,
            next: 0,
            awaited: 0,
        };
        victim.use_once()?;
        Ok(victim)
    }

    /// Asks once more, and gets the answer of the same real server; its numbers are known then.
    pub(super) fn use_once(&mut self) -> Result<()> {
        let name = self.http.ask_name()?;
        ensure!(name == self.name, "{name} answers, not {}", self.name);
        (self.next, self.awaited) = self.http.numbers()?;
        Ok(())
    }

    /// A segment that claims to be the client's, its numbers counted from the true ones.
    pub(super) fn forged(&self, flags: u8, sequence: i64, acknowledgement: i64) -> Vec<u8> {
        let moved = |number: u32, by: i64| number.wrapping_add(by as u32);
        let segment = Segment {
            flags,
            sequence: moved(self.next, sequence),
            acknowledgement: match flags & flag::ACK {
                0 => 0,
                _ => moved(self.awaited, acknowledgement),
            },
            ..Segment::default()
        };
        tcp(self.client, HTTP.http(), segment)
    }
}

/// Where a segment ends, and what it acknowledges.
pub(super) fn numbers(packet: &Packet) -> (u32, u32) {
    let word = |at: usize| {
        let bytes = packet.payload.get(at..at + 4).unwrap_or(&[0; 4]);
        u32::from_be_bytes(bytes.try_into().unwrap_or_default())
    };
    let header = packet
        .payload
        .get(12)
        .map_or(0, |byte| usize::from(byte >> 4) * 4);
    let flags = packet.payload.get(13).copied().unwrap_or(0);
    let length = packet.payload.len().saturating_sub(header) as u32;
    let length = length + u32::from(flags & (flag::SYN | flag::FIN) != 0);
    (word(4).wrapping_add(length), word(8))
}

/// A client that has no kernel: its packets are made by hand.
pub(super) fn hand_made(port: u16) -> SocketAddr {
    SocketAddr::from(([172, 16, 0, 1], port))
}

/// A segment of a client without a kernel to the service.
pub(super) fn segment(
    client: SocketAddr,
    flags: u8,
    sequence: u32,
    acknowledgement: u32,
) -> Vec<u8> {
    let segment = Segment {
        flags,
        sequence,
        acknowledgement,
        ..Segment::default()
    };
    tcp(client, HTTP.http(), segment)
}
