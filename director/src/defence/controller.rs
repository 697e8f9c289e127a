//! The level of the director or of a service: when it rises, when it falls, and what is dropped.

use std::fmt;

use super::signals::{Policy, Reason, Signals};
use crate::time::{Tick, Ticks};

/// The levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// No attack.
    #[default]
    Calm = 0,
    /// Under attack, until it is over.
    Attacked = 1,
    /// Under attack, because the user says so.
    Pinned = 2,
}

impl Level {
    /// Its number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The level of this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Calm),
            1 => Some(Self::Attacked),
            2 => Some(Self::Pinned),
            _ => None,
        }
    }
}

/// Why a level is what it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grounds {
    /// It has been so since the start.
    Start,
    /// A user has set it.
    User,
    /// It was so before the director was started again.
    Kept,
    /// A signal has reached its mark.
    Alarm(Reason),
    /// All signals have been below their leave marks for so long.
    Over(Ticks),
}

impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("nothing calls for more"),
            Self::User => f.write_str("set by the user"),
            Self::Kept => f.write_str("as it was before the restart"),
            Self::Alarm(reason) => reason.fmt(f),
            Self::Over(dwell) => {
                let seconds = dwell.as_seconds_ceil();
                write!(f, "below all leave marks for {seconds} s")
            }
        }
    }
}

/// A change of level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The level before.
    pub from: Level,
    /// The level now.
    pub to: Level,
    /// Why.
    pub cause: Grounds,
}

/// How fast the share of dropped SYNs moves, a second: an attack that pulses drags it along
/// slowly. At level 0 nothing is dropped.
const STRIDE: f64 = 0.2;

/// How long a director measures before it knows a rate: none says sooner that an attack is over.
const MEASURED: Ticks = Ticks::seconds(1);

/// What one director's controller leaves to the next one's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Legacy {
    /// The level.
    pub level: Level,
    /// Since when.
    pub since: Tick,
    /// Whether cookies are the answer.
    pub cookies: bool,
    /// For how long nothing has called for it.
    pub calm: Ticks,
    /// The share of the SYNs that is dropped.
    pub dropped: f64,
}

/// Decides on a level, step by step.
#[derive(Clone, Debug)]
pub struct Controller {
    level: Level,
    cause: Grounds,
    since: Tick,
    /// Since when all signals are below their leave marks.
    calm_since: Option<Tick>,
    /// For how long they were before another director ended. What came while there was none, nobody knows.
    calm_before: Ticks,
    dropped: f64,
    /// Whether cookies are the answer: until the attack is over.
    cookies: bool,
    stepped: Tick,
}

impl Controller {
    /// At level 0 from `now` on.
    pub const fn new(now: Tick) -> Self {
        Self {
            level: Level::Calm,
            cause: Grounds::Start,
            since: now,
            calm_since: None,
            calm_before: Ticks(0),
            dropped: 0.0,
            cookies: false,
            stepped: now,
        }
    }

    /// The level.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Why it is that.
    pub const fn cause(&self) -> Grounds {
        self.cause
    }

    /// Since when.
    pub const fn since(&self) -> Tick {
        self.since
    }

    /// The share of the SYNs that is dropped.
    pub const fn dropped(&self) -> f64 {
        self.dropped
    }

    /// Whether SYNs are to be answered with cookies, where that can be; UDP clients to come twice.
    pub const fn cookies(&self) -> bool {
        self.cookies
    }

    /// How long all signals have been below their leave marks, at level 1.
    pub fn calm(&self, now: Tick) -> Ticks {
        let here = self.calm_since.map_or(Ticks(0), |since| since.until(now));
        Ticks(self.calm_before.0.saturating_add(here.0))
    }

