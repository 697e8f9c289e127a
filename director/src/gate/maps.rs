//! The gate's maps, as `bpf/maps.h` lays them out.

use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use adminapi::model::Family;
use libbpf_rs::skel::Skel;
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::cookies::CookieCounters;
use super::endpoints::Endpoints;
use super::filters::Filters;
use super::flows::FlowMaps;
use super::map::{name_of, put, sums_percpu};
use super::memory::Array;
use super::ports::{self, PORTS};
use super::repeats::RepeatMaps;
use super::roll::RollPlan;
use super::skel::{GateSkel, OpenGateSkel};
use super::{GateError, Interface, MAX_QUEUES};
use crate::cookie::{Resets, Roll};
use crate::marks::{MAX_RULES, Rule};
use crate::wire::{Addr, Mac, Protocol};

/// What the gate has counted on one interface, packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateCounters {
    /// Seen.
    pub received: u64,
    /// Left to the kernel.
    pub passed: u64,
    /// Given to an AF_XDP socket.
    pub redirected: u64,
    /// Forwarded by itself.
    pub forwarded: u64,
    /// SYNs to services with cookies, answered.
    pub answered: u64,
    /// Dropped, for each of [`GATE_DROPS`].
    pub drops: [u64; GATE_DROPS.len()],
}

impl GateCounters {
    /// The reasons that dropped something, and how many packets.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        GATE_DROPS
            .into_iter()
            .zip(self.drops)
            .filter(|(_, n)| *n > 0)
    }
}

/// Why the gate drops packets, in the order of `enum counter` in `bpf/maps.h`.
pub const GATE_DROPS: [&str; 13] = [
    "no_socket",
    "denied",
    "black_hole",
    "bogon",
    "reverse_path",
    "region",
    "source_limit",
    "service_limit",
    "bad_cookie",
    "reset_heard",
    "first_datagram",
    "tcp_flags",
    "bad_tcp_offset",
];

/// Counters of one port before those of the drops.
const OTHERS: usize = 5;

/// Counters of one port, and room up to a power of two (`COUNTS` in `bpf/maps.h`).
const COUNTS: usize = (OTHERS + GATE_DROPS.len()).next_power_of_two();

/// What the gate takes beyond endpoints with a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Whether there are endpoints of every port.
    pub wide: bool,
    /// The rules that mark packets, and the families in which a service has the mark.
    pub rules: Vec<(Rule, Vec<Family>)>,
}

/// Size of `struct rule`.
const RULE_BYTES: usize = 80;
/// `ANY_PORT`.
const ANY_PORT: u16 = u16::MAX;

fn bytes_of((rule, families): &(Rule, Vec<Family>)) -> [u8; RULE_BYTES] {
    let mut bytes = [0; RULE_BYTES];
    let mask = |bits| Addr::v6([0xff; 16]).masked(bits);
    let nets = [rule.src, rule.dst];
    let addrs = nets.into_iter().flat_map(|net| [net.addr, mask(net.bits)]);
    for (to, addr) in bytes.chunks_exact_mut(16).zip(addrs) {
        to.copy_from_slice(addr.octets());
    }
    let ((a, b), (c, d)) = (rule.src_ports, rule.dst_ports);
    let numbers = [a, b, c, d, rule.port.unwrap_or(ANY_PORT)];
    for (to, number) in bytes[64..74].chunks_exact_mut(2).zip(numbers) {
        to.copy_from_slice(&number.to_ne_bytes());
    }
    bytes[74] = rule.protocol.map_or(0, Protocol::number);
    let wanted = |family: &Family| match family {
        Family::Ipv4 => 1,
        Family::Ipv6 => 2,
    };
    bytes[75] = families.iter().map(wanted).sum();
    bytes[76..].copy_from_slice(&rule.region.0.to_ne_bytes());
    bytes
}

