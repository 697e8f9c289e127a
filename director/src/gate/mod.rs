//! The gate from user space: loads it, attaches it to the interfaces and owns its maps.
//! The other unsafe floor.
//!
//! The program is held by a BPF link, so the kernel detaches it when the director ends in any
//! way: an orderly stop, a panic, `kill -9`. Or it stays, when it is to (`pins`).
#![allow(unsafe_code)]

mod answers;
mod attachment;
mod bearer;
mod carried;
mod cookies;
mod elsewhere;
mod endpoints;
mod error;
mod filters;
pub mod flows;
mod further;
mod hold;
mod interface;
mod lanes;
mod limits;
mod map;
mod maps;
pub mod memory;
mod pins;
mod ports;
mod program;
mod queues;
mod reals;
mod repeats;
mod roll;
mod sights;
mod standings;
mod succession;
mod trial;

pub use answers::Answers;
pub use bearer::bears_gate;
pub use cookies::{CookieCounts, MAX_COOKIE_SERVICES};
pub use endpoints::{Endpoints, Roles};
pub use error::GateError;
pub use filters::{Filters, Known};
pub use interface::Interface;
pub use lanes::Lanes;
pub use maps::{GATE_DROPS, GateCounters, Scope};
pub use pins::{Pins, is_pinned, remove as remove_pins};
pub use program::XdpMode;
pub use queues::Queues;
pub use repeats::{MAX_REPEATING_SERVICES, Repeating};
pub use sights::Sights;
pub use trial::{Trial, Verdict};

use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use crate::cookie::{Resets, Roll};
use crate::door::Door;
use crate::wire::{Addr, Mac};
use attachment::Attachment;
use elsewhere::Elsewhere;
use flows::{FlowMaps, Flows};
use maps::Maps;
use program::Instance;
use roll::RollPlan;

#[allow(missing_docs, unreachable_pub, unused_imports, clippy::all)]
mod skel {
    include!(concat!(env!("OUT_DIR"), "/gate.skel.rs"));
}

/// Queues of one interface at most (`QUEUES` in `bpf/maps.h`).
pub const MAX_QUEUES: u32 = 64;

/// Interfaces of one director at most (the maps of `bpf/maps.h` have room for as many).
pub const MAX_PORTS: usize = 16;

/// The gate on all interfaces of the director. Dropping it detaches it, unless it is pinned.
#[derive(Debug)]
pub struct Gate {
    maps: Maps,
    /// What all instances have in common.
    flows: u32,
    plan: RollPlan,
    roll: Arc<Roll>,
    resets: Arc<Resets>,
    links: Vec<Attachment>,
    pins: Option<Pins>,
    /// The flow cache of another director, when this one has its own.
    former: Option<FlowMaps>,
    /// What another director's gate counts at other ports.
    elsewhere: Option<Elsewhere>,
}

/// What a gate is to have room for.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Connections that it may forward by itself; with 0 it has no fast path.
    pub flows: u32,
    /// Connections on the roll.
    pub connections: usize,
}

/// Does the same for all, each in a thread of its own: the kernel takes a tenth of a second to check an
/// instance of the gate, and nobody is served meanwhile.
fn at_once<T: Send, D: Send, E: Send>(
    all: impl Iterator<Item = T>,
    work: impl Fn(T) -> Result<D, E> + Sync,
) -> Result<Vec<D>, E> {
    thread::scope(|scope| {
        let threads: Vec<_> = all.map(|one| scope.spawn(|| work(one))).collect();
        let outcomes = threads.into_iter().map(|thread| {
            let outcome = thread.join();
            outcome.unwrap_or_else(|panic| resume_unwind(panic))
        });
        // All of them, so that none is at work when one has failed.
        let outcomes: Vec<_> = outcomes.collect();
        outcomes.into_iter().collect()
    })
}

