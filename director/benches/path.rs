//! What the path costs in user space, nanoseconds a packet by class: everything between the rx
//! ring and the tx ring, without the kernel. `cargo bench -p bulwark-director --bench path`, or
//! with numbers of flows behind `--`.

#![allow(missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use adminapi::model::Scheduler;
use arc_swap::ArcSwap;
use director::cookie::Resets;
use director::defence::{Lottery, Orders};
use director::flow::{Limits, Table};
use director::fragment::Fragments;
use director::ftp::{Expectations, Shifts};
use director::neighbour::{
    Asker, Change, Link, Neighbour, Placement, Prefix, Route, Tables, Target, Via,
};
use director::path::{Path, Policy, Shared};
use director::pool::Pool;
use director::service::{ServiceKey, Settings};
use director::stats::WorkerStats;
use director::templates::Templates;
use director::time::Tick;
use director::wire::{Addr, Endpoint, Protocol};
use director::worker::{BATCH, Outbox, Walk};
use director::xsk::{Frame, Umem};
use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::{self, MutableIpv4Packet};
use pnet_packet::tcp::MutableTcpPacket;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(150);
const LENGTH: usize = 60;
const VIP: [u8; 4] = [10, 9, 9, 9];

/// A packet of a class, for flow number `n`.
type Make = fn(u32, &mut [u8]);

fn main() {
    println!("{:<34}{:>9}", "class (60 bytes, IPv4)", "ns");
    for flows in flows() {
        let mut scene = Scene::new(flows);
        scene.open(flows);
        for (class, make) in [
            ("UDP, client to real server", udp_in as Make),
            ("UDP, real server to client", udp_out),
            ("TCP, client to real server", tcp_in),
        ] {
            let name = format!("{class}, {flows}");
            println!("{name:<34}{:>9.1}", scene.nanoseconds(make, flows));
        }
        assert_eq!(scene.stats.drops.sum(), 0);
    }
    let mut scene = Scene::new(1);
    println!(
        "{:<34}{:>9.1}",
        "no connection",
        scene.nanoseconds(tcp_in, 32_768)
    );
}

/// The numbers of flows that are asked for; cargo's own arguments are no numbers.
fn flows() -> Vec<u32> {
    let asked: Vec<u32> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    match asked.is_empty() {
        true => vec![1, 32_768, 1_000_000],
        false => asked,
    }
}

struct Scene {
    path: Path,
    umem: Umem,
    frames: Vec<Frame>,
    out: Outbox,
    stats: Arc<WorkerStats>,
}

impl Scene {
    fn new(flows: u32) -> Self {
        let (umem, frames) = Umem::new(BATCH as u32).unwrap();
        let limits = Limits {
            connections: 2 * flows as usize + 1024,
            half_open: flows as usize + 1024,
            workers: 1,
        };
        let pool = Arc::new(ArcSwap::from_pointee(pool()));
        let shared = Arc::new(Shared {
            lottery: Lottery::random(),
            expectations: Expectations::default(),
            shifts: Shifts::default(),
            resets: Arc::new(Resets::default()),
            table: Table::new(&limits).unwrap(),
            templates: Templates::new(1024, 1, Arc::clone(&pool)).unwrap(),
            pool,
            fib: Arc::new(ArcSwap::from_pointee(tables().snapshot())),
            timeouts: Arc::default(),
            door: Default::default(),
            orders: Orders::default(),
            fragments: Fragments::default(),
            policy: Policy::default(),
            path_mtus: Arc::default(),
            returns: Default::default(),
            sysctls: Arc::default(),
            fast: None,
            workers: 1,
        });
        let stats = Arc::new(WorkerStats::default());
        let path = Path::new(0, shared, Arc::clone(&stats), Asker::deaf());
        Self {
            path,
            umem,
            frames,
            out: Outbox::new(2, Vec::with_capacity(BATCH)),
            stats,
        }
    }

    /// Makes each flow known, TCP ones by a whole handshake.
    fn open(&mut self, flows: u32) {
        for make in [udp_in as Make, udp_out, tcp_syn, tcp_syn_ack, tcp_in] {
            for first in (0..flows).step_by(BATCH) {
                self.batch(make, |n| (first + n).min(flows - 1));
            }
        }
    }

    fn batch(&mut self, make: Make, flow: impl Fn(u32) -> u32) {
        for (n, frame) in self.frames.iter_mut().enumerate() {
            frame.set_len(LENGTH);
            make(flow(n as u32), self.umem.packet_mut(frame));
        }
        self.walk();
    }

    fn walk(&mut self) {
        self.path
            .walk(&self.umem, 0, &mut self.frames, &mut self.out, Tick(1));
        self.out.empty(&mut self.frames);
    }

    /// The best round's time for one packet; making the packets is taken off.
    fn nanoseconds(&mut self, make: Make, flows: u32) -> f64 {
        let mut best = f64::MAX;
        for _ in 0..ROUNDS {
            let (mut spent, mut packets, mut n) = (Duration::ZERO, 0, 0u32);
            let start = Instant::now();
            while start.elapsed() < ROUND {
                for frame in &mut self.frames {
                    n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    frame.set_len(LENGTH);
                    let flow = ((u64::from(n) * u64::from(flows)) >> 32) as u32;
                    make(flow, self.umem.packet_mut(frame));
                }
                let walk = Instant::now();
                self.walk();
                spent += walk.elapsed();
                packets += BATCH;
            }
            best = best.min(spent.as_nanos() as f64 / packets as f64);
        }
        best
    }
}

