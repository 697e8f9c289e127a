//! Virtual services and their real servers, as the packet path sees them.
//!
//! What is configured never changes once built: a change builds new objects that share the live
//! parts ([`Load`], [`PerWorker`], the scheduler) with the old ones.

use std::sync::Arc;

use adminapi::model::{self, HealthPolicy};

use crate::cookie::Cookies;
use crate::defence::Stance;
use crate::stats::PerWorker;
use crate::time::Ticks;
use crate::wire::{Endpoint, Protocol};

mod bulletin;
mod fitness;
mod key;
mod load;
mod real;
mod reals;
mod scheduler;
#[cfg(test)]
pub(crate) mod testing;

pub use bulletin::Bulletin;
pub use fitness::{Fitness, Part};
pub use key::{FTP_PORT, ServiceKey};
pub use load::{Load, Phase};
pub use real::{Drain, Ftp, Method, Real, RealId, Settings, Standing};
pub use reals::Reals;
pub(crate) use reals::common_divisor;
pub use scheduler::{Choice, Newcomer, Scheduler};

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
    /// A persistence engine that is named without persistence, and has nothing to do.
    pub engine: Option<model::Engine>,
    /// Each datagram is scheduled by itself.
    pub one_packet: bool,
    /// When its SYNs are answered with cookies.
    pub cookies: model::CookiePolicy,
    /// When its clients have to come twice, if not as the director has it.
    pub udp_repeats: Option<model::RepeatPolicy>,
    /// What follows its connections.
    pub helper: model::Helper,
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

    /// Whether it is configured to have this one: among its real servers, or while they are down.
    pub fn knows(&self, endpoint: Endpoint) -> bool {
        self.find(endpoint).is_some() || self.named_sorry() == Some(endpoint)
    }

    /// Where the sorry server is that its policy names.
    pub fn named_sorry(&self) -> Option<Endpoint> {
        let sorry = self.health.as_ref()?.sorry.as_ref()?;
        Some(sorry.endpoint(self.key.port()).into())
    }

    /// Whether its connections are those that FTP is controlled by.
    pub const fn is_ftp(&self) -> bool {
        match self.handling.helper {
            model::Helper::Auto => self.key.is_at_ftp(),
            model::Helper::Ftp => true,
            model::Helper::None => false,
        }
    }

    /// What it has to do with FTP.
    pub fn ftp(&self) -> Ftp {
        Ftp {
            is_followed: self.is_ftp(),
            takes_data: self.takes_ftp_data(),
        }
    }

    /// Whether it takes connections to the ports of FTP data too: the control connection's client
    /// sticks to its real server.
    pub fn takes_ftp_data(&self) -> bool {
        self.key.is_at_ftp() && self.handling.persistence.is_some()
    }
}

#[cfg(test)]
mod tests;
