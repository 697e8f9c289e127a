//! Virtual services and their real servers, as the packet path sees them.
//!
//! What is configured never changes once built: a change builds new objects that share the live
//! parts ([`Load`], [`PerWorker`], the scheduler) with the old ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use adminapi::model::{self, Check, Family, HealthPolicy};

use crate::cookie::Cookies;
use crate::defence::Stance;
use crate::forward::Tunnel;
use crate::sched::Scheduler;
use crate::stats::PerWorker;
use crate::time::{Tick, Ticks};
use crate::wire::{Endpoint, Protocol};
use crate::{ftp, sctp, tcp};

mod fitness;
mod reals;

pub use fitness::{Fitness, Part};
pub use reals::Reals;
pub(crate) use reals::common_divisor;

/// What names a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// Packets to an address.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// VIP and port; port 0 is every port that no other service of the VIP has.
        vip: Endpoint,
    },
    /// Packets that a rule has marked.
    Mark {
        /// The mark.
        mark: u32,
        /// Of packets of this family.
        family: Family,
    },
}

impl ServiceKey {
    /// The service of `protocol` at `vip`.
    #[inline]
    pub const fn at(protocol: Protocol, vip: Endpoint) -> Self {
        Self::Address { protocol, vip }
    }

    /// VIP and port; a mark has none.
    pub const fn vip(&self) -> Option<Endpoint> {
        match self {
            Self::Address { vip, .. } => Some(*vip),
            Self::Mark { .. } => None,
        }
    }

    /// Its port; 0 for a mark, as for every port.
    pub const fn port(&self) -> u16 {
        match self {
            Self::Address { vip, .. } => vip.port,
            Self::Mark { .. } => 0,
        }
    }

    /// Whether its packets may be of this protocol.
    pub fn has(&self, protocol: Protocol) -> bool {
        match self {
            Self::Address { protocol: own, .. } => *own == protocol,
            Self::Mark { .. } => true,
        }
    }

    /// Whether its connections are those that FTP is controlled by.
    pub const fn is_ftp(&self) -> bool {
        matches!(
            self,
            Self::Address {
                protocol: Protocol::Tcp,
                vip,
            } if vip.port == ftp::PORT
        )
    }

    /// The protocols of its packets.
    pub fn protocols(&self) -> impl Iterator<Item = Protocol> + use<> {
        let this = *self;
        let all = Protocol::ALL.into_iter();
        all.filter(move |protocol| this.has(*protocol))
    }
}

/// The slot of a real server in the pool; what a connection remembers of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealId(pub u32);

/// As what a connection counts for its real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its handshake is under way; counts as active, too.
    HalfOpen,
    /// Active (ActiveConn).
    Active,
    /// Not active (InActConn).
    Inactive,
}

impl From<tcp::State> for Phase {
    #[inline]
    fn from(state: tcp::State) -> Self {
        match state {
            _ if state.is_half_open() => Self::HalfOpen,
            _ if state.is_active() => Self::Active,
            _ => Self::Inactive,
        }
    }
}

impl From<sctp::State> for Phase {
    #[inline]
    fn from(state: sctp::State) -> Self {
        match state {
            _ if state.is_active() => Self::Active,
            _ => Self::Inactive,
        }
    }
}

/// Connections that a real server has now, counted by all workers.
#[derive(Debug, Default)]
pub struct Load {
    half_open: AtomicU32,
    active: AtomicU32,
    inactive: AtomicU32,
    /// Whether the upper threshold has been reached and not left since.
    overloaded: AtomicBool,
    sticking: AtomicU32,
    /// Whether its agent is there, and takes connections that cookies have proved.
    takes_cookies: AtomicBool,
}

impl Load {
    /// So many connections.
    #[cfg(test)]
    pub(crate) fn of(active: u32, inactive: u32) -> Self {
        Self {
            half_open: 0.into(),
            active: active.into(),
            inactive: inactive.into(),
            overloaded: false.into(),
            sticking: 0.into(),
            takes_cookies: false.into(),
        }
    }

    /// Connections whose handshake is under way.
    pub fn half_open(&self) -> u32 {
        self.half_open.load(Relaxed)
    }

