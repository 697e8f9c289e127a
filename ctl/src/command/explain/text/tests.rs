//! What an explanation reads like.

use adminapi::model::{FilterList, ForwardingMethod, LimitOf, Protocol, Scheduler, ServiceId};

use super::*;

#[test]
fn an_explanation_reads_like_this() {
    let query = ExplainQuery {
        protocol: Protocol::Tcp,
        from: "203.0.113.9:1024".parse().unwrap(),
        to: "192.0.2.10:80".parse().unwrap(),
        interface: None,
        call_id: None,
        flags: None,
    };
    let mut found = Explanation {
        fate: Fate::Forward,
        reason: None,
        listed: None,
        rule: None,
        cookies: None,
        repeats: false,
        place: Some(Place {
            country: Some("DE".to_owned()),
            asn: Some(64_500),
            regions: vec!["home".to_owned()],
            ..Place::default()
        }),
        service: Some(ServiceId::at(query.protocol, query.to)),
        connection: None,
        becomes: None,
        left_behind: None,
        template: None,
        one_packet: false,
        expected: false,
        scheduler: Some(Scheduler::Wlc),
        real: Some("10.0.0.11:8080".parse().unwrap()),
        sorry: false,
        method: Some(ForwardingMethod::Nat),
        next_hop: Some(NextHop {
            interface: "eth1".to_owned(),
            station: "02:00:00:00:00:01".to_owned(),
            mtu: 1500,
        }),
    };
    assert_eq!(
        text(&query, &found),
        "\
packet       tcp 203.0.113.9:1024 -> 192.0.2.10:80
fate         forwarded
comes from   DE, AS64500: home
service      tcp:192.0.2.10:80
scheduler    wlc
real server  10.0.0.11:8080
method       nat
next hop     02:00:00:00:00:01 on eth1, MTU 1500
"
    );
    let sorry = Explanation {
        scheduler: None,
        sorry: true,
        ..found.clone()
    };
    let told = text(&query, &sorry);
    assert!(
        told.contains("\nreal server  10.0.0.11:8080, the sorry server\n"),
        "{told}"
    );
    let guarded = Explanation {
        cookies: Some(CookieWay::Splice),
        ..found.clone()
    };
    let told = text(&query, &guarded);
    assert!(
        told.contains("\ncookies      a SYN is answered first (splice);"),
        "{told}"
    );
    let by = |rule| Explanation {
        fate: Fate::Drop,
        rule: Some(rule),
        ..found.clone()
    };
    let on = || "eth0".to_owned();
    for (rule, want) in [
        (
            DecidingRule::ConnectionLimit {
                name: "web".to_owned(),
                source: Some("203.0.113.0/24".parse().unwrap()),
                most: 5,
            },
            "limit web: 203.0.113.0/24 has the 5 connections that it may have",
        ),
        (
            DecidingRule::ConnectionLimit {
                name: "web".to_owned(),
                source: None,
                most: 5,
            },
            "limit web: the service has the 5 connections that it may have",
        ),
        (
            DecidingRule::RateLimit {
                name: "syns".to_owned(),
                source: Some("203.0.113.7".parse().unwrap()),
                of: LimitOf::Syns,
                rate: 5,
            },
            "limit syns: 203.0.113.7 has used up now what it may have at 5 syns a second",
        ),
        (
            DecidingRule::Bogon {
                network: "203.0.113.0/24".parse().unwrap(),
                interface: on(),
            },
            "bogon 203.0.113.0/24 on eth0",
        ),
        (
            DecidingRule::Strict { interface: on() },
            "strict on eth0: an answer would not leave there",
        ),
        (
            DecidingRule::Loose { interface: on() },
            "loose on eth0: no answer could leave",
        ),
        (
            DecidingRule::Region {
                name: "abroad".to_owned(),
                list: FilterList::Deny,
            },
            "region abroad, on the list deny",
        ),
    ] {
        let text = text(&query, &by(rule));
        assert!(text.contains(&format!("\nrule         {want}\n")), "{text}");
    }
    let lost = Explanation {
        fate: Fate::Drop,
        reason: Some("no_route".to_owned()),
        next_hop: None,
        ..found.clone()
    };
    assert!(text(&query, &lost).ends_with("next hop     none: no_route\n"));
    found.template = Some(Connection {
        service: ServiceId::at(query.protocol, query.to),
        protocol: Some(query.protocol),
        template: true,
        client: "203.0.113.0:0".parse().unwrap(),
        vip: query.to,
        real: "10.0.0.11:8080".parse().unwrap(),
        local: None,
        state: "ASSURED".to_owned(),
        expires: 300,
        forwarded: None,
        engine: None,
        engine_data: None,
    });
    assert!(
        text(&query, &found)
            .contains("persistence  203.0.113.0 sticks to 10.0.0.11:8080, expires in 300 s\n")
    );
    found.one_packet = true;
    assert!(
        text(&query, &found).contains("connection   none: the datagram is scheduled by itself\n")
    );
    (found.one_packet, found.expected) = (false, true);
    assert!(
        text(&query, &found)
            .contains("connection   none: it opens a data connection that FTP has announced\n")
    );
    let known = Connection {
        template: false,
        state: "ESTABLISHED".to_owned(),
        ..found.template.clone().unwrap()
    };
    for (becomes, want) in [
        (None, ""),
        (Some("ESTABLISHED"), "; it stays so"),
        (Some("CLOSE"), "; by this packet CLOSE, if its numbers fit"),
    ] {
        let found = Explanation {
            connection: Some(known.clone()),
            becomes: becomes.map(str::to_owned),
            ..found.clone()
        };
        let line = format!("connection   ESTABLISHED, expires in 300 s{want}\n");
        assert!(text(&query, &found).contains(&line), "{line}");
    }
    (found.expected, found.left_behind) = (
        false,
        Some(Connection {
            template: false,
            state: "TIME_WAIT".to_owned(),
            expires: 57,
            ..found.template.clone().unwrap()
        }),
    );
    assert!(text(&query, &found).contains(
        "connection   none: it leaves that of its ends behind \
         (TIME_WAIT to 10.0.0.11:8080, expires in 57 s)\n"
    ));
    let query = ExplainQuery {
        interface: Some("eth0".to_owned()),
        ..query
    };
    assert!(text(&query, &found).contains("-> 192.0.2.10:80 on eth0\n"));
    let query = ExplainQuery {
        flags: Some("ack,syn".parse().unwrap()),
        ..query
    };
    assert!(text(&query, &found).starts_with("packet       tcp (syn,ack) 203.0.113.9:1024 -> "));
    found.cookies = Some(CookieWay::Splice);
    (found.fate, found.reason) = (Fate::Drop, Some("bad_cookie".to_owned()));
    assert!(text(&query, &found).contains(
        "cookies      SYNs are answered first (splice); this is for nobody who comes back\n"
    ));
    (found.fate, found.reason) = (Fate::Drop, Some("no_real".to_owned()));
    assert!(text(&query, &found).contains("fate         dropped: no_real\n"));
}
