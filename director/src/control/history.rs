//! What the director has counted, second by second: the samples that are streamed.

use std::collections::VecDeque;

use adminapi::Control;
use adminapi::model::{Sample, Stats};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::warn;

use super::Director;
use super::unix::unix_now;

/// How many seconds are remembered.
const ROOM: usize = 60;

/// The latest samples.
#[derive(Debug)]
pub(super) struct History {
    samples: Mutex<VecDeque<Sample>>,
    /// The number of the latest one.
    last: watch::Sender<u64>,
}

impl History {
    /// Numbered from the second `start` on, counted since 1970: so the numbers of another daemon, before
    /// this one, are below.
    pub(super) fn new(start: u64) -> Self {
        Self {
            samples: Mutex::default(),
            last: watch::channel(start).0,
        }
    }

    /// Those with a number above `since`, the oldest first.
    pub(super) fn since(&self, since: u64) -> Vec<Sample> {
        let samples = self.samples.lock();
        let newer = samples.iter().filter(|sample| sample.id > since);
        newer.cloned().collect()
    }

    /// Hears of each new one.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Notes the statistics of a second, `at` seconds since 1970.
    fn add(&self, at: u64, stats: Stats) {
        let mut samples = self.samples.lock();
        // Not borrowed any more when it is replaced, which would wait for that.
        let id = *self.last.borrow() + 1;
        if samples.len() == ROOM {
            samples.pop_front();
        }
        samples.push_back(Sample { id, at, stats });
        drop(samples);
        self.last.send_replace(id);
    }
}

impl Director {
    /// Notes what has been counted. To be called once a second.
    pub fn sample(&self) {
        for service in self.shared.pool.load().iter() {
            service.traffic.note_second();
            service
                .reals
                .iter()
                .for_each(|real| real.traffic.note_second());
        }
        match self.stats() {
            Ok(stats) => self.history.add(unix_now(), stats),
            Err(error) => warn!(%error, "a second is missing in the statistics"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_minute_is_remembered() {
        let history = History::new(1000);
        let news = history.news();
        for at in 1..=100 {
            history.add(at, Stats::default());
        }
        assert_eq!(*news.borrow(), 1100);
        let ids = |since| {
            let samples = history.since(since);
            (samples.len(), samples.first().map(|sample| sample.id))
        };
        assert_eq!(ids(0), (ROOM, Some(1041)));
        assert_eq!(ids(1098), (2, Some(1099)));
        assert_eq!(ids(1100), (0, None));
    }
}
