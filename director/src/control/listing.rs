//! Listings: services in a row each, made as they are asked for.

use std::hint::black_box;
use std::sync::Arc;

use adminapi::model::{ListingQuery, ServiceRow};

use super::view;
use crate::service::{Real, Service};

/// Services that are fetched from memory together.
const TOGETHER: usize = 8;

/// The rows of services that stay as they are listed.
pub(super) struct Rows {
    services: Vec<Arc<Service>>,
    /// How many have been made.
    made: usize,
    query: ListingQuery,
}

impl Rows {
    /// Those of `services`, in this order.
    pub(super) const fn of(services: Vec<Arc<Service>>, query: ListingQuery) -> Self {
        Self {
            services,
            made: 0,
            query,
        }
    }

    /// Has the memory of the next rows come all at once: making a row is mostly waiting for it, and
    /// would wait for each real server by itself.
    fn fetch(&self) {
        let next = self.services.iter().skip(self.made).take(TOGETHER);
        let reals: Vec<&Arc<Real>> = next.flat_map(|service| service.reals.iter()).collect();
        let touched =
            |seen, real: &&Arc<Real>| seen ^ real.active() ^ u32::from(real.endpoint.port);
        black_box(reals.iter().fold(0, touched));
    }
}

impl Iterator for Rows {
    type Item = ServiceRow;

    fn next(&mut self) -> Option<ServiceRow> {
        if self.made % TOGETHER == 0 {
            self.fetch();
        }
        let service = self.services.get(self.made)?;
        self.made += 1;
        Some(view::row(service, &self.query))
    }
}
