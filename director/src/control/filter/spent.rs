//! What is used up of limits of connections in a second, for the next daemon to go on with.

use std::collections::BTreeMap;

use adminapi::model::ServiceId;

use crate::control::{Director, translate};
use crate::filter::{Left, Sharer, Tokens};
use crate::keep::{LimitTally, SharedBy, SharerTally};

/// Sharers that are remembered at most, those that have least left.
const SHARERS: usize = 4096;

impl Director {
    /// What is used up of each limit.
    pub(in crate::control) fn limits_spent(&self) -> Vec<LimitTally> {
        let filters = self.filters.lock();
        let mut sharers: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for left in self.shared.pool.load().paces().left(SHARERS) {
            sharers.entry(left.limit).or_default().push(tally(&left));
        }
        let told = sharers.into_iter().filter_map(|(number, sharers)| {
            let limit = filters.wanted.limits.get(number)?.clone();
            Some(LimitTally { limit, sharers })
        });
        told.collect()
    }

    /// Goes on with what was used up of the limits that are still the same.
    pub(in crate::control) fn spend_on(&self, tallies: &[LimitTally]) {
        let filters = self.filters.lock();
        let paces = self.shared.pool.load();
        for LimitTally { limit, sharers } in tallies {
            let mut limits = filters.wanted.limits.iter();
            if let Some(number) = limits.position(|wanted| wanted == limit) {
                let left = sharers.iter().filter_map(|sharer| left(number, sharer));
                paces.paces().go_on(left);
            }
        }
    }
}

fn tally(left: &Left) -> SharerTally {
    let Tokens { full, since, over } = left.tokens;
    SharerTally {
        sharer: match left.sharer {
            Sharer::Source(addr) => SharedBy::Source(addr.into()),
            Sharer::Service(protocol, end) => {
                let protocol = translate::api_protocol(protocol);
                SharedBy::Service(ServiceId::at(protocol, end.into()))
            }
        },
        full,
        since,
        over,
    }
}

/// None of who shares no limit.
fn left(limit: usize, tally: &SharerTally) -> Option<Left> {
    let sharer = match tally.sharer {
        SharedBy::Source(addr) => Sharer::Source(addr.into()),
        SharedBy::Service(ServiceId::Address { protocol, vip }) => {
            Sharer::Service(translate::protocol(protocol), vip.into())
        }
        SharedBy::Service(ServiceId::Mark { .. }) => return None,
    };
    let SharerTally {
        full, since, over, ..
    } = *tally;
    let tokens = Tokens { full, since, over };
    Some(Left {
        limit,
        sharer,
        tokens,
    })
}
