//! Which resource is short, measured with everything else, and told when that changes.

use std::collections::HashMap;

use super::meter::Meter;
use super::{Director, WorkerFacts};
use crate::defence::{Resource, Supplies};
use crate::time::{Tick, Ticks};

/// How long a resource is not short before that is told again.
const REST: Ticks = Ticks::seconds(10);

/// What is counted of a worker.
#[derive(Debug, Default)]
struct Worker {
    received: Meter,
    missed: Meter,
    /// Milliseconds.
    asleep: Meter,
}

impl Worker {
    /// The share of what came that was missed, and of the time that it was awake, in percent.
    fn read(&mut self, facts: &WorkerFacts, now: Tick) -> [f64; 2] {
        let stats = &facts.stats;
        let missed = stats.ring_full.get() + stats.no_frame.get();
        let missed = self.missed.read(missed, now);
        let received = self.received.read(stats.received.get(), now);
        let asleep = self.asleep.read(stats.asleep.get() / 1_000_000, now);
        let lost = match missed + received {
            0.0 => 0.0,
            all => 100.0 * missed / all,
        };
        [lost, 100.0 - (asleep / 10.0).min(100.0)]
    }
}

/// The meters, and what is known to be short.
#[derive(Debug)]
pub(super) struct Stocks {
    workers: Vec<Worker>,
    began: Tick,
    pub(super) supplies: Supplies,
    /// When each was short last.
    short: HashMap<Resource, Tick>,
}

impl Stocks {
    pub(super) fn new(now: Tick) -> Self {
        Self {
            workers: Vec::new(),
            began: now,
            supplies: Supplies::default(),
            short: HashMap::new(),
        }
    }

    /// Takes in what was measured; those that are short since now.
    fn note(&mut self, supplies: Supplies, now: Tick) -> Vec<Resource> {
        self.supplies = supplies;
        let mut news = Vec::new();
        for resource in Resource::ALL {
            if supplies.is_short(resource) {
                let before = self.short.insert(resource, now);
                if before.is_none_or(|before| before.until(now) > REST) {
                    news.push(resource);
                }
            }
        }
        news
    }
}

impl Director {
    /// Measures how much of each resource is used; what there is to tell of it.
    pub(super) fn take_stock(&self, stocks: &mut Stocks, now: Tick) -> Vec<String> {
        let Stocks { workers, began, .. } = stocks;
        workers.resize_with(self.facts.workers.len(), Worker::default);
        let read = workers.iter_mut().zip(&self.facts.workers);
        let read: Vec<_> = read
            .map(|(worker, facts)| worker.read(facts, now))
            .collect();
        let most = |which: usize| read.iter().map(|of| of[which]).fold(0.0, f64::max);
        let table = &self.shared.table;
        let pool = table.half_open_len() as f64 / table.half_open_capacity().max(1) as f64;
        let mut supplies = Supplies::default();
        supplies.set(Resource::Ring, Some(most(0)));
        // Before a second is over nobody knows.
        let known = began.until(now) > Ticks::seconds(2);
        supplies.set(Resource::Core, known.then(|| most(1)));
        supplies.set(Resource::Pool, Some(100.0 * pool));
        supplies.set(Resource::Backlog, self.agents.fullest(now));
        let told = |resource: Resource| {
            let used = supplies.used(resource).unwrap_or(0.0);
            let mark = resource.mark();
            format!("short: {resource}: {used:.1} %, the mark is {mark:.1} %")
        };
        stocks.note(supplies, now).into_iter().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_told_once_until_it_has_not_been_for_a_while() {
        let mut stocks = Stocks::new(Tick(0));
        let mut full = Supplies::default();
        full.set(Resource::Pool, Some(80.0));
        assert_eq!(stocks.note(full, Tick(1)), [Resource::Pool]);
        assert_eq!(stocks.note(full, Tick(2)), []);
        assert_eq!(stocks.note(Supplies::default(), Tick(50)), []);
        assert_eq!(stocks.note(full, Tick(100)), [], "it flaps");
        assert_eq!(stocks.note(full, Tick(201)), [Resource::Pool]);
    }
}