    /// Connections in a state that counts as active (ActiveConn), half-open ones among them.
    #[inline]
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed).saturating_add(self.half_open())
    }

    /// Its other connections (InActConn).
    #[inline]
    pub fn inactive(&self) -> u32 {
        self.inactive.load(Relaxed)
    }

    /// All its connections.
    pub fn connections(&self) -> u32 {
        self.active().saturating_add(self.inactive())
    }

    /// Clients that stick to it (PersistConn).
    pub fn sticking(&self) -> u32 {
        self.sticking.load(Relaxed)
    }

    /// A client sticks to it from now on.
    pub fn stick(&self) {
        self.sticking.fetch_add(1, Relaxed);
    }

    /// A client does not stick to it any more.
    pub fn unstick(&self) {
        self.sticking.fetch_sub(1, Relaxed);
    }

    /// Whether it takes connections that cookies have proved.
    pub fn takes_cookies(&self) -> bool {
        self.takes_cookies.load(Relaxed)
    }

    /// Says whether it does.
    pub fn set_takes_cookies(&self, takes: bool) {
        self.takes_cookies.store(takes, Relaxed);
    }

    /// Whether nothing in the director's tables leads to it.
    pub fn is_idle(&self) -> bool {
        self.connections() == 0 && self.sticking() == 0
    }

    /// A connection has come.
    #[inline]
    pub fn enter(&self, phase: Phase) {
        self.counter(phase).fetch_add(1, Relaxed);
    }

    /// A connection has gone.
    #[inline]
    pub fn leave(&self, phase: Phase) {
        self.counter(phase).fetch_sub(1, Relaxed);
    }

    /// A connection has changed its state.
    #[inline]
    pub fn turn(&self, was: Phase, is: Phase) {
        if was != is {
            self.enter(is);
            self.leave(was);
        }
    }

    const fn counter(&self, phase: Phase) -> &AtomicU32 {
        match phase {
            Phase::HalfOpen => &self.half_open,
            Phase::Active => &self.active,
            Phase::Inactive => &self.inactive,
        }
    }
}

/// How packets reach a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Both ways through the director, addresses rewritten.
    Nat,
    /// Both ways through the director, which speaks to the real server from an address and port
    /// of its own.
    FullNat,
    /// As they are, to the real server's station; it answers the client itself.
    Dr,
    /// Wrapped, to the real server's address; it answers the client itself.
    Tun(Tunnel),
    /// As they are, to where the client has sent them, since no real server is there.
    Bypass,
}

impl Method {
    /// Whether the director sees the client's packets only.
    #[inline]
    pub const fn is_one_way(self) -> bool {
        !matches!(self, Self::Nat | Self::FullNat)
    }

    /// Whether a connection made by the one method can go on by the other.
    pub const fn carries_on(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Nat, Self::Nat)
                | (Self::FullNat, Self::FullNat)
                | (Self::Dr, Self::Dr)
                | (Self::Tun(_), Self::Tun(_))
        )
    }
}

/// Where a real server stands with its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It gets new connections.
    Listed,
    /// Packets reach it in another way by now, from another slot; what was connected goes on in
    /// the old way.
    Replaced,
    /// It is configured no more: packets from clients to it are dropped, and its connections
    /// live again when it is added again.
    Removed,
}

/// What a real server is configured to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Share of the new connections; 0 = none.
    pub weight: u32,
    /// Connections that overload it; 0 = no limit.
    pub upper: u32,
    /// Connections below which it is no longer overloaded; 0 = three quarters of `upper`.
    pub lower: u32,
    /// How packets reach it.
    pub method: Method,
}

impl Settings {
    /// A weight, no thresholds, and NAT.
    pub const fn weight(weight: u32) -> Self {
        Self {
            weight,
            upper: 0,
            lower: 0,
            method: Method::Nat,
        }
    }
}

/// When a real server that gets no new connections any more is removed, with those that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Since when, in seconds of Unix time, to be shown.
    pub since: u64,
    /// For how long, in seconds.
    pub seconds: u32,
    /// When that is over.
    pub until: Tick,
}

