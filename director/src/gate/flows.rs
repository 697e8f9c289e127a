//! The flow cache as gate and director share it: BPF arrays in the memory of both, so that neither
//! needs a system call. `bpf/flows.h` and `bpf/lanes.h` have the same layouts, and say who writes what.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use libbpf_rs::{MapCore, MapHandle};

use super::map::name_of;
use super::memory::{Array, Shared};
use super::ports::Origins;
use super::skel::{GateSkel, OpenGateSkel};
use super::{GateError, MAX_PORTS};

/// `FLOWS_LAYOUT`.
pub const LAYOUT: u32 = 4;
/// `HASH_KEYS`.
pub const HASH_KEYS: usize = 11;
/// `SLOTS`: of a bucket.
pub const SLOTS: usize = 8;
/// `HOPS`.
pub const HOPS: usize = 16_384;
/// `HOP_ERA_BITS`.
pub const HOP_ERA_BITS: u32 = 18;
/// `REALS`: real servers whose flows the gate can know.
pub const REALS: usize = 16_384;

macro_rules! shared {
    ($($kind:ty = $bytes:expr;)*) => {$(
        const _: () = assert!(size_of::<$kind>() == $bytes && align_of::<$kind>() <= 64);
        // SAFETY: atomics of plain integers only, `repr(C)`, field by field as in `bpf/flows.h`.
        unsafe impl Shared for $kind {}
    )*};
}

shared! {
    Head = 104;
    Bucket = 64;
    Flow = 128;
    Wide = 64;
    SharedSplice = 16;
    SharedHop = 24;
    SharedReal = 8;
    Tally = 32;
    Lane = 32;
}

/// `struct head`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Head {
    /// [`LAYOUT`].
    pub layout: AtomicU32,
    /// Number of buckets - 1.
    pub mask: AtomicU32,
    /// The present tick.
    pub now: AtomicU32,
    zero: AtomicU32,
    /// What tuples are hashed under.
    pub keys: [AtomicU64; HASH_KEYS],
}

/// `struct bucket`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Bucket(pub [AtomicU64; SLOTS]);

/// `struct course`.
#[repr(C)]
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "bpf/flows.h says what they are")]
pub struct Course {
    pub bytes: AtomicU64,
    pub packets: AtomicU32,
    pub end: AtomicU32,
    pub ack: AtomicU32,
    pub edge: AtomicU32,
    pub window: AtomicU32,
    pub seen: AtomicU32,
}

/// `struct way`.
#[repr(C)]
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "bpf/flows.h says what they are")]
pub struct Way {
    /// In network byte order.
    pub src: AtomicU32,
    /// The same.
    pub dst: AtomicU32,
    /// The same: of source and destination.
    pub ports: [AtomicU16; 2],
    pub hop: AtomicU32,
    pub era: AtomicU32,
    pub longest: AtomicU16,
    pub ip_change: AtomicU16,
    pub l4_change: AtomicU16,
    pub shift: AtomicU8,
    zero: AtomicU8,
}

/// Bits of [`Flow::kind`].
#[allow(missing_docs, reason = "bpf/flows.h says what they are")]
pub mod kind {
    pub const V6: u8 = 1;
    pub const TCP: u8 = 2;
    pub const ONE_WAY: u8 = 4;
    pub const TRANSLATE: u8 = 8;
    pub const WRAP: u8 = 16;
    pub const SPLICE: u8 = 32;
    pub const WIDE: u8 = 64;
}

/// `struct flow`.
#[repr(C)]
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "bpf/flows.h says what they are")]
pub struct Flow {
    /// By direction.
    pub courses: [Course; 2],
    /// By direction.
    pub ways: [Way; 2],
    pub real: AtomicU16,
    pub kind: AtomicU8,
    pub shim: AtomicU8,
    pub entropy: AtomicU32,
}

/// `struct wide`: by direction, addresses of source and destination, in full.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Wide(pub [[[AtomicU32; 4]; 2]; 2]);

/// `struct splice`.
#[repr(C)]
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "bpf/flows.h says what they are")]
pub struct SharedSplice {
    pub numbers: AtomicU32,
    pub clock: AtomicU32,
    /// By direction: as said, and as read.
    pub scales: [[AtomicU8; 2]; 2],
    zero: AtomicU32,
}

/// `struct hop`.
#[repr(C)]
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "bpf/flows.h says what they are")]
pub struct SharedHop {
    pub dst: [AtomicU16; 3],
    pub src: [AtomicU16; 3],
    pub era: AtomicU32,
    pub port: AtomicU32,
    zero: AtomicU32,
}

