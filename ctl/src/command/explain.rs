//! `bulwark explain`.

use std::net::SocketAddr;

use adminapi::model::{CookieWay, DecidingRule, ExplainQuery, Explanation, Fate, Place, Protocol};
use clap::Args;

use super::value::{endpoint, sctp, tcp, udp};

/// A packet.
#[derive(Debug, Args)]
pub(super) struct Line {
    #[command(flatten)]
    to: To,
    /// Who sends it.
    #[arg(long, value_name = "IP:PORT", value_parser = endpoint)]
    from: SocketAddr,
    /// The interface that it comes in through, for rules that ask; else the director's first.
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// The Call-ID of the SIP message that it is, for services with the persistence engine sip.
    #[arg(long, value_name = "CALL-ID")]
    call_id: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// A TCP segment to VIP:PORT.
    #[arg(short = 't', long, value_name = "VIP:PORT", value_parser = tcp)]
    tcp_service: Option<SocketAddr>,
    /// A UDP datagram to VIP:PORT.
    #[arg(short = 'u', long, value_name = "VIP:PORT", value_parser = udp)]
    udp_service: Option<SocketAddr>,
    /// An SCTP packet to VIP:PORT.
    #[arg(long, value_name = "VIP:PORT", value_parser = sctp)]
    sctp_service: Option<SocketAddr>,
}

impl Line {
    /// What the director is asked.
    pub(super) fn query(&self) -> Option<ExplainQuery> {
        let ends = [
            (Protocol::Tcp, self.to.tcp_service),
            (Protocol::Udp, self.to.udp_service),
            (Protocol::Sctp, self.to.sctp_service),
        ];
        let (protocol, to) = ends.into_iter().find_map(|(p, to)| Some((p, to?)))?;
        Some(ExplainQuery {
            protocol,
            from: self.from,
            to,
            interface: self.interface.clone(),
            call_id: self.call_id.clone(),
        })
    }
}

/// Why there is no next hop, as drops are named.
const NO_WAY: [&str; 3] = ["no_route", "neighbour_unresolved", "neighbour_silent"];

/// The explanation for people.
pub(super) fn text(query: &ExplainQuery, found: &Explanation) -> String {
    let ExplainQuery {
        protocol, from, to, ..
    } = query;
    let through = query.interface.as_deref();
    let through = through.map_or_else(String::new, |name| format!(" on {name}"));
    let reason = found.reason.as_deref().unwrap_or_default();
    let fate = match found.fate {
        Fate::Forward => "forwarded".to_owned(),
        Fate::Drop => format!("dropped: {reason}"),
        Fate::Pass => "left to the kernel: no service takes it".to_owned(),
    };
    let once = "none: the datagram is scheduled by itself".to_owned();
    let connection = found.connection.as_ref().map(|connection| {
        let (state, expires) = (&connection.state, connection.expires);
        format!("{state}, expires in {expires} s")
    });
    let left = found.left_behind.as_ref().map(|left| {
        let (state, real, expires) = (&left.state, left.real, left.expires);
        format!(
            "none: it leaves that of its ends behind ({state} to {real}, expires in {expires} s)"
        )
    });
    let announced = "none: it opens a data connection that FTP has announced".to_owned();
    let connection = connection
        .or(found.one_packet.then_some(once))
        .or(found.expected.then_some(announced))
        .or(left);
    let template = found.template.as_ref().map(|template| {
        let (client, real, expires) = (template.client.ip(), template.real, template.expires);
        let call = template.engine_data.as_ref();
        let call = call.map_or_else(String::new, |id| format!(" with {id}"));
        format!("{client}{call} sticks to {real}, expires in {expires} s")
    });
    let hop = found.next_hop.as_ref().map(|hop| {
        let (interface, station, mtu) = (&hop.interface, &hop.station, hop.mtu);
        format!("{station} on {interface}, MTU {mtu}")
    });
    let is_lost = NO_WAY.contains(&reason);
    let hop = hop.or(is_lost.then(|| format!("none: {reason}")));
    let listed = found.listed.as_ref().map(|listed| {
        let why = listed.why.as_ref().map(|why| format!(": {why}"));
        let (list, network) = (listed.list, listed.network);
        let left = listed.left.map(|left| format!(", {left} s left"));
        let by_itself = if listed.automatic { ", by itself" } else { "" };
        let (left, why) = (left.unwrap_or_default(), why.unwrap_or_default());
        format!("{list} {network}{left}{by_itself}{why}")
    });
    let rows = [
        (
            "packet",
            Some(format!("{} {from} -> {to}{through}", protocol.name())),
        ),
        ("fate", Some(fate)),
        ("listed", listed),
        ("rule", found.rule.as_ref().map(rule)),
        ("comes from", found.place.as_ref().map(place)),
        ("service", found.service.map(|id| id.to_string())),
        ("cookies", found.cookies.map(answered)),
        ("repeat", found.repeats.then(repeated)),
        ("connection", connection),
        ("persistence", template),
        (
            "scheduler",
            found.scheduler.map(|each| each.name().to_owned()),
        ),
        (
            "real server",
            found.real.map(|real| match found.sorry {
                true => format!("{real}, the sorry server"),
                false => real.to_string(),
            }),
        ),
        (
            "method",
            found.method.map(|method| method.name().to_owned()),
        ),
        ("next hop", hop),
    ];
    let known = rows
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    known
        .map(|(name, value)| format!("{name:<12} {value}\n"))
        .collect()
}