    /// Takes in what was measured; to be called a few times a second.
    pub fn step(&mut self, signals: &Signals, policy: &Policy, now: Tick) -> Option<Change> {
        let change = match self.level {
            Level::Calm => policy
                .alarm(signals)
                .and_then(|reason| self.turn(Level::Attacked, Grounds::Alarm(reason), now)),
            Level::Attacked => self.outlast(signals, policy, now),
            Level::Pinned => None,
        };
        let calls = self.cookies || policy.calls_for_cookies(signals);
        self.cookies = self.level != Level::Calm && calls;
        self.stride(signals, policy, now);
        change
    }

    /// Does what the user says.
    pub fn set(&mut self, level: Level, now: Tick) -> Option<Change> {
        self.turn(level, Grounds::User, now)
    }

    /// Goes on where another director's ended. Cookies that were its answer have kept away what called
    /// for them: it would take as much of a flood as they began with to call for them again.
    pub fn go_on(&mut self, legacy: &Legacy, now: Tick) {
        let cause = match legacy.level {
            Level::Pinned => Grounds::User,
            Level::Calm | Level::Attacked => Grounds::Kept,
        };
        self.turn(legacy.level, cause, now);
        self.since = legacy.since;
        self.stepped = now;
        self.calm_before = legacy.calm;
        let is_calm = legacy.level == Level::Calm;
        self.cookies = legacy.cookies && !is_calm;
        self.dropped = match is_calm {
            true => 0.0,
            false => legacy.dropped.clamp(0.0, 1.0),
        };
    }

    /// What the next director's is to go on with.
    pub fn legacy(&self, now: Tick) -> Legacy {
        Legacy {
            level: self.level,
            since: self.since,
            cookies: self.cookies,
            calm: self.calm(now),
            dropped: self.dropped,
        }
    }

    fn outlast(&mut self, signals: &Signals, policy: &Policy, now: Tick) -> Option<Change> {
        if policy.unrest(signals).is_some() {
            self.begin_unrest();
            return None;
        }
        let here = self.calm_since.get_or_insert(now).until(now);
        match here >= MEASURED && self.calm(now) >= policy.dwell {
            true => self.turn(Level::Calm, Grounds::Over(policy.dwell), now),
            false => None,
        }
    }

    const fn begin_unrest(&mut self) {
        self.calm_since = None;
        self.calm_before = Ticks(0);
    }

    fn turn(&mut self, to: Level, cause: Grounds, now: Tick) -> Option<Change> {
        let from = std::mem::replace(&mut self.level, to);
        self.cause = cause;
        self.begin_unrest();
        if from == to {
            return None;
        }
        self.since = now;
        Some(Change { from, to, cause })
    }

