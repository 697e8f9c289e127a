//! What a service must look like to work: one judgement for the API and the configuration file.
//!
//! Every function returns all problems, not only the first. Pointers are relative to what was
//! given: `/real/0/weight` for a service, `/service/2/real/0/weight` for a configuration.

mod filter;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

mod health;

use crate::error::Problem;
use crate::model::{
    Change, Configuration, ConnectionQuery, CookiePolicy, DefenseLevel, ExplainQuery, Family,
    ForwardingMethod, Levels, MAX_SPAN, MarkRule, Persistence, Prefix, Protocol, Real, RealPatch,
    RealView, Service, ServiceId, SyncDaemon, Timeouts, TimeoutsPatch, TunnelChecksum, TunnelType,
};
use crate::sysctl::{Sysctl, Value};

pub use filter::{
    validate_filter_rules, validate_listed, validate_network_query, validate_standing,
};
pub use health::{bad_check, bad_health};

/// The largest weight: `ipvsadm -w` reads a signed 32-bit number.
pub const MAX_WEIGHT: u32 = i32::MAX as u32;

/// The largest connection threshold, for the same reason.
pub const MAX_THRESHOLD: u32 = i32::MAX as u32;

/// Judges an address that the director is to speak from; the pointer is empty.
pub fn validate_local_address(address: IpAddr) -> Option<Problem> {
    unusable(address, Role::Local)
}

/// Judges a service with its real servers.
pub fn validate_service(service: &Service) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(bad_name(service));
    problems.extend(bad_handling(
        service.id,
        service.persistence,
        service.one_packet,
    ));
    let reals = service.reals.iter();
    let endpoints = reals.map(|real| real.endpoint(service.id.port()));
    problems.extend(bad_health(service.id, service.health.as_ref(), endpoints));
    problems.extend(bad_cookies(service.id, service.cookies));
    for (index, real) in service.reals.iter().enumerate() {
        let prefix = format!("/real/{index}");
        problems.extend(
            validate_real(service.id, real)
                .into_iter()
                .map(|problem| problem.below(&prefix)),
        );
    }
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

/// Judges the rules that mark packets, all together.
pub fn validate_marks(rules: &[MarkRule]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let prefix = format!("/{index}");
        let of_rule = validate_mark(rule).into_iter();
        problems.extend(of_rule.map(|problem| problem.below(&prefix)));
    }
    problems.extend(too_many_marks(rules.len()));
    problems
}

/// Judges the number of rules that mark packets.
pub fn too_many_marks(rules: usize) -> Option<Problem> {
    (rules > MarkRule::MAX).then(|| {
        let message = format!("{rules} rules are too many");
        let mend = format!("use {} at most", MarkRule::MAX);
        Problem::new("", message, mend)
    })
}

