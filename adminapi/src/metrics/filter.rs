//! What the filters have dropped. Limits and regions are known by their names, of which there are few.

use super::text::Family;
use crate::model::{Filter, FilterList, RegionUse};

/// How many networks are on each list.
pub(super) fn listed(filter: &Filter, family: &mut Family<'_>) {
    for list in FilterList::ALL {
        let networks = filter.listed.get(&list).copied().unwrap_or(0);
        family.sample(&[("list", list.name())], networks);
    }
}

/// What each list that drops anything has dropped.
pub(super) fn dropped_by_list(filter: &Filter, family: &mut Family<'_>) {
    for (list, reason) in [
        (FilterList::Deny, "denied"),
        (FilterList::BlackHole, "black_hole"),
    ] {
        let packets = filter.dropped.get(reason).copied().unwrap_or(0);
        family.sample(&[("list", list.name())], packets);
    }
}

/// What was above each limit of a rate.
pub(super) fn over_limits(filter: &Filter, family: &mut Family<'_>) {
    let limits = filter.rules.limits.iter();
    over(filter, limits.map(|limit| &limit.name), family);
}

/// What was above each limit of connections.
pub(super) fn over_connection_limits(filter: &Filter, family: &mut Family<'_>) {
    let limits = filter.rules.connections.iter();
    over(filter, limits.map(|limit| &limit.name), family);
}

fn over<'a>(filter: &Filter, names: impl Iterator<Item = &'a String>, family: &mut Family<'_>) {
    for name in names {
        let packets = filter.over.get(name).copied().unwrap_or(0);
        family.sample(&[("limit", name)], packets);
    }
}

/// A figure of each region.
pub(super) fn regions(filter: &Filter, family: &mut Family<'_>, figure: fn(&RegionUse) -> u64) {
    for (name, region) in &filter.regions {
        family.sample(&[("region", name)], figure(region));
    }
}