/// A real server of one virtual service.
#[derive(Clone, Debug)]
pub struct Real {
    /// Its slot.
    pub id: RealId,
    /// The virtual service that it serves.
    pub service: ServiceKey,
    /// RIP and port; with port 0 a packet keeps the one that it came to.
    pub endpoint: Endpoint,
    /// Weight in force, 0 = gets no new connections (at most 2^31-1, as in IPVS): what its health
    /// leaves of the configured one.
    pub weight: u32,
    /// The weight that it is configured to have.
    pub configured: u32,
    /// What its health leaves of that.
    pub fitness: Fitness,
    /// How its health is checked, if not as its service says.
    pub check: Option<Arc<Check>>,
    /// The last weight above 0; 0 when it never had one.
    pub last_weight: u32,
    /// Connections that overload it; 0 = no limit.
    pub upper: u32,
    /// Connections below which it is no longer overloaded; 0 = three quarters of `upper`.
    pub lower: u32,
    /// How packets reach it.
    pub method: Method,
    /// That it is being drained; its weight is 0 then.
    pub drain: Option<Drain>,
    /// Whether it is configured. One that is not stays as long as it has connections.
    pub standing: Standing,
    /// Its connections.
    pub load: Arc<Load>,
    /// What it has carried.
    pub traffic: Arc<PerWorker>,
    /// What its service has carried.
    pub service_traffic: Arc<PerWorker>,
    /// How its service meets new connections.
    pub stance: Arc<Stance>,
    /// How the cookies of its service are made, if it has any.
    pub cookies: Arc<Cookies>,
}

impl Real {
    /// Whether what its clients and it say to each other of FTP is followed: both ways have to
    /// pass here.
    pub const fn follows_ftp(&self) -> bool {
        self.service.is_ftp() && !self.method.is_one_way()
    }

    /// Active connections at this moment.
    #[inline]
    pub fn active(&self) -> u32 {
        self.load.active()
    }

    /// Inactive connections at this moment.
    #[inline]
    pub fn inactive(&self) -> u32 {
        self.load.inactive()
    }

    /// Where a packet to `vip` goes; past the real servers that is nothing of this one's.
    #[inline]
    pub const fn destination(&self, vip: Endpoint) -> Endpoint {
        let Endpoint { addr, port } = self.endpoint;
        let port = match self.method {
            Method::Bypass => port,
            method if port == 0 || method.is_one_way() => vip.port,
            _ => port,
        };
        Endpoint::new(addr, port)
    }

    /// Whether a scheduler may choose it.
    #[inline]
    pub fn is_willing(&self) -> bool {
        self.weight > 0 && !self.is_overloaded()
    }

    /// Whether it has had as many connections as its upper threshold says, and has not come below
    /// the lower one since (`IP_VS_DEST_F_OVERLOAD`).
    #[inline]
    pub fn is_overloaded(&self) -> bool {
        if !self.load.overloaded.load(Relaxed) {
            return false;
        }
        let over = !self.is_relieved();
        self.load.overloaded.store(over, Relaxed);
        over
    }

    fn is_relieved(&self) -> bool {
        let connections = u64::from(self.load.connections());
        match (self.upper, self.lower) {
            (0, 0) => true,
            (upper, 0) => connections * 4 < u64::from(upper) * 3,
            (_, lower) => connections < lower.into(),
        }
    }

    /// A connection has come.
    #[inline]
    pub fn enter(&self, phase: Phase) {
        self.load.enter(phase);
        if self.upper > 0 && self.load.connections() >= self.upper {
            self.load.overloaded.store(true, Relaxed);
        }
    }

    /// What it is configured to be.
    pub const fn settings(&self) -> Settings {
        Settings {
            weight: self.configured,
            upper: self.upper,
            lower: self.lower,
            method: self.method,
        }
    }

    /// Whether it is to go as soon as its connections have, or at `now` with those that it has.
    pub fn is_drained(&self, now: Tick) -> bool {
        let over = |drain: Drain| drain.until <= now || self.load.connections() == 0;
        self.drain.is_some_and(over)
    }