/// Judges a rule that marks packets.
pub fn validate_mark(rule: &MarkRule) -> Vec<Problem> {
    let mut problems = Vec::new();
    if rule.mark == 0 {
        let message = "mark 0 is that of packets without a mark";
        problems.push(Problem::new("/mark", message, "use 1 to 4294967295"));
    }
    let family = |prefix: Option<Prefix>| prefix.map(|prefix| Family::of(prefix.address));
    let families = family(rule.source).zip(family(rule.destination));
    if let Some((source, destination)) = families.filter(|(a, b)| a != b) {
        let message = format!("the source is {source}, the destination is {destination}");
        let problem = Problem::new("/source", message, "no packet is both; use two rules");
        problems.push(problem.with_other("/destination"));
    }
    problems
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

/// Judges when the SYNs of the service `id` are to be answered with cookies.
pub fn bad_cookies(id: ServiceId, policy: CookiePolicy) -> Option<Problem> {
    let has_port = id.vip().is_some_and(|vip| vip.port() > 0);
    let can = id.protocol() == Some(Protocol::Tcp) && has_port;
    (policy == CookiePolicy::Always && !can).then(|| {
        let message = "cookies are for TCP services with an address and a port";
        Problem::new("/cookies", message, "leave it out")
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

/// Judges the services of a whole configuration.
pub fn validate_config(services: &[Service]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let prefix = format!("/service/{index}");
        problems.extend(
            validate_service(service)
                .into_iter()
                .map(|problem| problem.below(&prefix)),
        );
    }
    problems.extend(repeated_services(services));
    problems.extend(reals_that_are_vips(services));
    problems
}

/// Judges one change of many as the request that makes it alone.
pub fn validate_change(change: &Change) -> Vec<Problem> {
    match change {
        Change::AddService(service) => validate_service(service),
        Change::AddReal { service, real } => validate_real(*service, real),
        Change::ChangeReal { patch, .. } => validate_real_patch(patch),
        Change::ChangeService { .. }
        | Change::RemoveService { .. }
        | Change::RemoveReal { .. }
        | Change::RemoveServices {} => Vec::new(),
    }
}

/// Judges a configuration: its services, its timeouts and its settings.
pub fn validate_whole(config: &Configuration) -> Vec<Problem> {
    let mut problems = validate_config(&config.services);
    let timeouts = validate_timeouts(config.timeouts.into());
    problems.extend(timeouts.into_iter().map(|p| p.below("/timeouts")));
    problems.extend(bad_sysctls(&config.sysctls));
    problems.extend(bad_levels(config));
    let marks = validate_marks(config.marks.as_deref().unwrap_or_default());
    problems.extend(marks.into_iter().map(|p| p.below("/marks")));
    let daemons = config.daemons.as_deref().unwrap_or_default();
    problems.extend(
        bad_daemons(daemons)
            .into_iter()
            .map(|p| p.below("/daemons")),
    );
    let filter = config.filter.iter().flat_map(validate_filter_rules);
    problems.extend(filter.map(|p| p.below("/filter")));
    let listed = validate_standing(config.listed.as_deref().unwrap_or_default());
    problems.extend(listed.into_iter().map(|p| p.below("/listed")));
    problems
}

fn bad_daemons(daemons: &[SyncDaemon]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, daemon) in daemons.iter().enumerate() {
        let own = validate_daemon(daemon).into_iter();
        problems.extend(own.map(|problem| problem.below(&format!("/{index}"))));
        let first = daemons.iter().position(|other| other.role == daemon.role);
        if let Some(first) = first.filter(|first| *first < index) {
            let message = format!("there is a {} already", daemon.role.name());
            let problem = Problem::new(format!("/{index}/role"), message, "leave one out");
            problems.push(problem.with_other(format!("/{first}/role")));
        }
    }
    problems
}

fn bad_sysctls(sysctls: &BTreeMap<String, Value>) -> Vec<Problem> {
    let judge = |(name, value): (&String, &Value)| {
        let problem =
            |message: String, mend: String| Problem::new(format!("/sysctls/{name}"), message, mend);
        match name.parse::<Sysctl>() {
            Err(unknown) => Some(problem(unknown.to_string(), String::new())),
            Ok(sysctl) => {
                let judged = sysctl.accept(value, &sysctl.default_value());
                judged
                    .err()
                    .map(|bad| problem(bad.to_string(), String::new()))
            }
        }
    };
    sysctls.iter().filter_map(judge).collect()
}

fn bad_levels(config: &Configuration) -> Vec<Problem> {
    let Levels { level, services } = &config.defense;
    let mut problems = Vec::new();
    if let Some(level) = *level {
        let bad = validate_level(DefenseLevel { level });
        problems.extend(bad.into_iter().map(|p| p.below("/defense")));
    }
    for (id, level) in services {
        let pointer = format!("/defense/services/{id}");
        let bad = validate_level(DefenseLevel { level: *level });
        problems.extend(bad.into_iter().map(|p| p.below(&pointer)));
        if !config.services.iter().any(|service| service.id == *id) {
            let message = format!("there is no service {id}");
            problems.push(Problem::new(
                pointer,
                message,
                "name one of this configuration",
            ));
        }
    }
    problems
}

/// Judges a question about a packet: it has one address family.
pub fn validate_explain(query: &ExplainQuery) -> Vec<Problem> {
    let mixed = query.from.is_ipv4() != query.to.is_ipv4();
    let message = "a packet is from and to addresses of one family";
    let problem = Problem::new("/from", message, "name two of the same").with_other("/to");
    mixed.then_some(problem).into_iter().collect()
}

/// Judges a synchronisation daemon.
pub fn validate_daemon(daemon: &SyncDaemon) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !daemon.group.is_multicast() {
        let message = format!("{} is no multicast group", daemon.group);
        let mend = format!("use one, such as {}", SyncDaemon::GROUP);
        problems.push(Problem::new("/group", message, mend));
    }
    if daemon.port == 0 {
        problems.push(zero_port("/port"));
    }
    if daemon.ttl == 0 {
        problems.push(Problem::new(
            "/ttl",
            "nothing is sent with TTL 0",
            "use 1 to 255",
        ));
    }
    problems
}

/// Judges a real server of `service`; pointers are relative to the real server.
pub fn validate_real(service: ServiceId, real: &Real) -> Vec<Problem> {
    let mut problems = Vec::new();
    // A loopback address is the director itself.
    let unusable = unusable(real.address, Role::Real).filter(|_| !real.address.is_loopback());
    problems.extend(unusable.map(|p| p.below("/address")));
    if real.method != ForwardingMethod::Tun {
        problems.extend(other_family(service, real.address));
    }
    if real.port == Some(0) && service.port() != 0 {
        problems.push(zero_port("/port"));
    }
    problems.extend(bad_weight(real.weight));
    problems.extend(bad_tunnel(real).into_iter().map(|p| p.below("/tun")));
    problems.extend(bad_thresholds(real.upper, real.lower));
    let check = real
        .check
        .iter()
        .flat_map(|check| bad_check(service, check));
    problems.extend(check.map(|problem| problem.below("/check")));
    if let Some(vip) = service
        .vip()
        .filter(|vip| *vip == real.endpoint(vip.port()))
        .filter(|_| real.method != ForwardingMethod::Dr)
    {
        problems.push(Problem::new(
            "/address",
            format!("real server {vip} is the service itself"),
            "name the server's own address",
        ));
    }
    problems
}

/// Judges a change of a real server as far as that is possible without the real server;
/// [`validate_changed_real`] does the rest.
pub fn validate_real_patch(patch: &RealPatch) -> Vec<Problem> {
    let mut problems: Vec<_> = patch.weight.and_then(bad_weight).into_iter().collect();
    problems.extend(patch.drain.and_then(bad_drain));
    if patch.drain.is_some() && patch.weight.is_some_and(|weight| weight > 0) {
        let message = "a real server that is drained has no weight";
        problems.push(Problem::new("/weight", message, "leave it out").with_other("/drain"));
    }
    problems.extend(bad_thresholds(
        patch.upper.unwrap_or(MAX_THRESHOLD),
        patch.lower.unwrap_or(0),
    ));
    problems
}

/// Judges the thresholds of a real server. With `lower` alone it would never be overloaded.
pub fn bad_thresholds(upper: u32, lower: u32) -> Option<Problem> {
    let large = [("/upper", upper), ("/lower", lower)]
        .into_iter()
        .find(|(_, value)| *value > MAX_THRESHOLD);
    if let Some((pointer, value)) = large {
        let message = format!("threshold {value} is too large");
        let mend = format!("use 0 to {MAX_THRESHOLD}");
        return Some(Problem::new(pointer, message, mend));
    }
    (lower > upper).then(|| {
        Problem::new(
            "/lower",
            format!("lower threshold {lower} is above the upper one, {upper}"),
            "set both, the lower one at most as large",
        )
        .with_other("/upper")
    })
}

/// Judges `real`, which a change has made of the real server `now` of `service`.
pub fn validate_changed_real(service: ServiceId, now: &RealView, real: &Real) -> Vec<Problem> {
    let mut problems = validate_real(service, real);
    if real.endpoint(service.port()) != now.endpoint() {
        problems.push(Problem::new(
            "/method",
            format!(
                "with the method {} a real server has the service's port, this one has {}",
                real.method.name(),
                now.port
            ),
            "remove it and add it anew",
        ));
    }
    problems
}

/// Judges a level of defence.
pub fn validate_level(DefenseLevel { level }: DefenseLevel) -> Vec<Problem> {
    let wrong = level > DefenseLevel::MAX;
    let problem = || Problem::new("/level", format!("{level} is no level"), "use 0, 1 or 2");
    wrong.then(problem).into_iter().collect()
}

/// Judges a change of the timeouts.
pub fn validate_timeouts(patch: TimeoutsPatch) -> Vec<Problem> {
    [
        ("/tcp", patch.tcp),
        ("/tcpfin", patch.tcpfin),
        ("/udp", patch.udp),
    ]
    .into_iter()
    .filter(|(_, seconds)| seconds.is_some_and(|s| !(1..=Timeouts::MAX).contains(&s)))
    .map(|(pointer, seconds)| {
        Problem::new(
            pointer,
            format!("{} seconds is no timeout", seconds.unwrap_or_default()),
            format!("use 1 to {}", Timeouts::MAX),
        )
    })
    .collect()
}

/// Judges a query for connections; pointers name its parameters.
pub fn validate_query(query: &ConnectionQuery) -> Vec<Problem> {
    if (1..=ConnectionQuery::MAX_LIMIT).contains(&query.limit) {
        return Vec::new();
    }
    vec![Problem::new(
        "/limit",
        format!("a page cannot hold {} connections", query.limit),
        format!("use 1 to {}", ConnectionQuery::MAX_LIMIT),
    )]
}

fn zero_port(pointer: &str) -> Problem {
    Problem::new(pointer, "port 0 is no port", "use 1 to 65535")
}

/// Judges the seconds that a drain may take.
pub fn bad_drain(seconds: u32) -> Option<Problem> {
    (!(1..=MAX_SPAN).contains(&seconds)).then(|| {
        Problem::new(
            "/drain",
            format!("a drain cannot take {seconds} seconds"),
            format!("use 1 to {MAX_SPAN}"),
        )
    })
}

fn bad_weight(weight: u32) -> Option<Problem> {
    (weight > MAX_WEIGHT).then(|| {
        Problem::new(
            "/weight",
            format!("weight {weight} is too large"),
            format!("use 0 to {MAX_WEIGHT}"),
        )
    })
}

/// What an address is used for.
#[derive(Clone, Copy)]
enum Role {
    Vip,
    Real,
    Local,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Vip => "a VIP",
            Self::Real => "the address of a real server",
            Self::Local => "an address to speak from",
        }
    }
}

