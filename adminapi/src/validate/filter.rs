//! What listings and the other filters must look like.

use std::collections::{HashMap, HashSet};

use crate::error::Problem;
use crate::model::{
    BanPolicy, ConnectionLimit, FilterList, FilterRules, LimitPer, Listed, MAX_SPAN, NetworkQuery,
    RateLimit, Region, ServiceId, StandingListing,
};

/// Judges a listing.
pub fn validate_listed(listing: &Listed) -> Vec<Problem> {
    let mut problems = Vec::new();
    if listing.network.length == 0 && listing.list == FilterList::BlackHole {
        let message = format!("{} would take nothing from anybody", listing.network);
        problems.push(Problem::new("/network", message, "use deny, or a network"));
    }
    if listing
        .seconds
        .is_some_and(|seconds| !(1..=MAX_SPAN).contains(&seconds))
    {
        let mend = format!("use 1 to {MAX_SPAN} seconds, or leave it out for ever");
        problems.push(Problem::new("/for", "is no time", mend));
    }
    let why = listing.why.as_deref().unwrap_or_default();
    if why.len() > Listed::MAX_WHY || why.chars().any(char::is_control) {
        let mend = format!("write one line of {} bytes at most", Listed::MAX_WHY);
        problems.push(Problem::new("/why", "is too long a reason", mend));
    }
    problems
}

/// Judges all networks that the API has listed.
pub fn validate_standing(listed: &[StandingListing]) -> Vec<Problem> {
    if listed.len() > Listed::MAX {
        let message = format!("{} networks are too many", listed.len());
        let mend = format!("list {} at most", Listed::MAX);
        return vec![Problem::new("", message, mend)];
    }
    let (mut problems, mut first) = (Vec::new(), HashMap::new());
    for (index, listing) in listed.iter().enumerate() {
        // Its time may have come, which is no mistake.
        let own = listing
            .at(0)
            .map_or_else(Vec::new, |listed| validate_listed(&listed));
        let own = own.into_iter().filter(|problem| problem.pointer != "/for");
        problems.extend(own.map(|problem| problem.below(&format!("/{index}"))));
        if let Some(first) = first.insert(listing.network, index) {
            let message = format!("{} is listed already", listing.network);
            let problem = Problem::new(format!("/{index}/network"), message, "list it once");
            problems.push(problem.with_other(format!("/{first}/network")));
        }
    }
    problems
}

/// Judges a question for listings.
pub fn validate_network_query(query: &NetworkQuery) -> Vec<Problem> {
    let most = NetworkQuery::MAX_LIMIT;
    let fits = (1..=most).contains(&query.limit);
    let problem = || Problem::new("/limit", "is no size of a page", format!("use 1 to {most}"));
    (!fits).then(problem).into_iter().collect()
}

/// Judges what is filtered besides the lists.
pub fn validate_filter_rules(rules: &FilterRules) -> Vec<Problem> {
    let mut problems = Vec::new();
    let bogons = rules.bogon_networks.as_deref().unwrap_or_default();
    if bogons.len() > FilterRules::MAX_BOGONS {
        let mend = format!("use {} at most", FilterRules::MAX_BOGONS);
        let message = format!("{} bogons are too many", bogons.len());
        problems.push(Problem::new("/bogon_networks", message, mend));
    }
    for (index, name) in rules.loose.iter().enumerate() {
        if rules.strict.contains(name) {
            let message = format!("{name:?} is checked strictly already");
            let problem = Problem::new(format!("/loose/{index}"), message, "name it once");
            problems.push(problem.with_other("/strict"));
        }
    }
    let mut names = HashSet::new();
    problems.extend(validate_each(&rules.limits, &mut names));
    problems.extend(validate_each(&rules.connections, &mut names));
    problems.extend(validate_regions(rules));
    problems
}

/// What rules have lists of.
trait Named {
    /// Where the list stands.
    const LIST: &'static str;
    const KIND: &'static str;
    const MOST: usize;

    fn name(&self) -> &str;

    fn judge(&self) -> Vec<Problem>;
}

impl Named for RateLimit {
    const LIST: &'static str = "/limits";
    const KIND: &'static str = "limit";
    const MOST: usize = Self::MAX;

    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self) -> Vec<Problem> {
        validate_limit(self)
    }
}

impl Named for ConnectionLimit {
    const LIST: &'static str = "/connections";
    const KIND: &'static str = "limit";
    const MOST: usize = RateLimit::MAX;

    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self) -> Vec<Problem> {
        validate_crowd(self)
    }
}

impl Named for Region {
    const LIST: &'static str = "/regions";
    const KIND: &'static str = "region";
    const MOST: usize = Self::MAX;

    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self) -> Vec<Problem> {
        validate_region(self)
    }
}

