//! Automatic bans: the gate tells who was over a limit too often, and they are listed for a while.

use adminapi::error::Result;
use adminapi::model::StandingListing;
use tracing::{info, warn};

use super::Director;
use super::filter::Filters;
use super::unix::unix_now;
use crate::filter::{BanPolicy, End, Limit, List, Listing, MOST_BANS};
use crate::gate::Accused;
use crate::time::Ticks;
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
    /// Bans those of whom the gate has told. To be called a few times a second.
    pub fn tend_bans(&self) {
        let accused = match self.gate.filters().accused() {
            Ok(accused) if accused.is_empty() => return,
            Ok(accused) => accused,
            Err(error) => {
                warn!(%error, "nobody is banned by itself");
                return;
            }
        };
        let mut told = Vec::new();
        for accused in &accused {
            match self.ban(accused) {
                Ok(message) => told.extend(message),
                Err(error) => warn!(%error, "a source is not banned"),
            }
        }
        let all = told.len();
        let mut watch = self.watch.lock();
        for message in told.drain(..all.min(MOST_EVENTS)) {
            info!("{message}");
            watch.events.add(unix_now(), "ban", None, message);
        }
        if let more @ 1.. = told.len() {
            let message = format!("{more} more sources are banned");
            info!("{message}");
            watch.events.add(unix_now(), "ban", None, message);
        }
    }

    /// Bans one, unless somebody has said otherwise; what there is to tell of it.
    fn ban(&self, accused: &Accused) -> Result<Option<String>> {
        let now = self.facts.clock.now();
        let mut filters = self.filters.lock();
        let filters = &mut *filters;
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
        self.list_in(filters, net, listing)?;
        Ok(Some(format!("{net} is banned for {seconds} s: {why}")))
    }

    /// Bans for the time that is left whom another daemon has banned, unless somebody has said otherwise.
    pub(super) fn ban_as_before(&self, banned: &[StandingListing]) -> Result<()> {
        let now = unix_now();
        for left in banned.iter().filter_map(|banned| banned.at(now)) {
            let (net, listing) = self.listing(&left);
            let mut filters = self.filters.lock();
            if filters.may_ban(net) {
                let ban = Listing {
                    automatic: true,
                    ..listing
                };
                self.list_in(&mut filters, net, ban)?;
            }
        }
        Ok(())
    }
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
    /// Nobody is banned who is listed, or whom a longer look at the lists lets in.
    fn may_ban(&self, net: Net) -> bool {
        let decided = self.book.decides(net.addr);
        let is_allowed = decided.is_some_and(|(_, listing)| listing.list == List::Allow);
        !is_allowed && self.book.get(net).is_none()
    }
}