#[derive(Debug)]
pub(super) struct Maps {
    pub(super) endpoints: Endpoints,
    locals: MapHandle,
    sockets: MapHandle,
    stations: MapHandle,
    rules: MapHandle,
    scopes: MapHandle,
    pub(super) counters: MapHandle,
    pub(super) flows: FlowMaps,
    roll: MapHandle,
    resets: MapHandle,
    pub(super) cookies: CookieCounters,
    pub(super) repeats: RepeatMaps,
    pub(super) filters: Filters,
    pub(super) sights: MapHandle,
    ahead: MapHandle,
    /// All of them, by name.
    pub(super) all: Vec<(String, MapHandle)>,
}

impl Maps {
    pub(super) fn of(skel: &GateSkel<'_>) -> libbpf_rs::Result<Self> {
        Ok(Self {
            endpoints: Endpoints::of(skel)?,
            locals: MapHandle::try_from(&skel.maps.locals)?,
            sockets: MapHandle::try_from(&skel.maps.sockets)?,
            stations: MapHandle::try_from(&skel.maps.bss_stations)?,
            rules: MapHandle::try_from(&skel.maps.rules)?,
            scopes: MapHandle::try_from(&skel.maps.bss_scopes)?,
            counters: MapHandle::try_from(&skel.maps.counters)?,
            flows: FlowMaps::of(skel)?,
            roll: MapHandle::try_from(&skel.maps.roll)?,
            resets: MapHandle::try_from(&skel.maps.resets)?,
            cookies: CookieCounters(MapHandle::try_from(&skel.maps.cookie_counts)?),
            repeats: RepeatMaps::of(skel)?,
            filters: Filters::of(skel)?,
            sights: MapHandle::try_from(&skel.maps.sights)?,
            ahead: MapHandle::try_from(&skel.maps.ahead)?,
            all: named(skel)?,
        })
    }

    /// Has the next director find which interface each port is.
    pub(super) fn name_ports(&mut self, interfaces: &[Interface]) -> Result<(), GateError> {
        let named = ports::write(interfaces)?;
        self.all.push((PORTS.to_owned(), named));
        Ok(())
    }

    /// Makes a further instance use these maps instead of new ones.
    pub(super) fn lend(&self, open: &mut OpenGateSkel<'_>) -> libbpf_rs::Result<()> {
        self.endpoints.lend(open)?;
        open.maps.locals.reuse_fd(self.locals.as_fd())?;
        open.maps.sockets.reuse_fd(self.sockets.as_fd())?;
        open.maps.bss_stations.reuse_fd(self.stations.as_fd())?;
        open.maps.rules.reuse_fd(self.rules.as_fd())?;
        open.maps.bss_scopes.reuse_fd(self.scopes.as_fd())?;
        open.maps.roll.reuse_fd(self.roll.as_fd())?;
        open.maps.resets.reuse_fd(self.resets.as_fd())?;
        open.maps.cookie_counts.reuse_fd(self.cookies.0.as_fd())?;
        open.maps.counters.reuse_fd(self.counters.as_fd())?;
        open.maps.sights.reuse_fd(self.sights.as_fd())?;
        open.maps.ahead.reuse_fd(self.ahead.as_fd())?;
        self.flows.lend(open)?;
        self.repeats.lend(open)?;
        self.filters.lend(open)
    }

    /// The roll, on the memory that the gate sees.
    pub(super) fn map_roll(&self, plan: &RollPlan) -> Result<Roll, GateError> {
        let shared = shared(&self.roll, "roll")?;
        Ok(Roll::new(Box::new(shared), plan.places))
    }

    /// The RSTs that were heard, in the same way.
    pub(super) fn map_resets(&self, plan: &RollPlan) -> Result<Resets, GateError> {
        let shared = shared(&self.resets, "resets")?;
        Ok(Resets::new(Box::new(shared), plan.places))
    }

    pub(super) fn connect(
        &self,
        port: usize,
        queue: u32,
        socket: BorrowedFd<'_>,
    ) -> Result<(), GateError> {
        let slot = port as u32 * MAX_QUEUES + queue;
        let fd = socket.as_raw_fd().to_ne_bytes();
        self.sockets
            .update(&slot.to_ne_bytes(), &fd, MapFlags::ANY)
            .map_err(|error| GateError::Map {
                map: "sockets",
                error,
            })
    }