impl SharedHop {
    /// Becomes what `former` is, by `port`.
    fn become_moved(&self, former: &Self, port: u32) {
        let cells = self.dst.iter().chain(&self.src);
        for (cell, from) in cells.zip(former.dst.iter().chain(&former.src)) {
            cell.store(from.load(Relaxed), Relaxed);
        }
        self.port.store(port, Relaxed);
        self.era.store(former.era.load(Relaxed), Relaxed);
    }
}

/// `struct real`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct SharedReal {
    /// Flows of another era are good no more.
    pub era: AtomicU32,
    zero: AtomicU32,
}

/// `struct tally`: by direction.
#[repr(C)]
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "bpf/flows.h says what they are")]
pub struct Tally {
    pub packets: [AtomicU64; 2],
    pub bytes: [AtomicU64; 2],
}

/// `struct lane`.
#[repr(C)]
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "bpf/flows.h says what they are")]
pub struct Lane {
    pub on: AtomicU32,
    pub error: AtomicI32,
    pub ifindex: AtomicU32,
    pub direct: AtomicU32,
    pub sent: AtomicU64,
    pub lost: AtomicU64,
}

/// The arrays of the flow cache.
#[derive(Debug)]
#[allow(missing_docs, reason = "the module says what they are")]
pub struct Flows {
    pub heads: Array<Head>,
    pub buckets: Array<Bucket>,
    pub flows: Array<Flow>,
    pub wides: Array<Wide>,
    pub splices: Array<SharedSplice>,
    pub hops: Array<SharedHop>,
    pub reals: Array<SharedReal>,
    pub tallies: Array<Tally>,
    pub lanes: Array<Lane>,
}

impl Flows {
    /// The one head there is.
    #[inline]
    pub fn head(&self) -> &Head {
        &self.heads[0]
    }

    /// Bytes that it takes, in the kernel.
    pub fn footprint(&self) -> usize {
        let by_flow = self.buckets.footprint() + self.flows.footprint();
        let beside = self.wides.footprint() + self.splices.footprint();
        let others = self.tallies.footprint() + self.reals.footprint() + self.hops.footprint();
        by_flow + beside + others
    }
}

/// The maps themselves.
#[derive(Debug)]
pub(super) struct FlowMaps {
    heads: MapHandle,
    buckets: MapHandle,
    flows: MapHandle,
    wides: MapHandle,
    splices: MapHandle,
    hops: MapHandle,
    reals: MapHandle,
    tallies: MapHandle,
    lanes: MapHandle,
    exits: MapHandle,
}

/// The one whose entries name ports.
pub(super) const HOPS_MAP: &str = "hops";
/// `NO_PORT`: the gate leaves what would go there to the director.
const NO_PORT: u32 = MAX_PORTS as u32;

/// What a later director goes on with: all or nothing.
pub(super) const ARRAYS: [&str; 8] = [
    "heads",
    "flow_slots",
    "flows",
    "wides",
    "splices",
    HOPS_MAP,
    "reals",
    "tallies",
];

/// Slots for each flow: two are used, so that a bucket is seldom full.
const SLOTS_A_FLOW: usize = 4;

/// Buckets for so many flows, a power of two.
fn buckets_for(flows: u32) -> u32 {
    (flows as usize * SLOTS_A_FLOW / SLOTS)
        .max(1)
        .next_power_of_two() as u32
}

/// Says how many flows the maps of `open` are to have room for; none: just enough to exist.
pub(super) fn size(open: &mut OpenGateSkel<'_>, flows: u32) -> libbpf_rs::Result<()> {
    let cpus = libbpf_rs::num_possible_cpus()? as u32;
    let (flows, tallies) = match flows {
        0 => (1, 1),
        flows => (flows, cpus * REALS as u32),
    };
    open.maps.flow_slots.set_max_entries(buckets_for(flows))?;
    open.maps.flows.set_max_entries(flows)?;
    open.maps.wides.set_max_entries(flows)?;
    open.maps.splices.set_max_entries(flows)?;
    open.maps.tallies.set_max_entries(tallies)
}

impl FlowMaps {
    pub(super) fn of(skel: &GateSkel<'_>) -> libbpf_rs::Result<Self> {
        Ok(Self {
            heads: MapHandle::try_from(&skel.maps.bss_heads)?,
            buckets: MapHandle::try_from(&skel.maps.flow_slots)?,
            flows: MapHandle::try_from(&skel.maps.flows)?,
            wides: MapHandle::try_from(&skel.maps.wides)?,
            splices: MapHandle::try_from(&skel.maps.splices)?,
            hops: MapHandle::try_from(&skel.maps.bss_hops)?,
            reals: MapHandle::try_from(&skel.maps.bss_reals)?,
            tallies: MapHandle::try_from(&skel.maps.tallies)?,
            lanes: MapHandle::try_from(&skel.maps.bss_lanes)?,
            exits: MapHandle::try_from(&skel.maps.exits)?,
        })
    }

