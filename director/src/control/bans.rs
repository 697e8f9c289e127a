//! Automatic bans: the gate tells who was over a limit too often, and they are listed for a while.

use adminapi::error::Result;
use adminapi::model::StandingListing;
use tracing::{info, warn};

use super::events::EventKind;
use super::filter::{Filters, Revision};
use super::unix::unix_now;
use super::{Director, translate};
use crate::filter::{
    Accused, BanPolicy, End, Limit, Listing, MOST_BANS, Offence, Offenders, Rules,
};
use crate::keep::Offender;
use crate::time::{Tick, Ticks};
use crate::wire::Net;

/// Of the bans that begin at once so many have an event of their own.
const MOST_EVENTS: usize = 16;

/// Somebody who is to be banned.
struct Case<'r> {
    net: Net,
    limit: &'r str,
    policy: BanPolicy,
}

impl Director {
    /// Bans those of whom the gate and the workers have told. To be called a few times a second.
    pub fn tend_bans(&self) {
        let by_gate = self.gate.filters().accused().unwrap_or_else(|error| {
            warn!(%error, "nobody is banned by itself for what the gate counts");
            Vec::new()
        });
        let by_workers = self.shared.pool.load().paces().accused();
        if by_gate.is_empty() && by_workers.is_empty() {
            return;
        }
        let mut told = Vec::new();
        let banned = self.revise(&mut self.filters.lock(), |lists| {
            let by_gate = numbered(&lists.filters.rules, by_gate);
            for accused in by_gate.iter().chain(&by_workers) {
                match self.ban(lists, accused) {
                    Ok(message) => told.extend(message),
                    Err(error) => warn!(%error, "a source is not banned"),
                }
            }
            Ok(())
        });
        if let Err(error) = banned {
            warn!(%error, "bans are not in force yet");
        }
        let all = told.len();
        let mut watch = self.watch.lock();
        for message in told.drain(..all.min(MOST_EVENTS)) {
            info!("{message}");
            watch.events.add(unix_now(), EventKind::Ban, None, message);
        }
        if let more @ 1.. = told.len() {
            let message = format!("{more} more sources are banned");
            info!("{message}");
            watch.events.add(unix_now(), EventKind::Ban, None, message);
        }
    }

    /// Bans one, unless somebody has said otherwise; what there is to tell of it.
    fn ban(&self, lists: &mut Revision<'_>, accused: &Accused) -> Result<Option<String>> {
        let now = self.facts.clock.now();
        let filters = &mut *lists.filters;
        let Some(case) = case(filters, accused) else {
            return Ok(None);
        };
        let Case { net, limit, policy } = case;
        let why = format!(
            "{limit}: {} packets over it in {} s",
            policy.over, policy.within
        );
        if filters.book.automatic() >= MOST_BANS {
            let is_news = !std::mem::replace(&mut filters.bans.is_full, true);
            let message = format!("{net} and others are not banned: {MOST_BANS} are");
            return Ok(is_news.then_some(message));
        }
        filters.bans.is_full = false;
        let sentence = filters.bans.offenders.sentence(net, &policy, now);
        let seconds = sentence.seconds;
        let why = match sentence.time {
            1 => why,
            time => format!("{why}, time {time}"),
        };
        let listing = Listing {
            list: policy.list,
            until: Some(End {
                tick: now.after(Ticks::seconds(seconds)),
                unix: unix_now() + u64::from(seconds),
            }),
            why: Some(why.as_str().into()),
            configured: false,
            automatic: true,
        };
        lists.put(net, listing)?;
        Ok(Some(format!("{net} is banned for {seconds} s: {why}")))
    }

    /// Bans for the time that is left whom another daemon has banned, unless somebody has said otherwise.
    pub(super) fn ban_as_before(&self, banned: &[StandingListing]) -> Result<()> {
        let now = unix_now();
        self.revise(&mut self.filters.lock(), |lists| {
            for left in banned.iter().filter_map(|banned| banned.at(now)) {
                let (net, listing) = self.listing(&left);
                if lists.filters.may_ban(net) {
                    let ban = Listing {
                        automatic: true,
                        ..listing
                    };
                    lists.put(net, ban)?;
                }
            }
            Ok(())
        })
    }

    /// Those whose next ban is to be a longer one, for the next daemon.
    pub(super) fn offenders(&self, filters: &Filters) -> Vec<Offender> {
        Present::of(self).written(&filters.bans.offenders)
    }

    /// Goes on doubling the bans of those whom another daemon has banned.
    pub(super) fn remember_offenders(&self, written: &[Offender]) {
        Present::of(self).read(written, &mut self.filters.lock().bans.offenders);
    }
}

/// The present moment by both clocks: offenders are remembered by ticks, and written down as bans are,
/// by Unix time.
#[derive(Clone, Copy)]
struct Present {
    tick: Tick,
    unix: u64,
}

impl Present {
    fn of(director: &Director) -> Self {
        Self {
            tick: director.facts.clock.now(),
            unix: unix_now(),
        }
    }

    fn written(self, offenders: &Offenders) -> Vec<Offender> {
        let written = |(net, offence): (Net, Offence)| {
            let left = self.tick.until(offence.remembered).as_seconds_ceil();
            Offender {
                network: translate::prefix(net),
                times: offence.times,
                until: self.unix + u64::from(left),
            }
        };
        offenders.kept(self.tick).map(written).collect()
    }

