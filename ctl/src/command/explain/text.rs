//! An explanation for people.

use adminapi::model::{
    Connection, CookieWay, DecidingRule, ExplainQuery, Explanation, Fate, ListedView, NextHop,
    Place,
};

/// Why there is no next hop, as drops are named.
const NO_WAY: [&str; 3] = ["no_route", "neighbour_unresolved", "neighbour_silent"];

/// The explanation for people.
pub(in crate::command) fn text(query: &ExplainQuery, found: &Explanation) -> String {
    let rows = [
        ("packet", Some(packet(query))),
        ("fate", Some(fate(found))),
        ("listed", found.listed.as_ref().map(listed)),
        ("rule", found.rule.as_ref().map(rule)),
        ("comes from", found.place.as_ref().map(place)),
        ("service", found.service.map(|id| id.to_string())),
        ("cookies", found.cookies.map(|way| cookies(way, found))),
        ("repeat", found.repeats.then(repeated)),
        ("connection", connection(found)),
        ("persistence", found.template.as_ref().map(template)),
        (
            "scheduler",
            found.scheduler.map(|each| each.name().to_owned()),
        ),
        ("real server", real(found)),
        (
            "method",
            found.method.map(|method| method.name().to_owned()),
        ),
        ("next hop", next_hop(found)),
    ];
    let known = rows
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    known
        .map(|(name, value)| format!("{name:<12} {value}\n"))
        .collect()
}

fn packet(query: &ExplainQuery) -> String {
    let ExplainQuery {
        protocol, from, to, ..
    } = query;
    let through = query.interface.as_deref();
    let through = through.map_or_else(String::new, |name| format!(" on {name}"));
    let flags = query.flags.map(|flags| format!(" ({flags})"));
    let flags = flags.unwrap_or_default();
    format!("{}{flags} {from} -> {to}{through}", protocol.name())
}

/// Why a packet is dropped, if it is.
fn reason(found: &Explanation) -> &str {
    found.reason.as_deref().unwrap_or_default()
}

fn fate(found: &Explanation) -> String {
    match found.fate {
        Fate::Forward => "forwarded".to_owned(),
        Fate::Drop => format!("dropped: {}", reason(found)),
        Fate::Pass => "left to the kernel: no service takes it".to_owned(),
    }
}

fn listed(listed: &ListedView) -> String {
    let why = listed.why.as_ref().map(|why| format!(": {why}"));
    let (list, network) = (listed.list, listed.network);
    let left = listed.left.map(|left| format!(", {left} s left"));
    let by_itself = if listed.automatic { ", by itself" } else { "" };
    let (left, why) = (left.unwrap_or_default(), why.unwrap_or_default());
    format!("{list} {network}{left}{by_itself}{why}")
}

/// The connection that a packet is of, or why it is of none.
fn connection(found: &Explanation) -> Option<String> {
    let known = |connection: &Connection| {
        let (state, expires) = (&connection.state, connection.expires);
        let becomes = found.becomes.as_ref();
        let becomes = becomes.map_or_else(String::new, |to| match to == state {
            true => "; it stays so".to_owned(),
            false => format!("; by this packet {to}, if its numbers fit"),
        });
        format!("{state}, expires in {expires} s{becomes}")
    };
    let left = |left: &Connection| {
        let (state, real, expires) = (&left.state, left.real, left.expires);
        format!(
            "none: it leaves that of its ends behind ({state} to {real}, expires in {expires} s)"
        )
    };
    let once = "none: the datagram is scheduled by itself".to_owned();
    let announced = "none: it opens a data connection that FTP has announced".to_owned();
    let connection = found.connection.as_ref().map(known);
    connection
        .or(found.one_packet.then_some(once))
        .or(found.expected.then_some(announced))
        .or(found.left_behind.as_ref().map(left))
}

fn template(template: &Connection) -> String {
    let (client, real, expires) = (template.client.ip(), template.real, template.expires);
    let call = template.engine_data.as_ref();
    let call = call.map_or_else(String::new, |id| format!(" with {id}"));
    format!("{client}{call} sticks to {real}, expires in {expires} s")
}

fn real(found: &Explanation) -> Option<String> {
    let real = found.real?;
    Some(match found.sorry {
        true => format!("{real}, the sorry server"),
        false => real.to_string(),
    })
}

/// How a packet leaves, or why it cannot.
fn next_hop(found: &Explanation) -> Option<String> {
    let known = |hop: &NextHop| {
        let (interface, station, mtu) = (&hop.interface, &hop.station, hop.mtu);
        format!("{station} on {interface}, MTU {mtu}")
    };
    let reason = reason(found);
    let is_lost = NO_WAY.contains(&reason);
    let hop = found.next_hop.as_ref().map(known);
    hop.or(is_lost.then(|| format!("none: {reason}")))
}

/// What becomes of a SYN first, or why another segment is not taken.
fn cookies(way: CookieWay, found: &Explanation) -> String {
    match reason(found) {
        "bad_cookie" => {
            format!("SYNs are answered first ({way}); this is for nobody who comes back")
        }
        _ => format!("a SYN is answered first ({way}); the rest is for who comes back"),
    }
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
        DecidingRule::RateLimit {
            name,
            source,
            of,
            rate,
        } => {
            let who = source.map_or_else(|| "the service".to_owned(), |source| source.to_string());
            let of = of.name();
            format!("limit {name}: {who} has used up now what it may have at {rate} {of} a second")
        }
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
mod tests;
