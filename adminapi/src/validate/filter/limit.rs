//! What limits of rates and of connections must look like.

use super::validate_name;
use crate::error::Problem;
use crate::model::{
    BanPolicy, ConnectionLimit, FilterList, LimitPer, MAX_SPAN, RateLimit, ServiceId,
};

pub(super) fn validate_limit(limit: &RateLimit) -> Vec<Problem> {
    let mut problems = Vec::from_iter(validate_name(&limit.name, RateLimit::MAX_NAME));
    let mut refuse = |pointer: &str, message: &str, mend: String| {
        problems.push(Problem::new(pointer, message, mend));
    };
    let numbers = 1..=RateLimit::MAX_RATE;
    let mend = || format!("use 1 to {}", RateLimit::MAX_RATE);
    if !numbers.contains(&limit.rate) {
        refuse("/rate", "is no rate", mend());
    }
    if limit.burst.is_some_and(|burst| !numbers.contains(&burst)) {
        refuse("/burst", "is no burst", mend());
    }
    problems.extend(validate_sources(
        limit.prefix_v4,
        limit.prefix_v6,
        limit.service,
    ));
    problems.extend(validate_widths(limit.is_idly_wide(), limit.prefix_v4));
    problems.extend(validate_kind(limit));
    if let Some(ban) = &limit.ban {
        let of_ban = validate_ban(ban, limit.per).into_iter();
        problems.extend(of_ban.map(|problem| problem.below("/ban")));
    }
    problems
}

fn validate_kind(limit: &RateLimit) -> Option<Problem> {
    let message = "counts nothing: only TCP has SYNs";
    let mend = "use packets, or name a TCP service";
    let problem = || Problem::new("/of", message, mend);
    limit.counts_nothing().then(problem)
}

pub(super) fn validate_crowd(limit: &ConnectionLimit) -> Vec<Problem> {
    let mut problems = Vec::from_iter(validate_name(&limit.name, RateLimit::MAX_NAME));
    if limit.most == 0 {
        let mend = "use 1 or more; the list deny takes none";
        problems.push(Problem::new("/most", "lets nobody in", mend));
    }
    problems.extend(validate_sources(
        limit.prefix_v4,
        limit.prefix_v6,
        limit.service,
    ));
    problems.extend(validate_widths(limit.is_idly_wide(), limit.prefix_v4));
    problems
}

fn validate_sources(v4: u8, v6: u8, service: Option<ServiceId>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !(8..=32).contains(&v4) {
        problems.push(Problem::new("/prefix_v4", "makes no source", "use 8 to 32"));
    }
    if !(16..=128).contains(&v6) {
        problems.push(Problem::new(
            "/prefix_v6",
            "makes no source",
            "use 16 to 128",
        ));
    }
    if matches!(service, Some(ServiceId::Mark { .. })) {
        let mend = "name a service by its address, or leave it out for all";
        problems.push(Problem::new("/service", "has a mark and no address", mend));
    }
    problems
}

/// All sources of a service share its limit, however wide they are: idly so.
fn validate_widths(are_idle: bool, v4: u8) -> Option<Problem> {
    let pointer = match v4 == RateLimit::all_v4() {
        true => "/prefix_v6",
        false => "/prefix_v4",
    };
    let message = "does nothing where all sources share the limit";
    let mend = "leave it out, or set the limit per source";
    let problem = || Problem::new(pointer, message, mend);
    are_idle.then(problem)
}

fn validate_ban(ban: &BanPolicy, per: LimitPer) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut bounded = |pointer: &str, value: u32, most: u32| {
        if !(1..=most).contains(&value) {
            problems.push(Problem::new(
                pointer,
                "is out of bounds",
                format!("use 1 to {most}"),
            ));
        }
    };
    bounded("/over", ban.over, RateLimit::MAX_RATE);
    bounded("/within", ban.within, BanPolicy::MAX_WITHIN);
    bounded("/for", ban.first, MAX_SPAN);
    bounded("/longest", ban.longest, MAX_SPAN);
    if ban.longest < ban.first {
        let mend = format!("use {} or more", ban.first);
        problems.push(Problem::new(
            "/longest",
            "is shorter than the first ban",
            mend,
        ));
    }
    if ban.list == FilterList::Allow {
        problems.push(Problem::new("/list", "is no ban", "use deny or black-hole"));
    }
    if per != LimitPer::Source {
        let mend = "set the limit per source";
        problems.push(Problem::new(
            "",
            "bans sources, which the limit does not know",
            mend,
        ));
    }
    problems
}