/// What becomes of a SYN first.
fn answered(way: CookieWay) -> String {
    format!("a SYN is answered first ({way}); the rest is for who comes back")
}

/// What becomes of a client's first datagram.
fn repeated() -> String {
    "a first datagram is dropped, unless its client is known; the rest is for the next one"
        .to_owned()
}

/// The rule by which a packet is dropped.
fn rule(rule: &DecidingRule) -> String {
    match rule {
        DecidingRule::ConnectionLimit { name, source, most } => match source {
            Some(source) => {
                format!("limit {name}: {source} has the {most} connections that it may have")
            }
            None => {
                format!("limit {name}: the service has the {most} connections that it may have")
            }
        },
        DecidingRule::Bogon { network, interface } => format!("bogon {network} on {interface}"),
        DecidingRule::Strict { interface } => {
            format!("strict on {interface}: an answer would not leave there")
        }
        DecidingRule::Loose { interface } => {
            format!("loose on {interface}: no answer could leave")
        }
        DecidingRule::Region { name, list } => format!("region {name}, on the list {list}"),
    }
}

fn place(place: &Place) -> String {
    let Place {
        country,
        continent,
        asn,
        regions,
    } = place;
    let asn = asn.map(|asn| format!("AS{asn}"));
    let known = [country.as_ref(), continent.as_ref(), asn.as_ref()];
    let known: Vec<&str> = known.into_iter().flatten().map(String::as_str).collect();
    let known = match known.is_empty() {
        true => "nobody knows where".to_owned(),
        false => known.join(", "),
    };
    match regions.is_empty() {
        true => known,
        false => format!("{known}: {}", regions.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use adminapi::model::{
        Connection, FilterList, ForwardingMethod, NextHop, Scheduler, ServiceId,
    };

    use super::*;

    #[test]
    fn an_explanation_reads_like_this() {
        let query = ExplainQuery {
            protocol: Protocol::Tcp,
            from: "203.0.113.9:1024".parse().unwrap(),
            to: "192.0.2.10:80".parse().unwrap(),
            interface: None,
            call_id: None,
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
            text(&query, &found)
                .contains("connection   none: the datagram is scheduled by itself\n")
        );
        (found.one_packet, found.expected) = (false, true);
        assert!(
            text(&query, &found)
                .contains("connection   none: it opens a data connection that FTP has announced\n")
        );
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
        (found.fate, found.reason) = (Fate::Drop, Some("no_real".to_owned()));
        assert!(text(&query, &found).contains("fate         dropped: no_real\n"));
    }
}
