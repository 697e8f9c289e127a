//! What has happened, for those who ask later: a bounded list, of which each kind is sure of its share.

use std::collections::{BTreeMap, VecDeque};

use adminapi::model::{AuditEntry, Event, Events};

use tokio::sync::watch;

use super::translate;
use crate::service::ServiceKey;

/// How many are remembered.
const ROOM: usize = 256;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EventKind {
    DefenseLevel,
    RealHealth,
    ServiceHealth,
    Cookies,
    Repeats,
    Shortage,
    Ban,
    Regions,
    Change,
}

impl EventKind {
    /// Its name on the wire.
    const fn name(self) -> &'static str {
        match self {
            Self::DefenseLevel => "defense_level",
            Self::RealHealth => "real_health",
            Self::ServiceHealth => "service_health",
            Self::Cookies => "cookies",
            Self::Repeats => "repeats",
            Self::Shortage => "shortage",
            Self::Ban => "ban",
            Self::Regions => "regions",
            Self::Change => "change",
        }
    }
}

/// The latest events.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    events: VecDeque<(EventKind, Event)>,
    last: u64,
    news: watch::Sender<u64>,
}

impl EventLog {
    /// Remembers that at `at`, in seconds since 1970, something has happened to a service, or to
    /// the whole director.
    pub(super) fn add(
        &mut self,
        at: u64,
        kind: EventKind,
        service: Option<&ServiceKey>,
        message: String,
    ) {
        self.last += 1;
        let event = Event {
            id: self.last,
            at,
            kind: kind.name().to_owned(),
            service: service.map(translate::id),
            message,
            change: None,
        };
        self.events.push_back((kind, event));
        if self.events.len() > ROOM {
            self.forget_one();
        }
        self.news.send_replace(self.last);
    }

    /// Forgets the oldest of the kind of which there are most: what comes in numbers, as bans do, pushes
    /// out its own kind and not what comes once a day.
    fn forget_one(&mut self) {
        let mut counts = BTreeMap::new();
        for (kind, _) in &self.events {
            *counts.entry(*kind).or_insert(0) += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        let of_most = |(kind, _): &(EventKind, Event)| most.is_some_and(|most| most.0 == *kind);
        let oldest = self.events.iter().position(of_most);
        self.events.remove(oldest.unwrap_or_default());
    }

    /// Hears of the number of each new one.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Remembers that somebody has changed something.
    pub(super) fn add_change(&mut self, at: u64, change: AuditEntry) {
        let message = format!("{}: {}", change.who, change.what);
        self.add(at, EventKind::Change, None, message);
        if let Some((_, event)) = self.events.back_mut() {
            event.change = Some(change);
        }
    }

    /// The number of the latest.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Numbers on where the log of a former daemon ended: a client that comes back says up to where
    /// it has read that one.
    pub(super) fn go_on(&mut self, last: u64) {
        for (_, event) in &mut self.events {
            event.id += last;
        }
        self.last += last;
        self.news.send_replace(self.last);
    }

    /// Those with a number above `id`.
    pub(super) fn since(&self, id: u64) -> Events {
        let all = self.events.iter().map(|(_, event)| event);
        let newer = all.filter(|event| event.id > id);
        Events {
            events: newer.cloned().collect(),
            last: self.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered_and_numbered() {
        let mut log = EventLog::default();
        assert_eq!(log.since(0), Events::default());
        for at in 1..=300 {
            log.add(at, EventKind::Ban, None, String::new());
        }
        let ids = |since| {
            let events = log.since(since).events;
            (events.len(), events.first().map(|event| event.id))
        };
        assert_eq!(ids(0), (ROOM, Some(45)));
        assert_eq!(ids(298), (2, Some(299)));
        assert_eq!(ids(300), (0, None));
        assert_eq!(log.since(0).last, 300);
    }

    #[test]
    fn what_comes_in_numbers_pushes_out_its_own_kind() {
        let mut log = EventLog::default();
        let share = ROOM / all().len();
        let mut add = |kind, count| {
            for at in 0..count as u64 {
                log.add(at, kind, None, String::new());
            }
        };
        add(EventKind::DefenseLevel, 3);
        add(EventKind::Change, 2 * ROOM);
        add(EventKind::Ban, 10 * ROOM);
        let kept = |kind: EventKind| {
            let events = log.since(0).events;
            let of_kind = events.into_iter().filter(|event| event.kind == kind.name());
            of_kind.map(|event| event.id).collect::<Vec<_>>()
        };
        assert_eq!(kept(EventKind::DefenseLevel), [1, 2, 3]);
        let [changes, bans] = [EventKind::Change, EventKind::Ban].map(kept);
        assert!(changes.len() >= share && bans.len() >= share);
        assert_eq!(3 + changes.len() + bans.len(), ROOM);
        assert_eq!(changes.last().copied(), Some(3 + 2 * ROOM as u64));
        assert_eq!(bans.last().copied(), Some(log.last()));
    }

    #[test]
    fn numbers_go_on_behind_those_of_a_former_daemon() {
        let mut log = EventLog::default();
        log.add(1, EventKind::Ban, None, String::new());
        log.go_on(40);
        log.add(2, EventKind::Ban, None, String::new());
        let ids = |since| -> Vec<u64> {
            let events = log.since(since).events;
            events.iter().map(|event| event.id).collect()
        };
        assert_eq!((ids(0), ids(40)), (vec![41, 42], vec![41, 42]));
        assert_eq!((ids(41), *log.news().borrow()), (vec![42], 42));
    }

    /// The names of all kinds; one that is missing here does not compile.
    fn all() -> Vec<&'static str> {
        use EventKind::*;
        let next = |kind: &EventKind| {
            Some(match kind {
                DefenseLevel => RealHealth,
                RealHealth => ServiceHealth,
                ServiceHealth => Cookies,
                Cookies => Repeats,
                Repeats => Shortage,
                Shortage => Ban,
                Ban => Regions,
                Regions => Change,
                Change => return None,
            })
        };
        let all = std::iter::successors(Some(DefenseLevel), next);
        all.map(EventKind::name).collect()
    }

    #[test]
    fn the_documents_name_every_kind() {
        let listed: Vec<_> = all().iter().map(|name| format!("`{name}`")).collect();
        let listed = listed.join(", ");
        let api = include_str!("../../../docs/api.md");
        assert!(
            api.contains(&format!("`kind`\n({listed})")),
            "docs/api.md lacks {listed}"
        );
        let model = include_str!("../../../adminapi/src/model/defense.rs");
        assert!(
            model.contains(&format!("/// What: {listed}.")),
            "the schema lacks {listed}"
        );
    }
}
