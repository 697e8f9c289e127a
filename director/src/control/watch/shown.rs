//! The defence, as the API shows it.

use std::time::{Instant, SystemTime};

use adminapi::model;
use rustc_hash::FxHashSet;

use super::{Director, Watch};
use crate::control::unix::unix;
use crate::defence::{
    Controller, Level, Policy, Posture, Resource, Rung, Share, Signal, Signals, Supplies,
};
use crate::service::{Service, ServiceKey};
use crate::time::{Tick, Ticks};

impl Watch {
    /// How new connections of a service are met: none is dropped of those for which a cookie speaks.
    fn met(&self, service: &Service) -> Posture {
        let posture = self.posture(&service.key);
        match service.cookies.vouch() {
            true => Posture {
                syns: Share::NONE,
                all: Share::NONE,
                ..posture
            },
            false => posture,
        }
    }

    /// The share of the new connections that is dropped of a service.
    fn dropped(&self, service: &Service) -> f64 {
        let Posture { syns, all, .. } = self.met(service);
        syns.max(all).as_f64()
    }
}

impl Director {
    /// The highest step of defence that is taken for a service, or for any.
    fn rung_of(
        &self,
        watch: &Watch,
        service: Option<&Service>,
        cookies: Option<&model::CookieStatus>,
        repeating: &FxHashSet<ServiceKey>,
    ) -> Rung {
        let rung = |service: &Service, answers: bool| {
            let met = match answers {
                true => Rung::Cookies,
                false if repeating.contains(&service.key) => Rung::Repeats,
                false => Rung::Ordinary,
            };
            let own = watch.services.get(&service.key);
            let own = own.map_or(Level::Calm, |own| own.controller.level());
            let level = own.max(watch.all.controller.level());
            Rung::of(level, &watch.met(service), met)
        };
        match service {
            Some(service) => rung(service, cookies.is_some_and(|cookies| cookies.active)),
            None => {
                let pool = self.shared.pool.load();
                let rungs = pool
                    .iter()
                    .map(|service| rung(service, service.cookies.answers()));
                let all = Rung::of(
                    watch.all.controller.level(),
                    &Posture::default(),
                    Rung::Ordinary,
                );
                rungs.max().unwrap_or_default().max(all)
            }
        }
    }

    /// The defence of a service, or of all, as the API shows it.
    pub(in crate::control) fn show_defense(&self, service: Option<&Service>) -> model::Defense {
        let now = self.facts.clock.now();
        let cookies = service.and_then(|service| self.cookie_status(service));
        let repeats = service.and_then(|service| self.repeat_status(service));
        let repeating = self.repeating();
        let mut watch = self.watch.lock();
        watch.watched(service, now);
        let own = match service {
            Some(service) => &watch.services[&service.key],
            None => &watch.all,
        };
        // The level of all stands above that of a service.
        let (from_above, ruling) = match watch.all.controller.level() > own.controller.level() {
            true => (true, &watch.all),
            false => (false, own),
        };
        let controller = &ruling.controller;
        let policy = &watch.defense.policy;
        let drop_rate = match service {
            Some(service) => watch.dropped(service),
            None => {
                let pool = self.shared.pool.load();
                let dropped = pool.iter().map(|service| watch.dropped(service));
                dropped.fold(0.0, f64::max)
            }
        };
        let cause = controller.cause();
        let rung = self.rung_of(&watch, service, cookies.as_ref(), &repeating);
        let supplies = &watch.stocks.supplies;
        model::Defense {
            rung: rung.name().to_owned(),
            short: supplies.shortest().map(|short| short.name().to_owned()),
            resources: resources(supplies),
            level: controller.level().number(),
            automatic: controller.level() != Level::Pinned,
            reason: match from_above {
                true => format!("the whole director: {cause}"),
                false => cause.to_string(),
            },
            since: unix_at(self.facts.clock.moment_of(controller.since())),
            drop_rate,
            half_open: own.signals.half_open,
            half_open_limit: own.signals.pool,
            signals: shown(&own.signals, policy),
            next: next(controller, &ruling.signals, policy, now),
            cookies,
            repeats,
        }
    }
}

/// How much of each resource is used, as the API shows it.
fn resources(supplies: &Supplies) -> Vec<model::DefenseResource> {
    let all = Resource::ALL.into_iter();
    let known = all.filter_map(|resource| Some((resource, supplies.used(resource)?)));
    let shown = known.map(|(resource, used)| model::DefenseResource {
        name: resource.name().to_owned(),
        used,
        mark: resource.mark(),
    });
    shown.collect()
}

/// What would change the level.
fn next(controller: &Controller, signals: &Signals, policy: &Policy, now: Tick) -> String {
    match (controller.level(), policy.unrest(signals)) {
        (Level::Calm, _) => "1 when a signal reaches its enter mark".to_owned(),
        (Level::Attacked, Some(reason)) => format!("0 waits for {reason}"),
        (Level::Attacked, None) => {
            let calm = controller.calm(now);
            let rest = Ticks(policy.dwell.0.saturating_sub(calm.0)).as_seconds_ceil();
            format!("0 in {rest} s")
        }
        (Level::Pinned, _) => "what the user sets".to_owned(),
    }
}

fn shown(signals: &Signals, policy: &Policy) -> Vec<model::DefenseSignal> {
    let signal = |signal: Signal| {
        let marks = policy.marks(signal, signals);
        Some(model::DefenseSignal {
            name: signal.name().to_owned(),
            value: signals.value(signal)?,
            enter: marks.enter,
            leave: marks.leave,
            unit: signal.unit().to_owned(),
        })
    };
    Signal::ALL.into_iter().filter_map(signal).collect()
}

/// The second of a moment that has been. Both clocks are read in full: seconds of two clocks differ by
/// turns.
fn unix_at(moment: Instant) -> u64 {
    let now = SystemTime::now();
    unix(now.checked_sub(moment.elapsed()).unwrap_or(now))
}