/// Judges each of a list, whose names are not to be among `names`, to which they are added.
fn validate_each<'a, T: Named>(all: &'a [T], names: &mut HashSet<&'a str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if all.len() > T::MOST {
        let message = format!("{} {}s are too many", all.len(), T::KIND);
        let mend = format!("use {} at most", T::MOST);
        problems.push(Problem::new(T::LIST, message, mend));
    }
    for (index, one) in all.iter().enumerate() {
        let prefix = format!("{}/{index}", T::LIST);
        let own = one.judge().into_iter();
        problems.extend(own.map(|problem| problem.below(&prefix)));
        if !names.insert(one.name()) {
            let message = format!("{:?} is the name of another {}", one.name(), T::KIND);
            let pointer = format!("{prefix}/name");
            problems.push(Problem::new(pointer, message, "use another one"));
        }
    }
    problems
}

fn validate_regions(rules: &FilterRules) -> Vec<Problem> {
    let mut names = HashSet::new();
    let mut problems = validate_each(&rules.regions, &mut names);
    for (index, limit) in rules.limits.iter().enumerate() {
        let unknown = |name: &&String| !names.contains(name.as_str());
        if let Some(name) = limit.region.as_ref().filter(unknown) {
            let pointer = format!("/limits/{index}/region");
            let message = format!("there is no region {name:?}");
            problems.push(Problem::new(pointer, message, "name one of the regions"));
        }
    }
    problems
}

fn validate_region(region: &Region) -> Vec<Problem> {
    let mut problems = Vec::from_iter(validate_name(&region.name, Region::MAX_NAME));
    for (index, code) in region.countries.iter().enumerate() {
        if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let message = format!("{code:?} is no country");
            let mend = "write two capitals, as in \"DE\"";
            problems.push(Problem::new(format!("/countries/{index}"), message, mend));
        }
    }
    for (index, code) in region.continents.iter().enumerate() {
        if !Region::CONTINENTS.contains(&code.as_str()) {
            let message = format!("{code:?} is no continent");
            let mend = format!("use {}", Region::CONTINENTS.join(", "));
            problems.push(Problem::new(format!("/continents/{index}"), message, mend));
        }
    }
    if region.list == Some(FilterList::Allow) {
        let mend = "use deny or black-hole, or leave it out";
        problems.push(Problem::new(
            "/list",
            "a region is not allowed as a whole",
            mend,
        ));
    }
    if region.countries.is_empty() && region.continents.is_empty() && region.asns.is_empty() {
        let mend = "name countries, continents or asns";
        problems.push(Problem::new("", "a region of nothing", mend));
    }
    problems
}

fn validate_name(name: &str, longest: usize) -> Option<Problem> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_name = (1..=longest).contains(&name.len()) && name.chars().all(is_plain);
    let mend = || format!("use letters, digits, - and _, {longest} at most");
    (!is_name).then(|| Problem::new("/name", "is no name", mend()))
}

