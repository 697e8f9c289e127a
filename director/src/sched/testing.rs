//! A service whose real servers are known by number, for tests.

use std::sync::Arc;

use adminapi::model::{Scheduler as Algorithm, SchedulerFlags};

use super::build;
use crate::service::testing::real;
use crate::service::{Choice, Load, Newcomer, Phase, Real, Reals, Scheduler, Settings};
use crate::time::Tick;
use crate::wire::{Addr, Endpoint, Protocol, Tuple};

/// A client -> the virtual service of the captures.
pub(crate) fn tuple(client: impl Into<std::net::IpAddr>, port: u16) -> Tuple {
    let src = Addr::from(client.into());
    let vip = match src.is_v4() {
        true => Addr::v4([10, 9, 9, 9]),
        false => Addr::from("fd00:9::9".parse::<std::net::IpAddr>().unwrap()),
    };
    Tuple {
        protocol: Protocol::Tcp,
        src: Endpoint::new(src, port),
        dst: Endpoint::new(vip, 80),
    }
}

/// A service with real servers, and its scheduler.
pub(crate) struct Farm {
    pub(crate) scheduler: Arc<dyn Scheduler>,
    pub(crate) reals: Reals,
    pub(crate) flags: SchedulerFlags,
    pub(crate) now: Tick,
    /// As what a connection counts.
    pub(crate) phase: Phase,
}

pub(crate) fn by_name(name: &str) -> Algorithm {
    let mut all = Algorithm::ALL.into_iter();
    all.find(|a| a.name() == name).unwrap()
}

impl Farm {
    pub(crate) fn empty(scheduler: &str) -> Self {
        Self {
            scheduler: build(by_name(scheduler), &Reals::default()),
            reals: Reals::default(),
            flags: SchedulerFlags::NONE,
            now: Tick(0),
            phase: Phase::Active,
        }
    }

    /// Real servers 1, 2, 3... with these weights, added one by one.
    pub(crate) fn new(scheduler: &str, weights: &[u32]) -> Self {
        let mut farm = Self::empty(scheduler);
        for (number, &weight) in (1..).zip(weights) {
            farm.add(number, weight);
        }
        farm
    }

    pub(crate) fn settle(&mut self) {
        if let Some(scheduler) = self.scheduler.changed(&self.reals) {
            self.scheduler = scheduler;
        }
    }

    /// Lets the scheduler know the list, however long that takes.
    pub(crate) fn catch_up(&mut self) {
        if self.scheduler.is_behind(&self.reals) {
            self.scheduler = self.scheduler.caught_up(&self.reals).unwrap();
        }
    }

    pub(crate) fn put(&mut self, real: Arc<Real>) {
        self.reals.add(real);
        self.settle();
    }

    pub(crate) fn add(&mut self, number: u32, weight: u32) {
        self.put(real(number, weight));
    }

    pub(crate) fn edit(&mut self, number: u32, weight: u32) {
        let real = self.real(number);
        let settings = Settings {
            weight,
            ..real.settings()
        };
        self.set(number, settings);
    }

    pub(crate) fn set(&mut self, number: u32, settings: Settings) {
        let real = Arc::new(self.real(number).with(settings));
        self.reals.replace(real);
        self.settle();
    }

    pub(crate) fn delete(&mut self, number: u32) -> Arc<Real> {
        let gone = self.reals.remove(self.real(number).endpoint);
        self.settle();
        gone.unwrap()
    }

    pub(crate) fn real(&self, number: u32) -> &Arc<Real> {
        let mut all = self.reals.iter();
        all.find(|r| r.id.0 == number).unwrap()
    }

    /// Gives a real server this load.
    pub(crate) fn burden(&mut self, number: u32, active: u32, inactive: u32) {
        let real = Real {
            load: Arc::new(Load::of(active, inactive)),
            ..Real::clone(self.real(number))
        };
        self.reals.replace(Arc::new(real));
        self.settle();
    }

    /// Who would get this connection.
    pub(crate) fn ask(&self, tuple: &Tuple) -> Option<&Arc<Real>> {
        let newcomer = Newcomer {
            tuple,
            now: self.now,
            flags: self.flags,
            choice: Choice::All,
        };
        let name = |real: Option<&Arc<Real>>| real.map(|real| real.id);
        let foreseen = [(); 2].map(|()| name(self.scheduler.peek(&self.reals, &newcomer)));
        let picked = self.scheduler.pick(&self.reals, &newcomer);
        assert_eq!(foreseen, [name(picked); 2], "peek leaves no trace");
        picked
    }

    /// Opens a connection for each tuple, and says who got them: `3 2 1`, `-` for nobody.
    pub(crate) fn open_all(&self, tuples: impl IntoIterator<Item = Tuple>) -> String {
        let chosen = tuples.into_iter().map(|tuple| {
            let Some(real) = self.ask(&tuple) else {
                return "-".to_owned();
            };
            real.enter(self.phase);
            real.id.0.to_string()
        });
        chosen.collect::<Vec<_>>().join(" ")
    }

    /// The same, `count` times from one client.
    pub(crate) fn open(&self, count: usize) -> String {
        let ports = (20_000..).take(count);
        self.open_all(ports.map(|port| tuple([172, 16, 0, 1], port)))
    }

    /// A connection of the real server `number` is no longer active.
    pub(crate) fn close(&self, number: u32) {
        self.real(number).load.turn(Phase::Active, Phase::Inactive);
    }
}
