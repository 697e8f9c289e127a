//! What a director counts, for Prometheus.
//!
//! Series are bounded: one set for each interface, worker, service and real server, of those only
//! the first so many, one for each limit and region, which have names, and never one for a client or a
//! network.

mod filter;
mod ladder;
mod metric;
mod table;
mod text;

use crate::control::Control;
use crate::error::Result;
use crate::model::{Defense, Filter, ServiceId, ServiceView, Stats, Status};

pub use text::MEDIA_TYPE;

/// Services that have series of their own at most.
pub const SERVICES: usize = 500;

/// Real servers that have series of their own at most, of all services together.
pub const REALS: usize = 5000;

/// Everything that becomes a metric, as it was at one moment.
struct Seen {
    status: Status,
    stats: Stats,
    defense: Defense,
    filter: Filter,
    events: u64,
    services: Vec<ServiceView>,
    /// The defence of each service that has series.
    defended: Vec<(ServiceId, Defense)>,
    /// Services and real servers there are, and not only those that have series.
    counts: (usize, usize),
}

impl Seen {
    fn of(control: &dyn Control) -> Result<Self> {
        let mut services = control.services()?;
        let counts = (
            services.len(),
            services.iter().map(|service| service.reals.len()).sum(),
        );
        bound(&mut services);
        // A service may go while this looks at it.
        let defended = |service: &ServiceView| {
            let defense = control.defense(Some(service.id)).ok()?;
            Some((service.id, defense))
        };
        Ok(Self {
            status: control.status()?,
            stats: control.stats()?,
            defense: control.defense(None)?,
            filter: control.filter()?,
            events: control.events(u64::MAX)?.last,
            defended: services.iter().filter_map(defended).collect(),
            services,
            counts,
        })
    }
}

/// Leaves out what is too much.
fn bound(services: &mut Vec<ServiceView>) {
    services.truncate(SERVICES);
    let mut room = REALS;
    for service in services {
        service.reals.truncate(room);
        room -= service.reals.len();
    }
}

/// All metrics, in the text format of Prometheus.
///
/// # Errors
/// As `control`.
pub fn expose(control: &dyn Control) -> Result<String> {
    let seen = Seen::of(control)?;
    let mut page = text::Page::default();
    for metric in table::METRICS {
        metric.put(&seen, &mut page);
    }
    Ok(page.finish())
}

#[cfg(test)]
mod tests;