    fn stride(&mut self, signals: &Signals, policy: &Policy, now: Tick) {
        let Ticks(passed) = self.stepped.until(now);
        self.stepped = now;
        if self.level == Level::Calm {
            self.dropped = 0.0;
            return;
        }
        let wanted = policy.wanted(signals, self.dropped);
        let most = STRIDE * f64::from(passed) / f64::from(Ticks::PER_SECOND);
        self.dropped += (wanted - self.dropped).clamp(-most, most);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(percent: u64) -> Signals {
        Signals {
            half_open: percent,
            connections: 1_000_000,
            pool: 100,
            // A flood without end, as soon as the pool is full.
            displaced: if percent == 100 { 1e9 } else { 0.0 },
            ..Signals::default()
        }
    }

    /// The levels after each of `(percent of the pool, seconds)`.
    fn play(steps: &[(u64, u32)]) -> Vec<u8> {
        let policy = Policy::default();
        let mut controller = Controller::new(Tick(0));
        let mut now = Tick(0);
        steps
            .iter()
            .map(|&(percent, seconds)| {
                for _ in 0..seconds {
                    now = now.after(Ticks::seconds(1));
                    controller.step(&full(percent), &policy, now);
                }
                controller.level().number()
            })
            .collect()
    }

    #[test]
    fn it_rises_at_once_and_falls_after_the_dwell() {
        assert_eq!(
            play(&[(24, 100), (25, 1), (13, 100), (11, 30), (11, 1)]),
            [0, 1, 1, 1, 0]
        );
        assert_eq!(
            play(&[(30, 1), (0, 29), (12, 1), (0, 30), (0, 1)]),
            [1, 1, 1, 1, 0]
        );
    }

    #[test]
    fn what_the_user_sets_stays_or_not() {
        let policy = Policy::default();
        let mut controller = Controller::new(Tick(0));
        let mut now = Tick(0);
        let mut after = |controller: &mut Controller, percent, seconds| {
            for _ in 0..seconds {
                now = now.after(Ticks::seconds(1));
                controller.step(&full(percent), &policy, now);
            }
            controller.level()
        };
        assert!(controller.set(Level::Pinned, Tick(0)).is_some());
        assert_eq!(controller.set(Level::Pinned, Tick(0)), None);
        assert_eq!(after(&mut controller, 0, 1000), Level::Pinned);
        controller.set(Level::Attacked, Tick(10_000));
        assert_eq!(after(&mut controller, 0, 40), Level::Calm);
        controller.set(Level::Calm, Tick(11_000));
        assert_eq!(after(&mut controller, 50, 1), Level::Attacked);
    }

    #[test]
    fn what_is_dropped_follows_slowly_and_ends_with_the_attack() {
        let policy = Policy::default();
        let mut controller = Controller::new(Tick(0));
        let mut dropped = Vec::new();
        for second in 1..=4 {
            controller.step(&full(100), &policy, Tick(second * 10));
            dropped.push((controller.dropped() * 100.0).round() as u32);
        }
        assert_eq!(dropped, [20, 40, 50, 50]);
        controller.set(Level::Calm, Tick(40));
        controller.step(&full(0), &policy, Tick(41));
        assert_eq!(controller.dropped(), 0.0);
    }

    #[test]
    fn udp_clients_have_to_come_twice_from_a_shortage_on_until_the_flood_is_over() {
        let policy = Policy::default();
        let mut controller = Controller::new(Tick(0));
        let mut now = Tick(0);
        // (datagrams a second, percent that is missed, seconds) and (level, repeats) then.
        let steps = [
            ((4_000.0, 5.0, 5), (0, false)),
            ((6_000.0, 0.0, 5), (1, false)),
            ((6_000.0, 5.0, 1), (1, true)),
            ((6_000.0, 0.0, 60), (1, true)),
            ((2_000.0, 0.0, 60), (1, true)),
            ((1_000.0, 0.0, 30), (1, true)),
            ((1_000.0, 0.0, 1), (0, false)),
        ];
        for ((new_udp, missed, seconds), expected) in steps {
            let signals = Signals {
                new_udp: Some(new_udp),
                missed,
                places: 1_000_000,
                ..Signals::default()
            };
            for _ in 0..seconds {
                now = now.after(Ticks::seconds(1));
                controller.step(&signals, &policy, now);
            }
            let found = (controller.level().number(), controller.cookies());
            assert_eq!(found, expected, "{new_udp} {missed}");
        }
    }

    #[test]
    fn the_next_director_goes_on_with_cookies_though_nothing_calls_for_them_any_more() {
        let policy = Policy::default();
        let mut first = Controller::new(Tick(0));
        first.step(&full(60), &policy, Tick(1));
        let mut next = Controller::new(Tick(5));
        next.go_on(&first.legacy(Tick(5)), Tick(5));
        next.step(&full(20), &policy, Tick(6));
        assert_eq!((next.level(), next.cookies()), (Level::Attacked, true));
        next.set(Level::Calm, Tick(7));
        next.step(&full(0), &policy, Tick(8));
        assert!(!next.cookies());
        let calm = Legacy {
            level: Level::Calm,
            ..first.legacy(Tick(9))
        };
        next.go_on(&calm, Tick(9));
        assert!(!next.cookies(), "there is no attack");
    }

    #[test]
    fn the_next_director_waits_for_the_rest_of_the_dwell_and_begins_anew_when_the_attack_goes_on() {
        let policy = Policy::default();
        let seconds = |seconds| Tick(0).after(Ticks::seconds(seconds));
        let mut first = Controller::new(Tick(0));
        first.step(&full(60), &policy, seconds(1));
        for second in 2..=22 {
            first.step(&full(0), &policy, seconds(second));
        }
        // Nobody knows what came for 978 seconds.
        let next = || {
            let mut next = Controller::new(seconds(1000));
            next.go_on(&first.legacy(seconds(22)), seconds(1000));
            next
        };
        let levels_of = |mut next: Controller, loads: &[(u64, u32)]| {
            let levels = loads.iter().map(|&(percent, second)| {
                next.step(&full(percent), &policy, seconds(second));
                next.level().number()
            });
            levels.collect::<Vec<_>>()
        };
        let calm = [(0, 1001), (0, 1010), (0, 1011)];
        assert_eq!(levels_of(next(), &calm), [1, 1, 0]);
        let attacked = [(0, 1001), (20, 1002), (0, 1003), (0, 1032), (0, 1033)];
        assert_eq!(levels_of(next(), &attacked), [1, 1, 1, 1, 0]);
    }

    #[test]
    fn no_director_says_before_it_has_measured_that_an_attack_is_over() {
        let policy = Policy::default();
        let legacy = Legacy {
            level: Level::Attacked,
            since: Tick(0),
            cookies: false,
            calm: policy.dwell,
            dropped: 0.0,
        };
        let mut next = Controller::new(Tick(500));
        next.go_on(&legacy, Tick(500));
        let levels = [501, 510, 511].map(|tick| {
            next.step(&full(0), &policy, Tick(tick));
            next.level().number()
        });
        assert_eq!(levels, [1, 1, 0]);
    }

    #[test]
    fn the_next_director_drops_the_same_share() {
        let policy = Policy::default();
        let mut first = Controller::new(Tick(0));
        for tick in 1..=30 {
            first.step(&full(100), &policy, Tick(tick));
        }
        let dropped = |level| {
            let mut next = Controller::new(Tick(0));
            let legacy = Legacy {
                level,
                ..first.legacy(Tick(30))
            };
            next.go_on(&legacy, Tick(90));
            next.step(&full(0), &policy, Tick(91));
            (next.dropped() * 100.0).round() as u32
        };
        assert_eq!((dropped(Level::Attacked), dropped(Level::Calm)), (48, 0));
    }

    proptest! {
        /// Whatever an attacker does to the load, the level changes at most twice in a dwell.
        #[test]
        fn no_load_makes_it_flap(
            loads in prop::collection::vec((0u64..=100, 1u32..50), 1..200),
            dwell in 1u32..60,
        ) {
            let policy = Policy { dwell: Ticks::seconds(dwell), ..Policy::default() };
            let mut controller = Controller::new(Tick(0));
            let mut now = Tick(0);
            let mut changes = 0u32;
            for (percent, ticks) in loads {
                for _ in 0..ticks {
                    now = now.after(Ticks(1));
                    let change = controller.step(&full(percent), &policy, now);
                    changes += u32::from(change.is_some());
                    prop_assert!((0.0..=policy.drop_most).contains(&controller.dropped()));
                }
            }
            let dwells = now.0 / policy.dwell.0 + 1;
            prop_assert!(changes <= 2 * dwells, "{changes} changes in {dwells} dwells");
        }

        /// Around one mark, without ever coming near the other, it changes once.
        #[test]
        fn load_around_a_mark_changes_it_once(loads in prop::collection::vec(13u64..40, 50..500)) {
            let mut controller = Controller::new(Tick(0));
            let policy = Policy::default();
            let steps = loads.iter().zip(1..);
            let changes = steps.filter_map(|(&percent, second)| {
                controller.step(&full(percent), &policy, Tick(second * 10))
            });
            prop_assert!(changes.count() <= 1);
        }
    }
}