/// Addresses that no packet from or to the network can bear; the pointer is empty.
fn unusable(address: IpAddr, role: Role) -> Option<Problem> {
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let mapped = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
        IpAddr::V4(_) => None,
    };
    let (why, mend) = if let Some(v4) = mapped {
        ("an IPv4-mapped", format!("write {v4}"))
    } else if address.is_unspecified() {
        ("an unspecified", "name one host".to_owned())
    } else if address.is_multicast() {
        ("a multicast", "name one host".to_owned())
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        ("a broadcast", "name one host".to_owned())
    } else if address.is_loopback() {
        let mend = "packets with it never leave a host; use one that the network routes";
        ("a loopback", mend.to_owned())
    } else if link_local {
        (
            "a link-local",
            "use a global or unique local one".to_owned(),
        )
    } else {
        return None;
    };
    let message = format!("{address} is {why} address and cannot be {}", role.name());
    Some(Problem::new("", message, mend))
}

/// Options that do not go together; pointers are relative to the tunnel.
fn bad_tunnel(real: &Real) -> Option<Problem> {
    let tun = real.tun?;
    let name = tun.kind.name();
    if real.method != ForwardingMethod::Tun {
        return Some(Problem::new(
            "",
            format!(
                "no tunnel leads there: the method is {}",
                real.method.name()
            ),
            "set the method tun, or leave tun out",
        ));
    }
    if tun.port == Some(0) {
        return Some(zero_port("/port"));
    }
    if tun.port.is_some() && tun.kind != TunnelType::Gue {
        let message = format!("{name} has no port");
        return Some(Problem::new("/port", message, "leave it out"));
    }
    let allowed: &[TunnelChecksum] = match tun.kind {
        TunnelType::Ipip => &[TunnelChecksum::None],
        TunnelType::Gre => &[TunnelChecksum::None, TunnelChecksum::Csum],
        TunnelType::Gue => &TunnelChecksum::ALL,
    };
    (!allowed.contains(&tun.checksum)).then(|| {
        let names: Vec<_> = allowed.iter().map(|checksum| checksum.name()).collect();
        Problem::new(
            "/checksum",
            format!("{name} has no checksum {}", tun.checksum.name()),
            format!("use {}", names.join(" or ")),
        )
    })
}

