use std::collections::{HashMap, HashSet};

use super::*;
use crate::fake::Fake;
use crate::model::{
    CheckCounts, Condition, HealthSource, LastCheck, QueueCondition, RealState, ServiceCondition,
};

fn service(port: usize, reals: usize) -> crate::model::Service {
    let real =
        |n: usize| serde_json::json!({"address": format!("10.1.{}.{}", n / 250, n % 250 + 1)});
    let reals: Vec<_> = (0..reals).map(real).collect();
    let service =
        serde_json::json!({"protocol": "tcp", "address": "10.0.0.1", "port": port, "real": reals});
    serde_json::from_value(service).unwrap()
}

/// The metrics of a page with their samples, each line having been looked at.
fn samples(page: &str) -> HashMap<String, Vec<String>> {
    let mut samples: HashMap<String, Vec<String>> = HashMap::new();
    let mut family = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(!samples.contains_key(name), "{name} comes twice");
            samples.insert(name.to_owned(), Vec::new());
            family = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(
                rest.starts_with("bulwark_") && rest.ends_with('.'),
                "{line}"
            );
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(name, family, "{line}");
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            samples.get_mut(name).unwrap().push(line.to_owned());
        }
    }
    samples
}

#[test]
fn every_sample_stands_below_its_metric_once() {
    let fake = Fake::default();
    fake.add_service(service(80, 2)).unwrap();
    let samples = samples(&expose(&fake).unwrap());
    for lines in samples.values() {
        let labels: HashSet<_> = lines
            .iter()
            .map(|line| line.rsplit_once(' ').unwrap().0)
            .collect();
        assert_eq!(labels.len(), lines.len());
    }
    assert_eq!(
        samples["bulwark_real_connections_total"],
        ["10.1.0.1", "10.1.0.2"].map(|real| format!(
            "bulwark_real_connections_total{{service=\"tcp:10.0.0.1:80\",real=\"{real}:80\"}} 7"
        ))
    );
    assert_eq!(
        samples["bulwark_build_info"],
        ["bulwark_build_info{version=\"1.2.3\"} 1"]
    );
}

#[test]
fn the_health_of_what_is_watched_has_series() {
    let fake = Fake::default();
    fake.add_service(service(80, 2)).unwrap();
    {
        let mut state = fake.state.lock().unwrap();
        let service = &mut state.services[0];
        service.condition = Some(ServiceCondition {
            up: false,
            well: 0,
            quorum: 1,
        });
        service.reals[1].condition = Some(Condition {
            state: RealState::Down,
            since: 1_795_254_979,
            reason: "connection refused".to_owned(),
            source: Some(HealthSource::Check),
            last: Some(LastCheck {
                at: 1_795_254_985,
                took: 20,
                ..LastCheck::default()
            }),
            checks: CheckCounts {
                passed: 40,
                failed: 3,
                took: 1_500,
            },
            downs: 2,
            ..Condition::default()
        });
        // Its agent is asked, and nothing else.
        service.reals[0].condition = Some(Condition {
            weight: 1,
            queue: Some(QueueCondition {
                full: Some(80),
                leaves: 25,
                of: 4,
                ..QueueCondition::default()
            }),
            ..Condition::default()
        });
    }
    let samples = samples(&expose(&fake).unwrap());
    let labels = "{service=\"tcp:10.0.0.1:80\",real=\"10.1.0.2:80\"";
    for (name, labelled) in [
        ("bulwark_real_checks_total", ",result=\"passed\"} 40"),
        ("bulwark_real_checks_total", ",result=\"failed\"} 3"),
        ("bulwark_real_check_seconds_total", "} 1.5"),
        ("bulwark_real_health_downs_total", "} 2"),
        ("bulwark_real_last_check_timestamp_seconds", "} 1795254985"),
        ("bulwark_real_last_check_duration_seconds", "} 0.02"),
        ("bulwark_real_up", "} 0"),
    ] {
        let sample = format!("{name}{labels}{labelled}");
        assert!(samples[name].contains(&sample), "{sample}");
    }
    for (name, count) in [
        ("bulwark_real_checks_total", 2),
        ("bulwark_real_check_seconds_total", 1),
        ("bulwark_real_listen_queue_ratio", 1),
        ("bulwark_real_up", 2),
    ] {
        assert_eq!(samples[name].len(), count, "{name}");
    }
    // One that is down takes no connections, whatever its weight is.
    assert_eq!(
        samples["bulwark_service_reals"],
        ["bulwark_service_reals{service=\"tcp:10.0.0.1:80\"} 1"]
    );
    let info = format!("bulwark_real_health_info{labels},state=\"down\",source=\"check\"}} 1");
    assert_eq!(samples["bulwark_real_health_info"][1], info);
    assert_eq!(
        samples["bulwark_service_up"],
        ["bulwark_service_up{service=\"tcp:10.0.0.1:80\"} 0"]
    );
}

