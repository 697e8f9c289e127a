use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

/// `value` reads as a `T` that writes as `written`.
fn reads_as<T: DeserializeOwned + serde::Serialize>(value: Value, written: Value) {
    let read: T = serde_json::from_value(value).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), written);
}

/// Why `value` is no `T`.
fn refusal<T: DeserializeOwned + std::fmt::Debug>(value: Value) -> String {
    serde_json::from_value::<T>(value).unwrap_err().to_string()
}

#[test]
fn a_service_fills_in_its_defaults() {
    reads_as::<Service>(
        json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80,
               "real": [{"address": "10.0.2.1"}]}),
        json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80, "scheduler": "wlc",
               "real": [{"address": "10.0.2.1", "weight": 1, "method": "nat"}]}),
    );
}

#[test]
fn what_gets_packets_for_the_vip_has_its_port() {
    let (every, none) = (Some(0), None);
    for (method, own, service, port) in [
        (ForwardingMethod::Nat, Some(8080), Some(80), 8080),
        (ForwardingMethod::Nat, Some(8080), every, 8080),
        (ForwardingMethod::FullNat, Some(8080), every, 8080),
        (ForwardingMethod::Nat, None, Some(80), 80),
        (ForwardingMethod::Dr, Some(8080), Some(80), 80),
        (ForwardingMethod::Dr, Some(8080), every, 0),
        (ForwardingMethod::Tun, Some(8080), every, 0),
        (ForwardingMethod::Dr, None, every, 0),
        (ForwardingMethod::Dr, Some(8080), none, 8080),
        (ForwardingMethod::Tun, None, none, 0),
    ] {
        let real = json!({"address": "10.0.2.1", "port": own, "method": method});
        let real: Real = serde_json::from_value(real).unwrap();
        let what = format!("{method:?} {own:?} {service:?}");
        assert_eq!(real.endpoint(service).port(), port, "{what}");
    }
}

#[test]
fn reals_is_another_name_of_real() {
    reads_as::<Service>(
        json!({"protocol": "udp", "address": "2001:db8::1", "port": 53, "scheduler": "rr",
               "reals": [{"address": "2001:db8::2", "port": 5353, "weight": 0}]}),
        json!({"protocol": "udp", "address": "2001:db8::1", "port": 53, "scheduler": "rr",
               "real": [{"address": "2001:db8::2", "port": 5353, "weight": 0, "method": "nat"}]}),
    );
}

#[test]
fn what_a_client_sends_refuses_unknown_fields() {
    let service = json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80, "shed": "rr"});
    assert!(refusal::<Service>(service).contains("unknown field `shed`"));
    assert!(refusal::<RealPatch>(json!({"wieght": 1})).contains("unknown field `wieght`"));
    assert!(refusal::<ServicePatch>(json!({"port": 1})).contains("unknown field `port`"));
    assert!(refusal::<TimeoutsPatch>(json!({"icmp": 1})).contains("unknown field `icmp`"));
    assert!(refusal::<Real>(json!({"address": "10.0.0.1", "x": 1})).contains("unknown field `x`"));
}

#[test]
fn what_a_director_answers_may_grow() {
    let stats = json!({"connections": 1, "in_packets": 2, "out_packets": 3, "in_bytes": 4,
                       "out_bytes": 5, "later": 6});
    assert_eq!(
        serde_json::from_value::<Traffic>(stats).unwrap().out_bytes,
        5
    );
}

#[test]
fn null_is_what_is_left_out() {
    for word in ["tcp", "tcpfin", "udp"] {
        let refused = refusal::<TimeoutsPatch>(json!({word: null}));
        assert!(refused.contains("invalid type: null"), "{refused}");
    }
    assert!(refusal::<RealPatch>(json!({"drain": null})).contains("invalid type: null"));
    reads_as::<RealPatch>(json!({}), json!({}));
    reads_as::<RealPatch>(json!({"weight": 0}), json!({"weight": 0}));
    let given = json!({"weight": 7, "upper": 9, "check": {"type": "tcp"}, "method": "tun",
                       "tun": {"type": "gre"}, "address": "10.0.2.1", "lower": 3});
    let mut plain = given.clone();
    let fields = plain.as_object_mut().unwrap();
    let nulls = ["weight", "upper", "lower", "check", "method", "tun"];
    nulls.iter().for_each(|field| drop(fields.remove(*field)));
    let patch = nulls.map(|n| (n.to_owned(), Value::Null)).into_iter();
    let patch = serde_json::from_value::<RealPatch>(patch.collect());
    let given: Real = serde_json::from_value(given).unwrap();
    let plain: Real = serde_json::from_value(plain).unwrap();
    assert_eq!(patch.unwrap().applied(&given), Ok(plain));
}