fn pool() -> Pool {
    let mut pool = Pool::new(1);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let key = ServiceKey::at(protocol, Endpoint::new(Addr::v4(VIP), 80));
        pool.add_service(key, Scheduler::Rr).unwrap();
        pool.add_real(
            &key,
            Endpoint::new(Addr::v4(real(0)), 8080),
            Settings::weight(1),
        )
        .unwrap();
    }
    pool.settle();
    pool
}

const fn real(_flow: u32) -> [u8; 4] {
    [10, 0, 2, 11]
}

fn client(flow: u32) -> ([u8; 4], u16) {
    let [_, b, c, d] = (flow >> 4).to_be_bytes();
    ([172, 16 | b & 0x0f, c, d], 1024 + (flow & 15) as u16)
}

fn tables() -> Tables {
    let mut tables = Tables::new(&["cl0", "rs0"]);
    for (ifindex, name) in [(2, "cl0"), (3, "rs0")] {
        let mac = Some([2, 0, 0, 0, 0, ifindex as u8]);
        tables.apply(Change::Link(Link {
            ifindex,
            name: name.into(),
            mac,
            mtu: 1500,
            up: true,
            port: None,
        }));
    }
    let gateway = Addr::v4([10, 0, 1, 1]);
    for (net, len, ifindex, via) in [
        ([0, 0, 0, 0], 0, 2, Some(gateway)),
        ([10, 0, 1, 0], 24, 2, None),
        ([10, 0, 2, 0], 24, 3, None),
    ] {
        let target = Target::Forward(vec![Via {
            ifindex,
            gateway: via,
            weight: 1,
            mtu: 0,
        }]);
        let table = director::neighbour::Table::Main;
        let len = if len == 0 { 0 } else { len };
        let route = Route {
            prefix: Prefix::new(Addr::v4(net), len),
            table,
            metric: 0,
            form: director::neighbour::Form::Single,
            target,
        };
        tables.apply(Change::Route(route, Placement::Last));
    }
    for (ifindex, addr) in [(2, [10, 0, 1, 1]), (3, [10, 0, 2, 11])] {
        let known = Neighbour {
            mac: [2, 0, 0, 0, 1, addr[3]],
            pinned: false,
        };
        tables.apply(Change::Neighbour(ifindex, Addr::v4(addr), known));
    }
    tables
}

fn udp_in(flow: u32, frame: &mut [u8]) {
    udp(frame, client(flow), (VIP, 80));
}

fn udp_out(flow: u32, frame: &mut [u8]) {
    udp(frame, (real(flow), 8080), client(flow));
}

fn tcp_syn(flow: u32, frame: &mut [u8]) {
    tcp(frame, client(flow), (VIP, 80), 0x02, 1000, 0);
}

fn tcp_syn_ack(flow: u32, frame: &mut [u8]) {
    tcp(frame, (real(flow), 8080), client(flow), 0x12, 5000, 1001);
}

fn tcp_in(flow: u32, frame: &mut [u8]) {
    tcp(frame, client(flow), (VIP, 80), 0x10, 1001, 5001);
}

fn udp(frame: &mut [u8], src: ([u8; 4], u16), dst: ([u8; 4], u16)) {
    network(frame, src.0, dst.0, 17);
    frame[34..36].copy_from_slice(&src.1.to_be_bytes());
    frame[36..38].copy_from_slice(&dst.1.to_be_bytes());
    frame[38..42].copy_from_slice(&[0, 26, 0, 0]);
}

fn tcp(frame: &mut [u8], src: ([u8; 4], u16), dst: ([u8; 4], u16), flags: u8, seq: u32, ack: u32) {
    network(frame, src.0, dst.0, 6);
    let mut tcp = MutableTcpPacket::new(&mut frame[34..60]).unwrap();
    tcp.set_source(src.1);
    tcp.set_destination(dst.1);
    tcp.set_sequence(seq);
    tcp.set_acknowledgement(ack);
    tcp.set_data_offset(5);
    tcp.set_flags(flags);
    tcp.set_window(60_000);
}

fn network(frame: &mut [u8], src: [u8; 4], dst: [u8; 4], protocol: u8) {
    frame.fill(0);
    MutableEthernetPacket::new(frame)
        .unwrap()
        .set_ethertype(EtherTypes::Ipv4);
    let mut ip = MutableIpv4Packet::new(&mut frame[14..]).unwrap();
    ip.set_version(4);
    ip.set_header_length(5);
    ip.set_total_length(if protocol == IpNextHeaderProtocols::Tcp.0 {
        40
    } else {
        46
    });
    ip.set_ttl(64);
    ip.set_next_level_protocol(pnet_packet::ip::IpNextHeaderProtocol(protocol));
    ip.set_source(src.into());
    ip.set_destination(dst.into());
    let checksum = ipv4::checksum(&ip.to_immutable());
    ip.set_checksum(checksum);
}