    /// The same, to be drained.
    #[must_use]
    pub fn draining(&self, drain: Drain) -> Self {
        let settings = Settings {
            weight: 0,
            ..self.settings()
        };
        Self {
            drain: Some(drain),
            ..self.with(settings)
        }
    }

    /// The same with other settings, and not to be drained. A larger upper threshold ends an
    /// overload.
    #[must_use]
    pub fn with(&self, settings: Settings) -> Self {
        let Settings {
            weight,
            upper,
            lower,
            method,
        } = settings;
        if upper == 0 || upper > self.upper {
            self.load.overloaded.store(false, Relaxed);
        }
        Self {
            configured: weight,
            upper,
            lower,
            method,
            drain: None,
            ..self.clone()
        }
        .weighed()
    }

    /// The same, watched as `other` is and as well.
    #[must_use]
    pub fn like(self, other: &Self) -> Self {
        Self {
            fitness: other.fitness,
            check: other.check.clone(),
            ..self
        }
        .weighed()
    }

    /// The same with what its health leaves of it now.
    #[must_use]
    pub fn fit(&self, fitness: Fitness) -> Self {
        Self {
            fitness,
            ..self.clone()
        }
        .weighed()
    }

    fn weighed(self) -> Self {
        let weight = self.fitness.of(self.configured);
        Self {
            weight,
            last_weight: if weight > 0 { weight } else { self.last_weight },
            ..self
        }
    }
}

/// How the clients of a service stick to their real servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// How long a client is remembered after its last new connection.
    pub timeout: Ticks,
    /// Leading bits, of 128, of the addresses that count as one client.
    pub prefix: u8,
    /// What decides beside it.
    pub engine: Option<model::Engine>,
}

/// How a service treats connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handling {
    /// Clients stick to their real servers.
    pub persistence: Option<Persistence>,
    /// Each datagram is scheduled by itself.
    pub one_packet: bool,
    /// When its SYNs are answered with cookies.
    pub cookies: model::CookiePolicy,
}

impl Handling {
    /// Whether a packet of this protocol leaves no connection behind.
    #[inline]
    pub fn is_once(&self, protocol: Protocol) -> bool {
        self.one_packet && protocol == Protocol::Udp
    }
}

/// A virtual service with its real servers.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub key: ServiceKey,
    /// Its place in the order in which services were added.
    pub serial: u64,
    /// Which scheduler it has.
    pub algorithm: model::Scheduler,
    /// Who gets the next connection.
    pub scheduler: Arc<dyn Scheduler>,
    /// The options of the scheduler.
    pub flags: model::SchedulerFlags,
    /// How it treats connections.
    pub handling: Handling,
    /// How the health of its real servers is watched, if it is.
    pub health: Option<Arc<HealthPolicy>>,
    /// Real servers.
    pub reals: Reals,
    /// Those that are configured and out of service for their health.
    pub aside: Reals,
    /// Who gets the new connections while too few of them are well.
    pub sorry: Option<Arc<Real>>,
    /// Of a mark, what stands for the destinations of packets that no real server is there for.
    pub bypass: Option<Arc<Real>>,
    /// What it has carried.
    pub traffic: Arc<PerWorker>,
    /// How it meets new connections.
    pub stance: Arc<Stance>,
    /// How its cookies are made, if it has any.
    pub cookies: Arc<Cookies>,
}

impl Service {
    /// All real servers that it is configured to have, in the order in which they were added;
    /// those that are out of service come last.
    pub fn configured(&self) -> impl Iterator<Item = &Arc<Real>> {
        self.reals.iter().rev().chain(self.aside.iter().rev())
    }

    /// The one of them with this RIP and port.
    pub fn find(&self, endpoint: Endpoint) -> Option<&Arc<Real>> {
        let there = self.reals.find(endpoint);
        there.or_else(|| self.aside.find(endpoint))
    }

    /// Whether it takes connections to the ports of FTP data too: the control connection's client
    /// sticks to its real server.
    pub fn takes_ftp_data(&self) -> bool {
        let ftp = matches!(self.key, ServiceKey::Address { protocol: Protocol::Tcp, vip } if vip.port == 21);
        ftp && self.handling.persistence.is_some()
    }
}

#[cfg(test)]
mod tests;