#[test]
fn a_status_has_the_names_of_the_documentation() {
    reads_as::<Status>(
        json!({
            "version": "0.1.0", "uptime": 5,
            "interfaces": [{"name": "eth0", "ifindex": 2, "mode": "zero-copy", "queues": 4,
                            "rx": 12, "passed": 1, "redirected": 8, "answered": 0, "dropped": 1,
                            "forwarded": 2, "fast_path": false, "slow_because": "it is down",
                            "loses_because": "2 transmit queues"}],
            "workers": [{"id": 0, "cpu": 1, "received": 8, "from_host": 0, "sent": 7, "dropped": 1, "missed": 0, "answered": 0, "routed": 0,
                         "frames": {"total": 16, "free": 4, "filling": 8, "sending": 4}}],
            "drops": {"no_real": 1},
            "connections": {"entries": 3, "half_open": 1, "limit": 100, "half_open_limit": 25,
                            "bytes": 12800},
            "fast_path": {"flows": 1, "limit": 64, "refused": 0, "bytes": 9000},
            "level": 0
        }),
        json!({
            "version": "0.1.0", "uptime": 5,
            "interfaces": [{"name": "eth0", "ifindex": 2, "mode": "zero-copy", "queues": 4,
                            "rx": 12, "passed": 1, "redirected": 8, "answered": 0, "dropped": 1,
                            "forwarded": 2, "fast_path": false, "slow_because": "it is down",
                            "loses_because": "2 transmit queues"}],
            "workers": [{"id": 0, "cpu": 1, "received": 8, "from_host": 0, "sent": 7, "dropped": 1, "missed": 0, "answered": 0, "routed": 0,
                         "frames": {"total": 16, "free": 4, "filling": 8, "sending": 4}}],
            "drops": {"no_real": 1},
            "connections": {"entries": 3, "half_open": 1, "limit": 100, "half_open_limit": 25,
                            "bytes": 12800},
            "fast_path": {"flows": 1, "limit": 64, "refused": 0, "bytes": 9000}
        }),
    );
}

#[test]
fn names_of_modes_are_those_on_the_wire() {
    for mode in [XdpMode::ZeroCopy, XdpMode::Copy, XdpMode::Generic] {
        assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
    }
    for scheduler in Scheduler::ALL {
        assert_eq!(serde_json::to_value(scheduler).unwrap(), scheduler.name());
    }
    for flag in SchedulerFlag::ALL {
        assert_eq!(serde_json::to_value(flag).unwrap(), flag.name());
    }
}

#[test]
fn a_cursor_is_a_word_in_hex() {
    for cursor in [0, 1, u64::MAX].map(Cursor) {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    for text in ["", "+1", "-1", "x", "10000000000000000"] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
}

#[test]
fn flags_are_a_set_in_a_fixed_order() {
    let flags = [SchedulerFlag::Port, SchedulerFlag::Fallback];
    let set: SchedulerFlags = flags.into_iter().collect();
    assert_eq!(
        serde_json::to_value(set).unwrap(),
        json!(["fallback", "port"])
    );
    let read: SchedulerFlags = serde_json::from_value(json!(["port", "fallback", "port"])).unwrap();
    assert_eq!(read, set);
    assert!(!set.has(SchedulerFlag::Third) && set.has(SchedulerFlag::Port));
}

#[test]
fn files_of_filters_are_told_apart_by_what_others_name() {
    let named = |country: Option<&str>, asn: Option<&str>| FilterRules {
        country_file: country.map(str::to_owned),
        asn_file: asn.map(str::to_owned),
        ..FilterRules::default()
    };
    let other = named(Some("/c"), None);
    for (rules, with, without, gone) in [
        (
            named(None, None),
            named(Some("/c"), None),
            named(None, None),
            named(Some(""), None),
        ),
        (
            named(Some("/c"), Some("/a")),
            named(Some("/c"), Some("/a")),
            named(None, Some("/a")),
            named(Some("/c"), Some("/a")),
        ),
        (
            named(Some(""), None),
            named(Some(""), None),
            named(Some(""), None),
            named(Some(""), None),
        ),
    ] {
        assert_eq!(rules.clone().with_files_of(&other), with);
        assert_eq!(rules.clone().without_files_of(&other), without);
        assert_eq!(rules.without_files_gone(&other), gone);
    }
}