    /// Another director's flow cache, by the names of its maps; what it sends through is not its
    /// matter any more.
    pub(super) fn among(maps: &[MapHandle], own: &Self) -> Option<Self> {
        let named = |name: &str| {
            let map = maps.iter().find(|map| name_of(map.name()) == Some(name))?;
            MapHandle::try_from(map).ok()
        };
        Some(Self {
            heads: named("heads")?,
            buckets: named("flow_slots")?,
            flows: named("flows")?,
            wides: named("wides")?,
            splices: named("splices")?,
            hops: named(HOPS_MAP)?,
            reals: named("reals")?,
            tallies: named("tallies")?,
            lanes: MapHandle::try_from(&own.lanes).ok()?,
            exits: MapHandle::try_from(&own.exits).ok()?,
        })
    }

    /// Whether these are the same maps.
    pub(super) fn is(&self, other: &Self) -> bool {
        let id = |maps: &Self| maps.heads.info().map(|info| info.info.id).ok();
        id(self) == id(other)
    }

    pub(super) fn lend(&self, open: &mut OpenGateSkel<'_>) -> libbpf_rs::Result<()> {
        open.maps.bss_heads.reuse_fd(self.heads.as_fd())?;
        open.maps.flow_slots.reuse_fd(self.buckets.as_fd())?;
        open.maps.flows.reuse_fd(self.flows.as_fd())?;
        open.maps.wides.reuse_fd(self.wides.as_fd())?;
        open.maps.splices.reuse_fd(self.splices.as_fd())?;
        open.maps.bss_hops.reuse_fd(self.hops.as_fd())?;
        open.maps.bss_reals.reuse_fd(self.reals.as_fd())?;
        open.maps.tallies.reuse_fd(self.tallies.as_fd())?;
        open.maps.bss_lanes.reuse_fd(self.lanes.as_fd())?;
        open.maps.exits.reuse_fd(self.exits.as_fd())
    }

    /// The arrays, in this process's memory.
    pub(super) fn map(&self) -> Result<Flows, GateError> {
        let all = || -> io::Result<Flows> {
            Ok(Flows {
                heads: Array::map(&self.heads)?,
                buckets: Array::map(&self.buckets)?,
                flows: Array::map(&self.flows)?,
                wides: Array::map(&self.wides)?,
                splices: Array::map(&self.splices)?,
                hops: Array::map(&self.hops)?,
                reals: Array::map(&self.reals)?,
                tallies: Array::map(&self.tallies)?,
                lanes: Array::map(&self.lanes)?,
            })
        };
        all().map_err(GateError::FlowMemory)
    }

    /// Takes the next hops of `former`, another director's, by the ports of now. Those by an interface
    /// that is none any more lead nowhere.
    pub(super) fn move_hops(&self, former: &MapHandle, origins: &Origins) -> Result<(), GateError> {
        let map = |map| Array::<SharedHop>::map(map).map_err(GateError::FlowMemory);
        let (former, own) = (map(former)?, map(&self.hops)?);
        for (own, former) in own.iter().zip(former.iter()) {
            let port = origins.heir(former.port.load(Relaxed));
            own.become_moved(former, port.unwrap_or(NO_PORT));
        }
        Ok(())
    }

    /// What XDP sends back through `port` gets there.
    pub(super) fn answers_directly(&self, port: usize) -> Result<(), GateError> {
        let lanes = self.map_lanes().map_err(GateError::FlowMemory)?;
        lanes[port].direct.store(1, Relaxed);
        Ok(())
    }

    /// Lets packets leave through the interface with the index `ifindex` as port `port`.
    pub(super) fn open_exit(&self, port: usize, ifindex: u32) -> Result<(), GateError> {
        debug_assert!(port < MAX_PORTS);
        let (slot, ifindex) = ((port as u32).to_ne_bytes(), ifindex.to_ne_bytes());
        let opened = self.exits.update(&slot, &ifindex, libbpf_rs::MapFlags::ANY);
        opened.map_err(|error| GateError::Map {
            map: "exits",
            error,
        })
    }

    pub(super) fn map_lanes(&self) -> io::Result<Array<Lane>> {
        Array::map(&self.lanes)
    }

    pub(super) fn lanes_fd(&self) -> BorrowedFd<'_> {
        self.lanes.as_fd()
    }

    pub(super) fn exits_id(&self) -> libbpf_rs::Result<u32> {
        Ok(self.exits.info()?.info.id)
    }

    pub(super) fn exits_fd(&self) -> BorrowedFd<'_> {
        self.exits.as_fd()
    }
}
