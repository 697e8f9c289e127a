//! Automatic bans: how long somebody is banned who was over a limit too often, and who was so before.

use std::collections::{BTreeSet, HashMap};

use super::List;
use crate::time::{Tick, Ticks};
use crate::wire::{Addr, Net};

/// Sources that wait to be judged, at most.
pub const MOST_ACCUSED: usize = 4096;

/// Networks that are banned by themselves at one time.
pub const MOST_BANS: usize = 1 << 16;

/// Offenders that are remembered.
const MOST_OFFENDERS: usize = 1 << 16;

/// Of them so many are written down for the next director, those who are remembered longest. They are
/// written anew with each ban, so it has to stay little: some 80 bytes each, a third of a megabyte.
const MOST_KEPT: usize = 1 << 12;

/// A source that was over a limit too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accused {
    /// The number of the limit, among those of who accuses.
    pub limit: usize,
    /// The first address of the source.
    pub source: Addr,
}

/// What a limit does about those who are over it too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanPolicy {
    /// So many packets over the limit,
    pub over: u32,
    /// within so many seconds.
    pub within: u32,
    /// Seconds of the first ban; each further one is twice as long.
    pub first: u32,
    /// Seconds of the longest one; who was good for so long since is no repeat offender.
    pub longest: u32,
    /// The list that they come on.
    pub list: List,
}

/// What somebody has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// For how long.
    pub seconds: u32,
    /// The how manieth one it is, from 1.
    pub time: u32,
}

/// Until when an offender is remembered, and how often it was banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offence {
    /// Until when.
    pub remembered: Tick,
    /// How often.
    pub times: u32,
}

/// Who has been banned, and whether there was no room for others.
#[derive(Debug, Default)]
pub struct Bans {
    /// Those who were.
    pub offenders: Offenders,
    /// That there are others has been told.
    pub is_full: bool,
}

/// Those who were banned lately.
#[derive(Debug, Default)]
pub struct Offenders {
    known: HashMap<Net, Offence>,
    /// In the order in which they are forgotten.
    due: BTreeSet<(Tick, Net)>,
}

impl Offenders {
    /// Bans `net` by `policy`.
    pub fn sentence(&mut self, net: Net, policy: &BanPolicy, now: Tick) -> Sentence {
        self.forget(now);
        let before = self.known.get(&net).map_or(0, |offence| offence.times);
        let doubled = u64::from(policy.first) << before.min(31);
        let seconds = doubled.min(policy.longest.max(policy.first).into()) as u32;
        let time = before.saturating_add(1);
        let end = now.after(Ticks::seconds(seconds));
        self.remember(
            net,
            Offence {
                remembered: end.after(Ticks::seconds(policy.longest)),
                times: time,
            },
        );
        Sentence { seconds, time }
    }

    /// Those to write down for the next director at `now`: the ones who are remembered longest.
    pub fn kept(&self, now: Tick) -> impl Iterator<Item = (Net, Offence)> {
        let last = self.due.iter().rev().take(MOST_KEPT);
        let is_known = move |(until, _): &&(Tick, Net)| *until > now;
        (last.take_while(is_known)).filter_map(|(_, net)| Some((*net, *self.known.get(net)?)))
    }

    /// Takes `net` for an offender.
    pub fn remember(&mut self, net: Net, offence: Offence) {
        if let Some(old) = self.known.remove(&net) {
            self.due.remove(&(old.remembered, net));
        }
        if self.known.len() >= MOST_OFFENDERS {
            if let Some((_, first)) = self.due.pop_first() {
                self.known.remove(&first);
            }
        }
        self.due.insert((offence.remembered, net));
        self.known.insert(net, offence);
    }

    fn forget(&mut self, now: Tick) {
        while let Some((until, net)) = self.due.first().copied() {
            if until > now {
                break;
            }
            self.due.pop_first();
            self.known.remove(&net);
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Bans from a minute to ten.
    pub(crate) const POLICY: BanPolicy = BanPolicy {
        over: 100,
        within: 10,
        first: 60,
        longest: 600,
        list: List::Deny,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BanPolicy = BanPolicy {
        longest: 200,
        ..testing::POLICY
    };

    fn net(host: u32) -> Net {
        Net::new(Addr::v4(host.to_be_bytes()), 128)
    }

    #[test]
    fn each_ban_is_twice_as_long_until_the_longest_and_who_is_good_is_forgiven() {
        let mut offenders = Offenders::default();
        let mut now = Tick(0);
        let mut got = Vec::new();
        for _ in 0..4 {
            let Sentence { seconds, time } = offenders.sentence(net(1), &POLICY, now);
            got.push((seconds, time));
            now = now.after(Ticks::seconds(seconds + 199));
        }
        assert_eq!(got, [(60, 1), (120, 2), (200, 3), (200, 4)]);
        now = now.after(Ticks::seconds(1));
        let again = offenders.sentence(net(1), &POLICY, now);
        assert_eq!(
            again,
            Sentence {
                seconds: 60,
                time: 1
            }
        );
        let other = offenders.sentence(net(2), &POLICY, now);
        assert_eq!(other.time, 1);
    }

    #[test]
    fn those_are_kept_who_are_not_forgiven_and_the_last_ones_of_many() {
        let mut offenders = Offenders::default();
        offenders.sentence(net(1), &POLICY, Tick(0));
        offenders.sentence(net(2), &POLICY, Tick(1));
        let forgiven = Tick(0).after(Ticks::seconds(60 + 200));
        let kept: Vec<_> = offenders.kept(forgiven).collect();
        assert_eq!(kept.len(), 1);
        assert_eq!((kept[0].0, kept[0].1.times), (net(2), 1));

        let mut offenders = Offenders::default();
        for host in 0..MOST_KEPT as u32 + 10 {
            offenders.sentence(net(host), &POLICY, Tick(host / 10));
        }
        let kept: Vec<_> = offenders.kept(Tick(500)).collect();
        assert_eq!(kept.len(), MOST_KEPT);
        assert!(kept.iter().all(|(found, _)| *found > net(9)));
    }

    #[test]
    fn those_that_are_remembered_are_bounded() {
        let mut offenders = Offenders::default();
        for host in 0..=MOST_OFFENDERS as u32 {
            offenders.sentence(net(host), &POLICY, Tick(host));
        }
        assert_eq!(offenders.known.len(), offenders.due.len());
        assert!(offenders.known.len() <= MOST_OFFENDERS);
        assert!(!offenders.known.contains_key(&net(0)), "the first one goes");
    }
}
