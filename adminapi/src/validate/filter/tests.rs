use super::*;
use crate::model::{BanPolicy, FilterList, LimitOf, LimitPer, Listed, StandingListing};

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