impl Gate {
    /// Loads the gate and attaches it to `interfaces`, whose places in the list are the port
    /// numbers from then on. It has `room` for so much. Until endpoints are set it passes everything.
    /// Where `pins` hold the gate of another director, that one stays until [`Gate::take_over`].
    ///
    /// # Errors
    /// Which interface, why, and what to do about it. Nothing new stays attached.
    pub fn attach(
        interfaces: &[Interface],
        wanted: Option<XdpMode>,
        room: Room,
        pins: Option<Pins>,
    ) -> Result<Self, GateError> {
        let carried = pins.as_ref().map(|pins| pins.carried(interfaces));
        let carried = carried.unwrap_or_default();
        if interfaces.is_empty() {
            return Err(GateError::NoInterface);
        }
        let plan = RollPlan::of(room.connections);
        let mut maps = program::make_maps(room.flows, &plan, &carried)?;
        maps.name_ports(interfaces)?;
        maps.filters.remember_limits(&carried);
        let former = FlowMaps::among(carried.maps(), &maps.flows);
        let former = former.filter(|former| !former.is(&maps.flows));
        let elsewhere = carried.move_into(&maps)?;
        let attach = |(port, interface): (usize, &Interface)| {
            let instance = Instance {
                port: port as u32,
                flows: room.flows,
                roll: &plan,
            };
            Attachment::make(instance, interface, wanted, &maps, pins.as_ref())
        };
        let links = at_once(interfaces.iter().enumerate(), attach)?;
        for (port, interface) in interfaces.iter().enumerate() {
            if interface.is_device {
                maps.flows.answers_directly(port)?;
            }
        }
        let roll = Arc::new(maps.map_roll(&plan)?);
        let resets = Arc::new(maps.map_resets(&plan)?);
        Ok(Self {
            maps,
            flows: room.flows,
            plan,
            roll,
            resets,
            links,
            pins,
            former,
            elsewhere,
        })
    }

    /// Who has a connection, for the gate to see.
    pub fn roll(&self) -> &Arc<Roll> {
        &self.roll
    }

    /// Who has shown by a RST that it is there, to gate and workers.
    pub fn resets(&self) -> &Arc<Resets> {
        &self.resets
    }

    /// What endpoints are to the gate.
    pub const fn endpoints(&self) -> &Endpoints {
        &self.maps.endpoints
    }

    /// First datagrams that were dropped of the service that has this place.
    ///
    /// # Errors
    /// The kernel's.
    pub fn first_datagrams(&self, slot: u16) -> Result<u64, GateError> {
        self.maps.repeats.dropped(slot)
    }

    /// What the gate has counted of a service with cookies.
    ///
    /// # Errors
    /// The kernel's.
    pub fn cookie_counts(&self, service: u16) -> Result<CookieCounts, GateError> {
        self.maps.cookies.counts(service)
    }

    /// Whether the gate of another director is still in the place of this one.
    pub fn is_awaited(&self) -> bool {
        self.links.iter().any(|link| link.successor.is_some())
    }

    /// Puts this gate in the place of another director's, and gives it the names by which the next
    /// one finds it. To be called when it knows all that it has to know.
    ///
    /// # Errors
    /// The kernel's.
    pub fn take_over(&self) -> Result<(), GateError> {
        let Some(pins) = &self.pins else {
            return Ok(());
        };
        for (port, link) in self.links.iter().enumerate() {
            self.count_on(port)?;
            link.take_over(pins)?;
        }
        let links = self.links.iter();
        let links = links.filter_map(|it| Some((it.interface.index, it.mode, it.link()?)));
        pins.settle(&self.maps.all, links)
    }

    /// Has `port` count on from where another director's gate is, if that has counted elsewhere.
    fn count_on(&self, port: usize) -> Result<(), GateError> {
        match &self.elsewhere {
            Some(elsewhere) if self.links[port].successor.is_some() => {
                elsewhere.copy(port, &self.maps)
            }
            _ => Ok(()),
        }
    }