    /// Takes all sockets of so many ports away.
    pub(super) fn disconnect(&self, ports: usize) -> Result<(), GateError> {
        let error = |error| GateError::Map {
            map: "sockets",
            error,
        };
        let mut slots = 0..ports as u32 * MAX_QUEUES;
        slots
            .try_for_each(|slot| put::<0>(&self.sockets, &slot.to_ne_bytes(), None))
            .map_err(error)
    }

    pub(super) fn set_local(
        &self,
        addr: Addr,
        own: Option<&RangeInclusive<u16>>,
    ) -> Result<(), GateError> {
        let value = own.map(|ports| {
            let ([a, b], [c, d]) = (ports.start().to_ne_bytes(), ports.end().to_ne_bytes());
            [a, b, c, d]
        });
        put(&self.locals, addr.octets(), value).map_err(|error| GateError::Map {
            map: "locals",
            error,
        })
    }

    /// Writes the list of rules that does not hold, and then lets it.
    pub(super) fn set_scope(&self, scope: &Scope) -> Result<(), GateError> {
        let map = |map| move |error| GateError::Map { map, error };
        let only = 0u32.to_ne_bytes();
        let now = self.scopes.lookup(&only, MapFlags::ANY);
        let now = now.map_err(map("scopes"))?.unwrap_or_default();
        let list = now.get(8..12).and_then(|word| word.try_into().ok());
        let other = 1 - u32::from_ne_bytes(list.unwrap_or_default()).min(1);
        let mut rules: Vec<u8> = scope.rules.iter().flat_map(bytes_of).collect();
        rules.resize(RULE_BYTES * MAX_RULES, 0);
        self.rules
            .update(&other.to_ne_bytes(), &rules, MapFlags::ANY)
            .map_err(map("rules"))?;
        let regional = scope.rules.iter().any(|(rule, _)| !rule.region.is_none());
        let words = [
            u32::from(scope.wide),
            scope.rules.len() as u32,
            other,
            u32::from(regional),
        ];
        let words: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        self.scopes
            .update(&only, &words, MapFlags::ANY)
            .map_err(map("scopes"))
    }

    pub(super) fn set_station(&self, port: usize, mac: Mac) -> Result<(), GateError> {
        let stations = shared(&self.stations, "stations")?;
        let [a, b, c, d, e, f] = mac.0;
        let word = u64::from_ne_bytes([a, b, c, d, e, f, 0, 0]);
        stations[port].store(word, Relaxed);
        Ok(())
    }

    pub(super) fn counters(&self, port: usize) -> Result<GateCounters, GateError> {
        let counts = sums_percpu(&self.counters, port as u32);
        let counts: [u64; COUNTS] = counts.map_err(|error| GateError::Map {
            map: "counters",
            error,
        })?;
        let [received, passed, redirected, forwarded, answered, ..] = counts;
        let mut counters = GateCounters {
            // What is forwarded is not counted as received, too (`bpf/maps.h`).
            received: received + forwarded,
            passed,
            redirected,
            forwarded,
            answered,
            ..GateCounters::default()
        };
        counters
            .drops
            .copy_from_slice(&counts[OTHERS..][..GATE_DROPS.len()]);
        Ok(counters)
    }
}

/// The words of a map, in this process's memory.
fn shared(map: &MapHandle, name: &'static str) -> Result<Array<AtomicU64>, GateError> {
    Array::map(map).map_err(|error| GateError::Map {
        map: name,
        error: error.into(),
    })
}

/// The maps of `bpf/`.
fn named(skel: &GateSkel<'_>) -> libbpf_rs::Result<Vec<(String, MapHandle)>> {
    let maps = skel.object().maps();
    let named = maps.filter_map(|map| Some((name_of(map.name())?.to_owned(), map)));
    named
        .map(|(name, map)| Ok((name, MapHandle::try_from(&map)?)))
        .collect()
}
