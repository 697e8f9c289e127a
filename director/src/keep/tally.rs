//! What has been counted, for the next daemon to count on from.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use adminapi::model::{RateLimit, ServiceId};
use serde::{Deserialize, Serialize};

use crate::drops::{Cause, DropReason};
use crate::fast::Carried;
use crate::stats::{TrafficSum, WorkerStats};

/// The file `tally`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Of each service.
    pub services: Vec<ServiceTally>,
    /// Of each worker.
    pub workers: Vec<WorkerTally>,
    /// What the gate had forwarded by itself for the slot of each real server, as far as the services
    /// have it.
    #[serde(default)]
    pub forwarded: Vec<(u32, Carried)>,
    /// Of each level of defence above 0.
    #[serde(default)]
    pub levels: Vec<LevelTally>,
    /// Of each limit of connections in a second.
    #[serde(default)]
    pub limits: Vec<LimitTally>,
}

/// What a service has carried, and each of its real servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTally {
    /// The service.
    pub service: ServiceId,
    /// What it has carried.
    pub traffic: TrafficSum,
    /// Its real servers, those that are out of service among them.
    pub reals: Vec<RealTally>,
    /// Its sorry server, while that is in force.
    #[serde(default)]
    pub sorry: Option<RealTally>,
}

/// What a real server has carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealTally {
    /// RIP and port.
    pub real: SocketAddr,
    /// What it has carried.
    pub traffic: TrafficSum,
}

/// How far a level of defence has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelTally {
    /// Of a service; of the whole director without.
    pub service: Option<ServiceId>,
    /// The tick since which it is held, which says of which one this is.
    pub since: u32,
    /// For how many ticks nothing has called for it.
    pub calm: u32,
    /// The share of the SYNs that is dropped.
    pub dropped: f64,
}

/// What is used up of a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitTally {
    /// The limit, which says of which one this is.
    pub limit: RateLimit,
    /// Of each sharer that does not have all.
    pub sharers: Vec<SharerTally>,
}

/// What a sharer has used up of a limit. Times are nanoseconds since the machine was booted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharerTally {
    /// Who it is.
    pub sharer: SharedBy,
    /// When it will have all again.
    pub full: u64,
    /// Since when `over` is counted.
    pub since: u64,
    /// Packets over the limit.
    pub over: u32,
}

/// Who has a share of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SharedBy {
    /// A source, by its first address.
    Source(IpAddr),
    /// A service.
    Service(ServiceId),
}

/// What a worker has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerTally {
    received: u64,
    #[serde(default)]
    from_host: u64,
    sent: u64,
    routed: u64,
    answered: u64,
    ring_full: u64,
    no_frame: u64,
    drops: BTreeMap<String, u64>,
}

impl WorkerTally {
    /// What `stats` say now.
    pub fn of(stats: &WorkerStats) -> Self {
        let named = |(reason, count): (DropReason, u64)| (reason.name().to_owned(), count);
        Self {
            received: stats.received.get(),
            from_host: stats.from_host.get(),
            sent: stats.sent.get(),
            routed: stats.routed.get(),
            answered: stats.answered.get(),
            ring_full: stats.ring_full.get(),
            no_frame: stats.no_frame.get(),
            drops: stats.drops.seen().map(named).collect(),
        }
    }

    /// Counts on from it in `stats`, whose worker does not run yet. What was received and is neither
    /// sent nor dropped was lost with the process.
    pub fn carry(&self, stats: &WorkerStats) {
        let dropped = stats.drops.sum();
        for reason in DropReason::all() {
            let count = self.drops.get(reason.name()).copied().unwrap_or(0);
            stats.drops.of(reason).add(count);
        }
        let told = self.sent + stats.drops.sum() - dropped;
        stats.received.add(self.received.max(told));
        stats.from_host.add(self.from_host);
        stats.sent.add(self.sent);
        stats.routed.add(self.routed);
        stats.answered.add(self.answered);
        stats.ring_full.add(self.ring_full);
        stats.no_frame.add(self.no_frame);
        lose(stats, self.received.saturating_sub(told));
    }

    /// What it was given by the gate, taken or missed.
    pub const fn taken(&self) -> u64 {
        self.received.saturating_sub(self.from_host) + self.ring_full + self.no_frame
    }
}

/// Counts packets as lost with a process, which has not told what became of them.
fn lose(stats: &WorkerStats, count: u64) {
    stats.drops.of(Cause::Restart.into()).add(count);
}

impl Tally {
    /// How far a level of `service`, or of the whole director, had come that is held since a tick.
    pub fn level(&self, service: Option<ServiceId>, since: u32) -> Option<&LevelTally> {
        let mut levels = self.levels.iter();
        levels.find(|level| (level.service, level.since) == (service, since))
    }

    /// Has the workers count on, of which there may be more or fewer now. The gate had given
    /// `redirected` packets to those of before.
    pub fn carry<'a>(&self, redirected: u64, workers: impl Iterator<Item = &'a WorkerStats>) {
        let stats: Vec<_> = workers.collect();
        for (former, id) in self.workers.iter().zip((0..stats.len()).cycle()) {
            former.carry(stats[id]);
        }
        let taken: u64 = self.workers.iter().map(WorkerTally::taken).sum();
        if let Some(first) = stats.first() {
            let lost = redirected.saturating_sub(taken);
            first.received.add(lost);
            lose(first, lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_of_a_killed_worker_balance() {
        let dead = WorkerStats::default();
        dead.received.add(100);
        dead.sent.add(60);
        dead.ring_full.set(5);
        dead.drops.of(Cause::NoRoute.into()).add(30);
        let tally = Tally {
            workers: vec![WorkerTally::of(&dead), WorkerTally::of(&dead)],
            ..Tally::default()
        };
        let heir = WorkerStats::default();
        tally.carry(220, std::iter::once(&heir));
        assert_eq!((heir.received.get(), heir.sent.get()), (210, 120));
        assert_eq!(heir.drops.of(Cause::NoRoute.into()).get(), 60);
        assert_eq!(heir.drops.of(Cause::Restart.into()).get(), 30);
        assert_eq!(heir.received.get(), heir.sent.get() + heir.drops.sum());
        assert_eq!(heir.received.get() + heir.ring_full.get(), 220);
    }

    #[test]
    fn what_an_older_daemon_has_counted_has_no_levels() {
        let written = r#"{"services": [], "workers": [], "forwarded": []}"#;
        let tally: Tally = serde_json::from_str(written).unwrap();
        assert_eq!(tally, Tally::default());
    }

    #[test]
    fn what_is_said_of_another_level_is_said_of_none() {
        let level = |service, since| LevelTally {
            service,
            since,
            calm: 7,
            dropped: 0.25,
        };
        let service: ServiceId = "tcp:192.0.2.10:80".parse().unwrap();
        let tally = Tally {
            levels: vec![level(None, 100), level(Some(service), 90)],
            ..Tally::default()
        };
        let text = serde_json::to_vec(&tally).unwrap();
        let tally: Tally = serde_json::from_slice(&text).unwrap();
        assert_eq!(tally.level(None, 100), Some(&level(None, 100)));
        assert_eq!(
            tally.level(Some(service), 90),
            Some(&level(Some(service), 90))
        );
        assert_eq!(tally.level(None, 90), None);
        assert_eq!(tally.level(Some(service), 100), None);
    }
}