    fn read(self, written: &[Offender], offenders: &mut Offenders) {
        for offender in written {
            // However far the clock has been set back since.
            let left = offender.until.saturating_sub(self.unix);
            let left = left.saturating_mul(Ticks::PER_SECOND.into());
            let left = Ticks(u32::try_from(left).unwrap_or(u32::MAX));
            if left > Ticks(0) {
                let offence = Offence {
                    remembered: self.tick.after(left),
                    times: offender.times,
                };
                offenders.remember(translate::net(offender.network), offence);
            }
        }
    }
}

/// Those whom the gate accuses, with the numbers that limits have among all.
fn numbered(rules: &Rules, accused: Vec<Accused>) -> Vec<Accused> {
    let numbers: Vec<_> = rules.limits_of_gate().map(|(number, _)| number).collect();
    let numbered = accused.into_iter().filter_map(|accused| {
        Some(Accused {
            limit: *numbers.get(accused.limit)?,
            ..accused
        })
    });
    numbered.collect()
}

/// Who it is, and by which policy, if he is to be banned at all.
fn case<'f>(filters: &'f Filters, accused: &Accused) -> Option<Case<'f>> {
    let limit: &Limit = filters.rules.limits.get(accused.limit)?;
    let name = &filters.wanted.limits.get(accused.limit)?.name;
    let policy = limit.ban?;
    let net = limit.source(accused.source);
    filters.may_ban(net).then_some(Case {
        net,
        limit: name,
        policy,
    })
}

impl Filters {
    /// Nobody is banned who is listed, or whom a list lets in. Of a network that a list lets in a part of,
    /// the rest is banned.
    fn may_ban(&self, net: Net) -> bool {
        let decided = self.book.holds(net);
        let is_allowed = decided.is_some_and(|(_, listing)| listing.allows());
        !is_allowed && self.book.get(net).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::testing::POLICY;
    use crate::filter::{List, Sentence};
    use crate::keep::Running;
    use crate::wire::Addr;

    const BEFORE: Present = Present {
        tick: Tick(5000),
        unix: 1_000_000,
    };

    fn net(host: u8) -> Net {
        Net::new(Addr::v4([203, 0, 113, host]), 128)
    }

    fn later(seconds: u32) -> Present {
        Present {
            tick: BEFORE.tick.after(Ticks::seconds(seconds)),
            unix: BEFORE.unix + u64::from(seconds),
        }
    }

    /// What is left `seconds` later of the memory of one that has banned host 1 twice, and host 2 once.
    fn restarted(seconds: u32) -> Offenders {
        let mut former = Offenders::default();
        for host in [1, 1, 2] {
            former.sentence(net(host), &POLICY, BEFORE.tick);
        }
        let running = Running {
            offenders: BEFORE.written(&former),
            ..Running::default()
        };
        let text = serde_json::to_vec(&running).unwrap();
        let running: Running = serde_json::from_slice(&text).unwrap();
        let mut offenders = Offenders::default();
        later(seconds).read(&running.offenders, &mut offenders);
        offenders
    }

    #[test]
    fn doubling_goes_on_after_a_restart_until_one_is_forgiven() {
        let next =
            |seconds, host| restarted(seconds).sentence(net(host), &POLICY, later(seconds).tick);
        let sentence = |seconds, time| Sentence { seconds, time };
        assert_eq!(next(100, 1), sentence(240, 3));
        assert_eq!(next(100, 2), sentence(120, 2));
        assert_eq!(next(100, 3), sentence(60, 1));
        assert_eq!(next(659, 2), sentence(120, 2));
        assert_eq!(next(660, 2), sentence(60, 1));
        assert_eq!(next(660, 1), sentence(240, 3));
        assert_eq!(restarted(659).kept(later(659).tick).count(), 2);
        assert_eq!(restarted(660).kept(later(660).tick).count(), 1);
    }

    #[test]
    fn what_an_older_daemon_has_written_has_no_offenders() {
        let mut text = serde_json::to_value(Running::default()).unwrap();
        text.as_object_mut().unwrap().remove("offenders").unwrap();
        let running: Running = serde_json::from_value(text).unwrap();
        assert_eq!(running, Running::default());
    }

    fn network(text: &str) -> Net {
        translate::net(text.parse().unwrap())
    }

    #[test]
    fn a_network_is_banned_unless_all_of_it_is_allowed() {
        let mut filters = Filters::default();
        let listing = Listing {
            list: List::Allow,
            until: None,
            why: None,
            configured: true,
            automatic: false,
        };
        let source = network("11.0.0.0/24");
        filters.book.put(network("11.0.0.0/28"), listing.clone());
        assert!(filters.may_ban(source), "its first addresses alone are");
        assert!(!filters.may_ban(network("11.0.0.1/32")));
        filters.book.put(network("11.0.0.0/16"), listing);
        assert!(!filters.may_ban(source));
        assert!(filters.may_ban(network("11.0.0.0/8")));
    }

    #[test]
    fn a_clock_that_was_set_back_far_is_no_trouble() {
        let written = [Offender {
            network: translate::prefix(net(1)),
            times: u32::MAX,
            until: u64::MAX,
        }];
        let mut offenders = Offenders::default();
        BEFORE.read(&written, &mut offenders);
        let sentence = offenders.sentence(net(1), &POLICY, later(9).tick);
        assert_eq!(sentence.seconds, POLICY.longest);
    }
}
