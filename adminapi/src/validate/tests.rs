use serde_json::{Value, json};

use super::*;
use crate::model::{Real, Service, Timeouts, TimeoutsPatch};

fn service(value: Value) -> Service {
    serde_json::from_value(value).unwrap()
}

fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(Problem::to_string).collect()
}

fn good() -> Value {
    json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80, "udp_repeats": null, "real": [
        {"address": "10.0.2.1", "weight": 1, "upper": 0, "lower": 0},
        {"address": "10.0.2.1", "port": 8080},
        {"address": "10.0.0.1", "port": 8081}, {"address": "10.0.2.2", "weight": 2147483647}]})
}

#[test]
fn a_good_service_has_no_problems() {
    assert_eq!(told(&validate_service(&service(good()))), [""; 0]);
}

/// The first of `good` with one value replaced, and what is said about it.
#[test]
fn each_bad_value_is_named() {
    let table = [
        (
            "/port",
            json!(0),
            "/port: a service for every port has to be persistent (see /persistence); set persistence, or a port from 1 to 65535",
        ),
        (
            "/address",
            json!("0.0.0.0"),
            "/address: 0.0.0.0 is an unspecified address and cannot be a VIP; name one host",
        ),
        (
            "/address",
            json!("127.0.0.1"),
            "/address: 127.0.0.1 is a loopback address and cannot be a VIP; \
             packets with it never leave a host; use one that the network routes",
        ),
        (
            "/real/1/address",
            json!("224.0.0.1"),
            "/real/1/address: 224.0.0.1 is a multicast address and cannot be the address of a \
             real server; name one host",
        ),
        (
            "/real/1/address",
            json!("255.255.255.255"),
            "/real/1/address: 255.255.255.255 is a broadcast address and cannot be the address \
             of a real server; name one host",
        ),
        (
            "/udp_repeats",
            json!("off"),
            "/udp_repeats: clients come twice to UDP services with an address and a port; \
             leave it out",
        ),
        (
            "/real/0/weight",
            json!(2_147_483_648_u32),
            "/real/0/weight: weight 2147483648 is too large; use 0 to 2147483647",
        ),
        (
            "/real/0/upper",
            json!(2_147_483_648_u32),
            "/real/0/upper: threshold 2147483648 is too large; use 0 to 2147483647",
        ),
        (
            "/real/0/lower",
            json!(5),
            "/real/0/lower: lower threshold 5 is above the upper one, 0 (see /real/0/upper); \
             set both, the lower one at most as large",
        ),
        (
            "/real/1/port",
            json!(0),
            "/real/1/port: port 0 is no port; use 1 to 65535",
        ),
        (
            "/real/1/port",
            json!(80),
            "/real/1: real server 10.0.2.1:80 is there already (see /real/0); \
             remove one; give the other the weight of both",
        ),
        (
            "/real/2/port",
            json!(80),
            "/real/2/address: real server 10.0.0.1:80 is the service itself; \
             name the server's own address",
        ),
        (
            "/real/3/address",
            json!("2001:db8::1"),
            "/real/3/address: 2001:db8::1 is IPv6, the VIP 10.0.0.1 is IPv4; \
             only a tunnel leads to another address family; set the method tun",
        ),
    ];
    for (pointer, value, expected) in table {
        let mut bad = good();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert_eq!(told(&validate_service(&service(bad))), [expected]);
    }
}