    /// Has what real servers on this host answer handed to the `door`, once [`Answers::set`] has named
    /// them.
    ///
    /// # Errors
    /// When the kernel does not load or attach the program.
    pub fn catch_answers(&self, door: &Door) -> Result<Answers, GateError> {
        Answers::catch(self.links.iter().map(|link| link.interface.index), door)
    }

    /// Has `answers` caught as long as the gate is there, if it is to outlive the director; none are
    /// caught any more when there are none.
    ///
    /// # Errors
    /// The BPF file system's.
    pub fn keep_answers(&self, answers: Option<&Answers>) -> Result<(), GateError> {
        match &self.pins {
            Some(pins) => pins.keep_answers(answers.into_iter().flat_map(Answers::links)),
            None => Ok(()),
        }
    }

    /// The flow cache, in this process's memory.
    ///
    /// # Errors
    /// The kernel's.
    pub fn flows(&self) -> Result<Flows, GateError> {
        self.maps.flows.map()
    }

    /// The flow cache of another director, if this one does not go on with it: what that gate has seen.
    pub fn former_flows(&self) -> Option<Flows> {
        self.former.as_ref()?.map().ok()
    }

    /// Lets the fast path leave through `port`, which is the interface with the index `ifindex`.
    ///
    /// # Errors
    /// When the driver takes no redirected frames.
    pub fn open_exit(&self, port: usize, ifindex: u32) -> Result<(), GateError> {
        self.maps.flows.open_exit(port, ifindex)
    }

    /// Starts to watch whether the interfaces deliver what is redirected to them.
    ///
    /// # Errors
    /// When this kernel cannot tell.
    pub fn watch_lanes(&self) -> Result<Lanes, GateError> {
        Lanes::watch(&self.maps.flows).map_err(GateError::Lanes)
    }

    /// What it shows of the packets that it keeps from the director.
    ///
    /// # Errors
    /// The kernel's.
    pub fn sights(&self) -> Result<Sights, GateError> {
        Sights::of(&self.maps.sights)
    }

    /// How the gate is attached to `port`.
    pub fn mode(&self, port: usize) -> XdpMode {
        self.links[port].mode
    }

    /// Sends what is the director's on `queue` of `port` to `socket`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect(
        &self,
        port: usize,
        queue: u32,
        socket: BorrowedFd<'_>,
    ) -> Result<(), GateError> {
        self.maps.connect(port, queue, socket)
    }

    /// Sends nothing more to any socket: the director is about to end.
    ///
    /// # Errors
    /// The kernel's.
    pub fn disconnect(&self) -> Result<(), GateError> {
        self.maps.disconnect(self.links.len())
    }

    /// Says that `addr` is an address of this host, to which a real server may speak without its
    /// packet being taken for a reply, but for the ports `spoken` that the director speaks from.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_local(
        &self,
        addr: Addr,
        spoken: Option<&RangeInclusive<u16>>,
    ) -> Result<(), GateError> {
        #[allow(clippy::reversed_empty_ranges)]
        const NONE: RangeInclusive<u16> = 1..=0;
        self.maps.set_local(addr, Some(spoken.unwrap_or(&NONE)))
    }

    /// Says that `addr` is an address of this host no more.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget_local(&self, addr: Addr) -> Result<(), GateError> {
        self.maps.set_local(addr, None)
    }

    /// Says what there is beyond endpoints with a port.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_scope(&self, scope: &Scope) -> Result<(), GateError> {
        self.maps.set_scope(scope)
    }

    /// Says which Ethernet address `port` has; until then all its packets are passed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_station(&self, port: usize, mac: Mac) -> Result<(), GateError> {
        self.maps.set_station(port, mac)
    }

    /// What it filters.
    pub const fn filters(&self) -> &Filters {
        &self.maps.filters
    }

    /// What the gate has counted on `port`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn counters(&self, port: usize) -> Result<GateCounters, GateError> {
        self.maps.counters(port)
    }
}
