//! What the command line asks of a director, apart from how it reaches it.

use std::net::SocketAddr;

use adminapi::model::{Connection, Real, Scheduler, Service, ServiceId, ServiceView};

/// Why the director did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DirectorError {
    /// There is no such service.
    #[error("no such service")]
    NoService,
    /// The service has no such real server.
    #[error("no such real server")]
    NoReal,
    /// What was to be added is there already.
    #[error("it exists already")]
    Exists,
    /// The director takes no such value; its own words.
    #[error("{0}")]
    Refused(String),
    /// The director failed or its answer made no sense.
    #[error("{0}")]
    Fault(String),
    /// The address of the director can't be read.
    #[error("{0}")]
    BadAddress(String),
    /// Nobody answers there.
    #[error("{0}")]
    NotRunning(String),
    /// The socket or the director does not let this user in.
    #[error("{0}")]
    NoPermission(String),
    /// No answer in time.
    #[error("{0}")]
    TimedOut(String),
}

impl DirectorError {
    /// What the process exits with.
    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::NoService | Self::NoReal | Self::Exists | Self::Refused(_) => 255,
            Self::BadAddress(_) => 2,
            Self::NotRunning(_) => 3,
            Self::NoPermission(_) => 4,
            Self::TimedOut(_) => 5,
            Self::Fault(_) => 6,
        }
    }
}

/// The answer of every call.
pub(crate) type Result<T> = std::result::Result<T, DirectorError>;

/// A page of the connection table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// The connections, in the order of the table.
    pub(crate) connections: Vec<Connection>,
    /// Where the next page starts, unless this is the last.
    pub(crate) next: Option<u64>,
}

/// Seconds without a packet after which a connection is forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Timeouts {
    /// Established TCP connections.
    pub(crate) tcp: u32,
    /// TCP connections after a FIN.
    pub(crate) tcpfin: u32,
    /// UDP.
    pub(crate) udp: u32,
}

/// A director, as ipvsadm's commands need it.
pub(crate) trait Director {
    /// All services.
    async fn services(&self) -> Result<Vec<ServiceView>>;
    /// One service.
    async fn service(&self, id: ServiceId) -> Result<ServiceView>;
    /// Adds a service.
    async fn add_service(&self, service: Service) -> Result<()>;
    /// Gives a service another scheduler.
    async fn set_scheduler(&self, id: ServiceId, scheduler: Scheduler) -> Result<()>;
    /// Removes a service and its real servers.
    async fn remove_service(&self, id: ServiceId) -> Result<()>;
    /// Removes all services.
    async fn flush(&self) -> Result<()>;
    /// Adds a real server.
    async fn add_real(&self, id: ServiceId, real: Real) -> Result<()>;
    /// Makes the real server of this address and port look like `real`.
    async fn change_real(&self, id: ServiceId, real: Real) -> Result<()>;
    /// Removes a real server.
    async fn remove_real(&self, id: ServiceId, real: SocketAddr) -> Result<()>;
    /// A page of the connection table, the first one without `from`.
    async fn connections(&self, from: Option<u64>) -> Result<Page>;
    /// Zeroes the counters of one service, or of all.
    async fn zero(&self, id: Option<ServiceId>) -> Result<()>;
    /// The timeouts in force.
    async fn timeouts(&self) -> Result<Timeouts>;
    /// Changes those that are not 0.
    async fn set_timeouts(&self, timeouts: Timeouts) -> Result<()>;
}
