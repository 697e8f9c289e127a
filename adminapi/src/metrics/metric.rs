//! A metric, and where its samples come from.

use super::Seen;
use super::text::{Family, Kind, Page};
use crate::model::{InterfaceStatus, RealView, ServiceView, WorkerStatus};

/// A row of the table.
pub(super) struct Metric {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    /// What it means.
    pub(super) help: &'static str,
    pub(super) source: Source,
}

/// What a metric has samples of, and their values.
pub(super) enum Source {
    /// The director as a whole.
    Director(fn(&Seen) -> Number),
    /// Each interface.
    Interface(fn(&InterfaceStatus) -> Number),
    /// Each worker.
    Worker(fn(&WorkerStatus) -> Number),
    /// Each service.
    Service(fn(&ServiceView) -> Number),
    /// Each real server.
    Real(fn(&RealView) -> Number),
    /// Something that has labels of its own.
    Labelled(fn(&Seen, &mut Family<'_>)),
}

/// The value of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    Broken(f64),
    /// There is none: no sample.
    Missing,
}

impl Metric {
    /// Adds it to `page` with all its samples.
    pub(super) fn put(&self, seen: &Seen, page: &mut Page) {
        let mut family = page.family(self.kind, self.name, self.help);
        let status = &seen.status;
        match self.source {
            Source::Director(value) => family.number(&[], value(seen)),
            Source::Interface(value) => {
                for interface in &status.interfaces {
                    family.number(&[("interface", &interface.name)], value(interface));
                }
            }
            Source::Worker(value) => {
                for worker in &status.workers {
                    family.number(&[("worker", &worker.id.to_string())], value(worker));
                }
            }
            Source::Service(value) => {
                for (id, service) in seen.services() {
                    family.number(&[("service", &id)], value(service));
                }
            }
            Source::Real(value) => {
                for (service, address, real) in seen.reals() {
                    let labels = [("service", service.as_str()), ("real", &address)];
                    family.number(&labels, value(real));
                }
            }
            Source::Labelled(put) => put(seen, &mut family),
        }
    }
}

impl Seen {
    /// The services that have series, by their names.
    pub(super) fn services(&self) -> impl Iterator<Item = (String, &ServiceView)> {
        let services = self.services.iter();
        services.map(|service| (service.id.to_string(), service))
    }

    /// The real servers that have series, by the names of their services and of themselves.
    pub(super) fn reals(&self) -> impl Iterator<Item = (String, String, &RealView)> {
        self.services().flat_map(|(id, service)| {
            let reals = service.reals.iter();
            reals.map(move |real| (id.clone(), real.endpoint().to_string(), real))
        })
    }
}

impl Family<'_> {
    fn number(&mut self, labels: &[(&str, &str)], value: Number) {
        match value {
            Number::Whole(value) => self.sample(labels, value),
            Number::Broken(value) => self.sample(labels, value),
            Number::Missing => {}
        }
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Broken(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Number {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, T::into)
    }
}