#[test]
fn filters_and_defence_have_series() {
    let fake = Fake::default();
    fake.add_service(service(80, 1)).unwrap();
    let rules = serde_json::json!({
        "limits": [{"name": "syns", "of": "syns", "per": "source", "rate": 5},
                   {"name": "idle", "of": "packets", "per": "source", "rate": 5}],
        "connections": [{"name": "web", "most": 5}],
    });
    fake.put_filter(serde_json::from_value(rules).unwrap())
        .unwrap();
    let filtered = serde_json::json!({
        "listed": {"deny": 3}, "rules": {}, "banned": 2, "over": {"syns": 7, "web": 9},
        "dropped": {"denied": 11, "bogon": 1}, "regions": {"home": {"networks": 4, "dropped": 6}},
    });
    let defense = serde_json::json!({
        "level": 0, "automatic": true, "reason": "", "since": 0, "drop_rate": 0.0, "half_open": 0,
        "half_open_limit": 0, "signals": [], "next": "", "rung": "cookies", "short": "ring",
        "resources": [{"name": "ring", "used": 50.0, "mark": 25.0},
                      {"name": "core", "used": 25.0, "mark": 50.0}],
        "cookies": {"policy": "auto", "active": true, "reason": "", "way": "splice", "able": 0,
                    "reals": 1, "sent": 5, "accepted": 4, "refused": 3},
    });
    {
        let mut state = fake.state.lock().unwrap();
        state.filtered = serde_json::from_value(filtered).unwrap();
        state.defense = serde_json::from_value(defense).unwrap();
    }
    let samples = samples(&expose(&fake).unwrap());
    for (name, want) in [
        (
            "filter_listed_networks",
            &[
                "{list=\"allow\"} 0",
                "{list=\"deny\"} 3",
                "{list=\"black-hole\"} 0",
            ][..],
        ),
        ("filter_banned_networks", &[" 2"]),
        (
            "filter_list_dropped_packets_total",
            &["{list=\"deny\"} 11", "{list=\"black-hole\"} 0"],
        ),
        (
            "filter_limit_dropped_packets_total",
            &["{limit=\"syns\"} 7", "{limit=\"idle\"} 0"],
        ),
        (
            "filter_connection_limit_dropped_packets_total",
            &["{limit=\"web\"} 9"],
        ),
        ("filter_region_networks", &["{region=\"home\"} 4"]),
        (
            "filter_region_dropped_packets_total",
            &["{region=\"home\"} 6"],
        ),
        ("defense_info", &["{rung=\"cookies\"} 1"]),
        (
            "service_defense_info",
            &["{SERVICE,rung=\"cookies\",way=\"splice\"} 1"],
        ),
        (
            "defense_resource_used_ratio",
            &["{resource=\"ring\"} 0.5", "{resource=\"core\"} 0.25"],
        ),
        (
            "defense_resource_mark_ratio",
            &["{resource=\"ring\"} 0.25", "{resource=\"core\"} 0.5"],
        ),
        (
            "defense_resource_short",
            &["{resource=\"ring\"} 1", "{resource=\"core\"} 0"],
        ),
        ("service_cookies_active", &["{SERVICE} 1"]),
        ("service_cookies_sent_total", &["{SERVICE} 5"]),
        ("service_cookies_accepted_total", &["{SERVICE} 4"]),
        ("service_cookies_refused_total", &["{SERVICE} 3"]),
    ] {
        let name = format!("bulwark_{name}");
        let sample = |rest: &&str| {
            let rest = rest.replace("SERVICE", "service=\"tcp:10.0.0.1:80\"");
            format!("{name}{rest}")
        };
        let want: Vec<_> = want.iter().map(sample).collect();
        assert_eq!(samples[&name], want);
    }
}

#[test]
fn series_are_bounded() {
    let fake = Fake::default();
    for port in 1..=SERVICES + 1 {
        fake.add_service(service(port, 11)).unwrap();
    }
    let samples = samples(&expose(&fake).unwrap());
    assert_eq!(samples["bulwark_service_connections_total"].len(), SERVICES);
    assert_eq!(samples["bulwark_real_weight"].len(), REALS);
    assert_eq!(
        samples["bulwark_services"],
        [format!("bulwark_services {}", SERVICES + 1)]
    );
}
