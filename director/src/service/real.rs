//! A real server: where it is, how packets reach it, and what it may get.

use std::sync::Arc;

use adminapi::model::Check;
use adminapi::sysctl::{Sysctl, Sysctls};

use super::bulletin::Bulletin;
use super::fitness::Fitness;
use super::key::ServiceKey;
use super::load::{Load, Phase};
use crate::cookie::Cookies;
use crate::defence::Stance;
use crate::forward::Tunnel;
use crate::stats::PerWorker;
use crate::time::Tick;
use crate::wire::Endpoint;

/// The slot of a real server in the pool; what a connection remembers of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealId(pub u32);

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

/// What a service has to do with FTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ftp {
    /// Its connections are those that FTP is controlled by.
    pub is_followed: bool,
    /// It takes connections to the ports of FTP data too.
    pub takes_data: bool,
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
    /// How it is, if its health is watched.
    pub bulletin: Option<Arc<Bulletin>>,
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
    /// What its service has to do with FTP.
    pub ftp: Ftp,
}

impl Real {
    /// Whether what its clients and it say to each other of FTP is followed: both ways have to
    /// pass here.
    pub const fn follows_ftp(&self) -> bool {
        self.ftp.is_followed && !self.method.is_one_way()
    }

    /// Whether its answers may come from any TCP port, and have to pass here.
    pub const fn answers_anywhere(&self) -> bool {
        (self.ftp.is_followed || self.ftp.takes_data) && !self.method.is_one_way()
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

    /// Where a packet to `vip` goes; past the real servers that is nothing of this one's. Its own port
    /// is that of control connections: one of data keeps the port that it is for
    /// (`ip_vs_sched_persist`).
    #[inline]
    pub fn destination(&self, vip: Endpoint) -> Endpoint {
        let Endpoint { addr, port } = self.endpoint;
        let port = match self.method {
            Method::Bypass => port,
            method if port == 0 || method.is_one_way() => vip.port,
            _ if self.ftp.takes_data && self.service.port() != Some(vip.port) => vip.port,
            _ => port,
        };
        Endpoint::new(addr, port)
    }

    /// Where it hears what is for `vip`: there itself, unless its address is put in.
    pub fn hears_at(&self, vip: Endpoint) -> Endpoint {
        match self.method.is_one_way() {
            true => vip,
            false => self.destination(vip),
        }
    }

    /// Whether a scheduler may choose it.
    #[inline]
    pub fn is_willing(&self) -> bool {
        self.weight > 0 && !self.is_overloaded()
    }

    /// Whether a client that sticks to it goes there with its next connection: a weight of 0 does
    /// not send it away, unless `expire_quiescent_template` says so; a drain does, and that it has
    /// failed.
    pub fn keeps_clients(&self, sysctls: &Sysctls) -> bool {
        let stays = || !sysctls.is_on(Sysctl::ExpireQuiescentTemplate);
        let leaves = self.drain.is_some() || self.fitness == Fitness::Failed;
        self.weight > 0 || !leaves && stays()
    }

    /// Whether it has had as many connections as its upper threshold says, and has not come below
    /// the lower one since (`IP_VS_DEST_F_OVERLOAD`).
    #[inline]
    pub fn is_overloaded(&self) -> bool {
        if !self.load.is_overloaded() {
            return false;
        }
        let over = !self.is_relieved();
        self.load.set_overloaded(over);
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
            self.load.set_overloaded(true);
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
        self.is_overdue(now) || self.drain.is_some() && self.load.connections() == 0
    }

    /// Whether the time that its connections had to end is over at `now`.
    pub fn is_overdue(&self, now: Tick) -> bool {
        self.drain.is_some_and(|drain| drain.until <= now)
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
            self.load.set_overloaded(false);
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
            bulletin: other.bulletin.clone(),
            check: other.check.clone(),
            ..self
        }
        .weighed()
    }

    /// The same as its health is now, and with what that leaves of it.
    #[must_use]
    pub fn fit(&self, fitness: Fitness, bulletin: Option<&Arc<Bulletin>>) -> Self {
        Self {
            fitness,
            bulletin: bulletin.cloned(),
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