fn validate_limit(limit: &RateLimit) -> Vec<Problem> {
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

fn validate_kind(limit: &RateLimit) -> Option<Problem> {
    let message = "counts nothing: only TCP has SYNs";
    let mend = "use packets, or name a TCP service";
    let problem = || Problem::new("/of", message, mend);
    limit.counts_nothing().then(problem)
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

fn validate_crowd(limit: &ConnectionLimit) -> Vec<Problem> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LimitOf, LimitPer};

    fn pointers(problems: &[Problem]) -> Vec<&str> {
        problems.iter().map(|p| p.pointer.as_str()).collect()
    }

    fn limit() -> RateLimit {
        RateLimit {
            name: "a".to_owned(),
            of: LimitOf::Syns,
            per: LimitPer::Source,
            rate: 1,
            burst: None,
            prefix_v4: 32,
            prefix_v6: 64,
            service: None,
            region: None,
            ban: None,
        }
    }

    #[test]
    fn bans_and_limits_of_connections_are_judged() {
        let ban = BanPolicy {
            over: 0,
            within: 3601,
            first: 60,
            longest: 59,
            list: FilterList::Allow,
        };
        let rules = FilterRules {
            limits: vec![RateLimit {
                per: LimitPer::Service,
                ban: Some(ban),
                ..limit()
            }],
            connections: vec![ConnectionLimit {
                name: "a".to_owned(),
                most: 0,
                per: LimitPer::Source,
                prefix_v4: 7,
                prefix_v6: 48,
                service: None,
            }],
            ..FilterRules::default()
        };
        assert_eq!(
            pointers(&validate_filter_rules(&rules)),
            [
                "/limits/0/ban/over",
                "/limits/0/ban/within",
                "/limits/0/ban/longest",
                "/limits/0/ban/list",
                "/limits/0/ban",
                "/connections/0/most",
                "/connections/0/prefix_v4",
                "/connections/0/name",
            ]
        );
    }

    #[test]
    fn only_tcp_has_syns_to_count() {
        let limit = |name: &str, of, service: &str| RateLimit {
            of,
            name: name.to_owned(),
            service: Some(service.parse().unwrap()),
            ..self::limit()
        };
        let rules = FilterRules {
            limits: vec![
                limit("a", LimitOf::Syns, "udp:192.0.2.1:53"),
                limit("b", LimitOf::Syns, "tcp:192.0.2.1:53"),
                limit("c", LimitOf::Packets, "udp:192.0.2.2:53"),
                limit("d", LimitOf::Syns, "sctp:192.0.2.1:53"),
            ],
            ..FilterRules::default()
        };
        assert_eq!(
            pointers(&validate_filter_rules(&rules)),
            ["/limits/0/of", "/limits/3/of"]
        );
        let idle = rules.idle_limits().collect::<Vec<_>>();
        assert_eq!(idle, ["a", "d"]);
        let mended = rules.without_idle_limits();
        assert_eq!(mended.limits.len(), 2);
        assert_eq!(validate_filter_rules(&mended), []);
    }

    #[test]
    fn who_shares_by_service_has_no_width() {
        let by_service = RateLimit {
            per: LimitPer::Service,
            ..limit()
        };
        let wide = RateLimit {
            name: "b".to_owned(),
            prefix_v4: 24,
            ..by_service.clone()
        };
        let wider = RateLimit {
            name: "c".to_owned(),
            prefix_v6: 48,
            ..by_service.clone()
        };
        let rules = FilterRules {
            limits: vec![by_service, wide, wider],
            ..FilterRules::default()
        };
        assert_eq!(
            pointers(&validate_filter_rules(&rules)),
            ["/limits/1/prefix_v4", "/limits/2/prefix_v6"]
        );
        let connections = |name: &str, prefix_v6| ConnectionLimit {
            name: name.to_owned(),
            most: 1,
            per: LimitPer::Service,
            prefix_v4: 32,
            prefix_v6,
            service: None,
        };
        let of_connections = FilterRules {
            connections: vec![connections("d", 64), connections("e", 48)],
            ..FilterRules::default()
        };
        assert_eq!(
            pointers(&validate_filter_rules(&of_connections)),
            ["/connections/1/prefix_v6"]
        );
        assert_eq!(rules.idly_wide().collect::<Vec<_>>(), ["b", "c"]);
        let mended = rules.without_idle_widths();
        assert_eq!(validate_filter_rules(&mended), []);
    }

    #[test]
    fn regions_are_judged() {
        let region = |name: &str, countries: &[&str]| Region {
            name: name.to_owned(),
            countries: countries.iter().map(|&code| code.to_owned()).collect(),
            ..Region::default()
        };
        let rules = FilterRules {
            limits: vec![RateLimit {
                region: Some("b".to_owned()),
                ..limit()
            }],
            regions: vec![
                region("a", &["DE", "de"]),
                region("a", &[]),
                Region {
                    continents: vec!["XX".to_owned()],
                    list: Some(FilterList::Allow),
                    ..region("", &["FR"])
                },
            ],
            ..FilterRules::default()
        };
        assert_eq!(
            pointers(&validate_filter_rules(&rules)),
            [
                "/regions/0/countries/1",
                "/regions/1",
                "/regions/1/name",
                "/regions/2/name",
                "/regions/2/continents/0",
                "/regions/2/list",
                "/limits/0/region",
            ]
        );
    }

    #[test]
    fn bad_values_are_named() {
        let bad = RateLimit {
            name: "a b".to_owned(),
            rate: 0,
            burst: Some(0),
            prefix_v4: 33,
            prefix_v6: 1,
            ..limit()
        };
        let rules = FilterRules {
            strict: vec!["eth0".to_owned()],
            loose: vec!["eth1".to_owned(), "eth0".to_owned()],
            limits: vec![limit(), limit(), bad],
            ..FilterRules::default()
        };
        assert_eq!(
            pointers(&validate_filter_rules(&rules)),
            [
                "/loose/1",
                "/limits/1/name",
                "/limits/2/name",
                "/limits/2/rate",
                "/limits/2/burst",
                "/limits/2/prefix_v4",
                "/limits/2/prefix_v6",
            ]
        );
        assert_eq!(validate_filter_rules(&FilterRules::default()), []);
        let listing = Listed {
            network: "0.0.0.0/0".parse().unwrap(),
            list: FilterList::BlackHole,
            seconds: Some(0),
            why: Some("x".repeat(201)),
        };
        let found = validate_listed(&listing);
        assert_eq!(pointers(&found), ["/network", "/for", "/why"]);
        let standing = |until| StandingListing {
            network: listing.network,
            list: FilterList::Deny,
            until,
            why: listing.why.clone(),
        };
        let found = validate_standing(&[standing(None), standing(Some(u64::MAX))]);
        assert_eq!(pointers(&found), ["/0/why", "/1/why", "/1/network"]);
    }
}