#[test]
fn addresses_of_ipv6_that_cannot_be() {
    for (address, why) in [
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("ff02::1", "multicast"),
        ("fe80::1", "link-local"),
        ("::ffff:10.0.0.1", "IPv4-mapped"),
    ] {
        let bad = service(json!({"protocol": "udp", "address": address, "port": 53}));
        let problems = validate_service(&bad);
        assert_eq!(problems.len(), 1, "{address}");
        assert_eq!(problems[0].pointer, "/address");
        assert!(problems[0].message.contains(why), "{}", problems[0]);
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let mut bad = good();
    bad["port"] = json!(0);
    bad["real"][0]["weight"] = json!(u32::MAX);
    bad["real"][1]["address"] = json!("ff02::1");
    let problems = validate_service(&service(bad));
    let pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
    let expected = [
        "/port",
        "/real/0/weight",
        "/real/1/address",
        "/real/1/address",
    ];
    assert_eq!(pointers, expected);
}

#[test]
fn services_of_a_configuration_are_judged_together() {
    let udp = json!({"protocol": "udp", "address": "10.0.0.1", "port": 80});
    let chained = json!({"protocol": "tcp", "address": "10.0.0.9", "port": 80,
                         "real": [{"address": "10.0.2.9"}, {"address": "10.0.0.1"}]});
    let services = [good(), udp, good(), chained].map(service);
    assert_eq!(
        told(&validate_config(&services)),
        [
            "/service/2: service tcp:10.0.0.1:80 is there already (see /service/0); \
             put all its real servers into one",
            "/service/3/real/1/address: real server 10.0.0.1:80 is a virtual service of this \
             director (see /service/0); name real servers of that service instead",
        ]
    );
}

#[test]
fn timeouts_have_bounds() {
    let patch = |tcp, udp| TimeoutsPatch {
        tcp: Some(tcp),
        udp: Some(udp),
        tcpfin: None,
    };
    assert_eq!(validate_timeouts(patch(1, Timeouts::MAX)), []);
    assert_eq!(
        told(&validate_timeouts(patch(0, Timeouts::MAX + 1))),
        [
            "/tcp: 0 seconds is no timeout; use 1 to 2678400",
            "/udp: 2678401 seconds is no timeout; use 1 to 2678400",
        ]
    );
}

/// A real server of 10.0.0.1:80, and what is said about it.
#[test]
fn methods_and_tunnels_fit_together() {
    let id = service(good()).id;
    for (real, expected) in [
        (
            json!({"address": "10.0.2.1", "method": "dr", "port": 8080}),
            "",
        ),
        (json!({"address": "10.0.2.1", "method": "tun"}), ""),
        (json!({"address": "2001:db8::1", "method": "tun"}), ""),
        (
            json!({"address": "10.0.2.1", "method": "tun", "tun": {"type": "gre", "checksum": "csum"}}),
            "",
        ),
        (
            json!({"address": "10.0.2.1", "method": "tun",
                   "tun": {"type": "gue", "port": 6081, "checksum": "remcsum"}}),
            "",
        ),
        (
            json!({"address": "2001:db8::1", "method": "dr"}),
            "/address: 2001:db8::1 is IPv6, the VIP 10.0.0.1 is IPv4; \
             only a tunnel leads to another address family; set the method tun",
        ),
        (
            json!({"address": "10.0.2.1", "tun": {}}),
            "/tun: no tunnel leads there: the method is nat; set the method tun, or leave tun out",
        ),
        (
            json!({"address": "10.0.2.1", "method": "tun", "tun": {"checksum": "csum"}}),
            "/tun/checksum: ipip has no checksum csum; use none",
        ),
        (
            json!({"address": "10.0.2.1", "method": "tun", "tun": {"type": "gre", "checksum": "remcsum"}}),
            "/tun/checksum: gre has no checksum remcsum; use none or csum",
        ),
        (
            json!({"address": "10.0.2.1", "method": "tun", "tun": {"type": "gre", "port": 1}}),
            "/tun/port: gre has no port; leave it out",
        ),
        (
            json!({"address": "10.0.2.1", "method": "tun", "tun": {"type": "gue", "port": 0}}),
            "/tun/port: port 0 is no port; use 1 to 65535",
        ),
    ] {
        let read: Real = serde_json::from_value(real.clone()).unwrap();
        let said = told(&validate_real(id, &read)).join("\n");
        assert_eq!(said, expected, "{real}");
    }
}

#[test]
fn no_datagram_is_lost_sight_of_that_an_address_of_the_directors_has_sent() {
    let fullnat = |address: &str| json!({"address": address, "method": "fullnat"});
    let judged = |one_packet: bool| {
        let value = json!({"protocol": "udp", "address": "10.0.0.1", "port": 53, "scheduler": "rr",
            "one_packet": one_packet, "reals": [{"address": "10.0.2.1"}, fullnat("10.0.2.2")],
            "health": {"sorry": fullnat("10.0.2.3")}});
        let problems = validate_service(&service(value));
        let pointers = problems.into_iter().map(|problem| problem.pointer);
        pointers.collect::<Vec<_>>()
    };
    assert_eq!(judged(false), Vec::<String>::new());
    assert_eq!(judged(true), ["/real/1/method", "/health/sorry/method"]);
}

#[test]
fn a_change_of_thresholds_is_judged_as_far_as_it_says() {
    let judge = |patch: Value| {
        let patch = serde_json::from_value(patch).unwrap();
        told(&validate_real_patch(&patch)).len()
    };
    assert_eq!(judge(json!({"upper": 2})), 0);
    assert_eq!(judge(json!({"lower": 2})), 0);
    assert_eq!(judge(json!({"upper": 2, "lower": 2})), 0);
    assert_eq!(judge(json!({"upper": 2, "lower": 3})), 1);
    assert_eq!(judge(json!({"upper": 0, "lower": 3})), 1);
    assert_eq!(judge(json!({"lower": 3_000_000_000_u32})), 1);
}

#[test]
fn an_engine_stands_in_one_place() {
    let mut value = json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80, "engine": "sip"});
    assert_eq!(told(&validate_service(&service(value.clone()))), [""; 0]);
    value["persistence"] = json!({"timeout": 60});
    let problem = "/engine: the engine of a persistent service is part of its persistence \
                   (see /persistence/engine); name it there";
    assert_eq!(told(&validate_service(&service(value))), [problem]);
}

/// RFC 6901, section 3.
#[test]
fn a_name_in_a_pointer_is_escaped() {
    let config = json!({"sysctls": {"net/ipv4~vs": 1}});
    let config = serde_json::from_value(config).unwrap();
    let problems = validate_whole(&config);
    let pointers: Vec<_> = problems.iter().map(|problem| &*problem.pointer).collect();
    assert_eq!(pointers, ["/sysctls/net~1ipv4~0vs"]);
}

#[test]
fn a_sysctl_has_one_value_whatever_it_is_called() {
    let config = json!({"sysctls": {"drop_entry": 1, "drop_packet": 0,
        "net.ipv4.vs.drop_packet": 1, "net/ipv4/vs/drop_packet": 2}});
    let problems = validate_whole(&serde_json::from_value(config).unwrap());
    let twice =
        "net.ipv4.vs.drop_packet is there already (see /sysctls/drop_packet); leave one out";
    let want = ["net.ipv4.vs.drop_packet", "net~1ipv4~1vs~1drop_packet"]
        .map(|name| format!("/sysctls/{name}: {twice}"));
    assert_eq!(told(&problems), want);
}
