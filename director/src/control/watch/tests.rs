//! What is measured, as the levels see it.

use adminapi::model::Scheduler;

use super::*;
use crate::service::Handling;
use crate::wire::{Addr, Endpoint, Protocol};

/// A UDP service under watch.
struct Played {
    watched: Watched,
    counts: Counts,
    now: Tick,
}

impl Played {
    fn new() -> Self {
        Self {
            watched: Watched::new(Tick(0)),
            counts: Counts::default(),
            now: Tick(0),
        }
    }

    /// `firsts` and `opened` a second, for `seconds`.
    fn play(&mut self, firsts: u64, opened: u64, seconds: u32) -> Level {
        let measured = Signals {
            new_udp: Some(0.0),
            ..Signals::default()
        };
        for _ in 0..seconds {
            self.now = self.now.after(Ticks::seconds(1));
            self.counts.first_datagrams += firsts;
            self.counts.new_udp += opened;
            let policy = Policy::default();
            self.watched.step(measured, self.counts, &policy, self.now);
        }
        self.watched.controller.level()
    }
}

#[test]
fn who_comes_twice_counts_once() {
    let mut played = Played::new();
    assert_eq!(played.play(0, 750, 5), Level::Calm);
    assert_eq!(played.play(20_000, 750, 6), Level::Attacked);
    // The clients have to come twice until the level is 0 again: each is dropped, and opened then.
    assert_eq!(played.play(750, 750, 60), Level::Calm);
    assert_eq!(played.watched.signals.new_udp, Some(750.0));
}

#[test]
fn a_flood_that_comes_once_goes_on_being_seen() {
    let mut played = Played::new();
    played.play(0, 20_000, 5);
    assert_eq!(played.play(20_000, 100, 120), Level::Attacked);
}

#[test]
fn what_a_former_director_has_counted_is_no_attack() {
    let mut played = Played::new();
    played.counts = Counts {
        rejected: 1_000_000,
        lost_cookies: 1_000_000,
        new_udp: 1_000_000,
        first_datagrams: 1_000_000,
    };
    assert_eq!(played.play(0, 0, 5), Level::Calm);
}

#[test]
fn a_service_says_itself_when_its_clients_come_twice() {
    let key = ServiceKey::at(Protocol::Udp, Endpoint::new(Addr::v4([10, 9, 9, 9]), 53));
    let mut pool = Pool::new(1);
    pool.add_service(key, Scheduler::Rr).unwrap();
    let mut watch = Watch::new(Tick(0));
    for director in RepeatPolicy::ALL {
        watch.defense.repeats = director;
        for own in [None, Some(RepeatPolicy::Off), Some(RepeatPolicy::Auto)] {
            let handling = Handling {
                udp_repeats: own,
                ..Handling::default()
            };
            pool.set_handling(&key, handling).unwrap();
            let service = pool.service(&key).unwrap();
            assert_eq!(watch.repeats(service), own.unwrap_or(director));
        }
    }
}
