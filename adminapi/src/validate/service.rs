//! What a service must look like, by itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::address::{Role, unusable};
use super::{bad_health, validate_real};
use crate::error::Problem;
use crate::model::{
    CookiePolicy, ForwardingMethod, Helper, Persistence, Protocol, RepeatPolicy, Service, ServiceId,
};

/// Judges a service with its real servers.
pub fn validate_service(service: &Service) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(bad_name(service));
    problems.extend(bad_handling(
        service.id,
        service.persistence,
        service.one_packet,
    ));
    problems.extend(twofold_engine(service));
    let reals = service.reals.iter();
    let endpoints = reals.map(|real| real.endpoint(service.id.port()));
    problems.extend(bad_health(service.id, service.health.as_ref(), endpoints));
    problems.extend(bad_cookies(service.id, service.cookies));
    problems.extend(bad_repeats(service.id, service.udp_repeats));
    problems.extend(bad_helper(service.id, service.helper));
    for (index, real) in service.reals.iter().enumerate() {
        let prefix = format!("/real/{index}");
        let all = validate_real(service.id, real).into_iter();
        let all = all.chain(bad_answerless(service.one_packet, real.method));
        problems.extend(all.map(|problem| problem.below(&prefix)));
    }
    let sorry = service
        .health
        .as_ref()
        .and_then(|health| health.sorry.as_ref());
    let answerless = sorry.and_then(|sorry| bad_answerless(service.one_packet, sorry.method));
    problems.extend(answerless.map(|problem| problem.below("/health/sorry")));
    problems.extend(repeated_reals(service));
    problems
}

fn bad_name(service: &Service) -> Vec<Problem> {
    match service.id {
        ServiceId::Address { vip, .. } => {
            let address = unusable(vip.ip(), Role::Vip).map(|p| p.below("/address"));
            address.into_iter().collect()
        }
        ServiceId::Mark { mark: 0, .. } => {
            let message = "mark 0 is that of packets without a mark";
            vec![Problem::new("/fwmark", message, "use 1 to 4294967295")]
        }
        ServiceId::Mark { .. } => Vec::new(),
    }
}

/// Judges how the service `id` treats connections.
pub fn bad_handling(
    id: ServiceId,
    persistence: Option<Persistence>,
    one_packet: bool,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if id.vip().is_some_and(|vip| vip.port() == 0) && persistence.is_none() {
        let message = "a service for every port has to be persistent";
        let mend = "set persistence, or a port from 1 to 65535";
        problems.push(Problem::new("/port", message, mend).with_other("/persistence"));
    }
    problems.extend(persistence.and_then(|persistence| bad_persistence(id, persistence)));
    if one_packet && id.protocol().is_some_and(|p| p != Protocol::Udp) {
        let message = "one-packet scheduling is for UDP";
        problems.push(Problem::new("/one_packet", message, "leave it out"));
    }
    problems
}

/// Judges the method of a real server by how its service treats datagrams. What a director's own address
/// has sent has to come back to it, and a datagram that leaves no connection behind could not be told
/// whose answer that is.
pub fn bad_answerless(one_packet: bool, method: ForwardingMethod) -> Option<Problem> {
    let message = "one-packet scheduling and the method fullnat do not go together";
    let answerless = one_packet && method == ForwardingMethod::FullNat;
    answerless.then(|| Problem::new("/method", message, "use another method"))
}

/// Judges when the SYNs of the service `id` are to be answered with cookies.
pub fn bad_cookies(id: ServiceId, policy: CookiePolicy) -> Option<Problem> {
    let has_port = id.vip().is_some_and(|vip| vip.port() > 0);
    let can = id.protocol() == Some(Protocol::Tcp) && has_port;
    (policy == CookiePolicy::Always && !can).then(|| {
        let message = "cookies are for TCP services with an address and a port";
        Problem::new("/cookies", message, "leave it out")
    })
}

/// Judges when clients of the service `id` are to have to come twice.
pub fn bad_repeats(id: ServiceId, policy: Option<RepeatPolicy>) -> Option<Problem> {
    let has_port = id.vip().is_some_and(|vip| vip.port() > 0);
    let can = id.protocol() == Some(Protocol::Udp) && has_port;
    (policy.is_some() && !can).then(|| {
        let message = "clients come twice to UDP services with an address and a port";
        Problem::new("/udp_repeats", message, "leave it out")
    })
}

/// Judges what is to follow the connections of the service `id`.
pub fn bad_helper(id: ServiceId, helper: Helper) -> Option<Problem> {
    let has_port = id.vip().is_some_and(|vip| vip.port() > 1);
    let can = id.protocol() == Some(Protocol::Tcp) && has_port;
    (helper == Helper::Ftp && !can).then(|| {
        let message = "FTP is followed at TCP services with an address and a port from 2 on";
        Problem::new("/helper", message, "leave it out")
    })
}

fn bad_persistence(id: ServiceId, persistence: Persistence) -> Option<Problem> {
    let (timeout, bits) = (persistence.timeout, id.family().bits());
    if !(1..=Persistence::MAX_TIMEOUT).contains(&timeout) {
        return Some(Problem::new(
            "/persistence/timeout",
            format!("{timeout} seconds is no timeout"),
            format!("use 1 to {}", Persistence::MAX_TIMEOUT),
        ));
    }
    if persistence.engine.is_some() && id.protocol().is_some_and(|p| p != Protocol::Udp) {
        let message = "the persistence engine sip reads SIP over UDP";
        let mend = "make it a UDP service, or leave the engine out";
        return Some(Problem::new("/persistence/engine", message, mend));
    }
    let prefix = persistence.prefix.filter(|prefix| *prefix > bits)?;
    Some(Problem::new(
        "/persistence/prefix",
        format!("an {} address has no {prefix} bits", id.family()),
        format!("use 0 to {bits}"),
    ))
}

/// A service that is persistent has its engine there.
pub fn twofold_engine(service: &Service) -> Option<Problem> {
    let twofold = service.engine.is_some() && service.persistence.is_some();
    twofold.then(|| {
        let message = "the engine of a persistent service is part of its persistence";
        let problem = Problem::new("/engine", message, "name it there");
        problem.with_other("/persistence/engine")
    })
}

fn repeated_reals(service: &Service) -> Vec<Problem> {
    let mut first = HashMap::new();
    let mut problems = Vec::new();
    for (index, real) in service.reals.iter().enumerate() {
        let endpoint = real.endpoint(service.id.port());
        match first.entry(endpoint) {
            Entry::Vacant(free) => {
                free.insert(index);
            }
            Entry::Occupied(taken) => problems.push(
                Problem::new(
                    format!("/real/{index}"),
                    format!("real server {endpoint} is there already"),
                    "remove one; give the other the weight of both",
                )
                .with_other(format!("/real/{}", taken.get())),
            ),
        }
    }
    problems
}