fn other_family(service: ServiceId, real: IpAddr) -> Option<Problem> {
    let (of_service, of_real) = (service.family(), Family::of(real));
    (of_service != of_real).then(|| {
        let whose = match service.vip() {
            Some(vip) => format!("the VIP {}", vip.ip()),
            None => format!("the service {service}"),
        };
        Problem::new(
            "/address",
            format!("{real} is {of_real}, {whose} is {of_service}"),
            "only a tunnel leads to another address family; set the method tun",
        )
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

fn repeated_services(services: &[Service]) -> Vec<Problem> {
    let mut first = HashMap::new();
    let mut problems = Vec::new();
    for (index, service) in services.iter().enumerate() {
        match first.entry(service.id) {
            Entry::Vacant(free) => {
                free.insert(index);
            }
            Entry::Occupied(taken) => problems.push(
                Problem::new(
                    format!("/service/{index}"),
                    format!("service {} is there already", service.id),
                    "put all its real servers into one",
                )
                .with_other(format!("/service/{}", taken.get())),
            ),
        }
    }
    problems
}

/// Real servers that are another service of the same director: it does not forward to itself.
fn reals_that_are_vips(services: &[Service]) -> Vec<Problem> {
    let mut by_address: HashMap<IpAddr, Vec<usize>> = HashMap::new();
    for (index, service) in services.iter().enumerate() {
        if let Some(vip) = service.id.vip() {
            by_address.entry(vip.ip()).or_default().push(index);
        }
    }
    let mut problems = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let reals = service.reals.iter().enumerate();
        let reals = reals.map(|(place, real)| (format!("real/{place}"), real));
        let sorry = service
            .health
            .as_ref()
            .and_then(|health| health.sorry.as_ref());
        let sorry = sorry.map(|real| ("health/sorry".to_owned(), real));
        for (place, real) in reals.chain(sorry) {
            let endpoint = real.endpoint(service.id.port());
            let there = by_address
                .get(&endpoint.ip())
                .map_or(&[][..], Vec::as_slice);
            let other = there.iter().find(|&&other| {
                let other = services[other].id;
                other != service.id && takes(other, service.id.protocol(), endpoint)
            });
            if let Some(other) = other {
                problems.push(
                    Problem::new(
                        format!("/service/{index}/{place}/address"),
                        format!("real server {endpoint} is a virtual service of this director"),
                        "name real servers of that service instead",
                    )
                    .with_other(format!("/service/{other}")),
                );
            }
        }
    }
    problems
}

/// Whether a service takes what is for `endpoint`; without `protocol`, in any. Port 0 stands for
/// every port on either side.
fn takes(service: ServiceId, protocol: Option<Protocol>, endpoint: SocketAddr) -> bool {
    service.vip().is_some_and(|vip| {
        let same_port = vip.port() == endpoint.port() || vip.port() == 0 || endpoint.port() == 0;
        let same_protocol = protocol.is_none() || protocol == service.protocol();
        vip.ip() == endpoint.ip() && same_port && same_protocol
    })
}

#[cfg(test)]
mod tests;
