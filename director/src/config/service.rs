//! `[[service]]` and `[[service.real]]`: the types of the API, read key by key so that every
//! problem is found.

use std::net::SocketAddr;

use adminapi::model::{
    CookiePolicy, Family, ForwardingMethod, Helper, Persistence, Real, Scheduler, Service,
    ServiceId, Tunnel,
};
use adminapi::validate::{MAX_THRESHOLD, MAX_WEIGHT};
use adminapi::validate_config;

use super::defense::REPEATS;
use super::health;
use super::local::Local;
use super::read::{Expected, Section};

const PROTOCOLS: &[&str] = &["tcp", "udp", "sctp"];
const FAMILIES: &[&str] = &["ipv4", "ipv6"];
const SCHEDULERS: &[&str] = &[
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos",
];
const FLAGS: &[&str] = &["fallback", "port", "flag-3"];
const METHODS: &[&str] = &["nat", "dr", "tun", "fullnat"];
const TUNNELS: &[&str] = &["ipip", "gre", "gue"];
const ENGINES: &[&str] = &["sip"];
const COOKIES: &[&str] = &["off", "auto", "always"];
const HELPERS: &[&str] = &["auto", "ftp", "none"];
const CHECKSUMS: &[&str] = &["none", "csum", "remcsum"];
const ADDRESS: Expected = Expected::Text("an IPv4 or IPv6 address");
const TIMEOUT: Expected = Expected::Number(1..=Persistence::MAX_TIMEOUT as i64);
const PREFIX: Expected = Expected::Number(0..=128);
/// 0 is every port; what takes none is for the judgement of the whole.
const PORT: Expected = Expected::Number(0..=u16::MAX as i64);
const MARK: Expected = Expected::Number(1..=u32::MAX as i64);
const TUNNEL_PORT: Expected = Expected::Number(1..=u16::MAX as i64);
const THRESHOLD: Expected = Expected::Number(0..=MAX_THRESHOLD as i64);
const WEIGHT: Expected = Expected::Number(0..=MAX_WEIGHT as i64);

/// A service, and where it and its real servers stand among all that the file has: those that
/// cannot be read are left out.
struct Placed {
    service: Service,
    place: usize,
    reals: Vec<usize>,
}

/// All services that can be read, judged together, and with what the director speaks from.
pub(super) fn read(root: &mut Section<'_>, local: Option<&Local>) -> Vec<Service> {
    let placed: Vec<Placed> = root
        .sections("service")
        .into_iter()
        .filter_map(|(place, section)| read_service(place, section))
        .collect();
    let services: Vec<_> = placed.iter().map(|placed| placed.service.clone()).collect();
    let spoken = local.map_or_else(Vec::new, |local| local.judge(&services));
    for mut problem in validate_config(&services).into_iter().chain(spoken) {
        problem.pointer = in_file(&placed, &problem.pointer);
        problem.other = problem.other.map(|other| in_file(&placed, &other));
        root.report(problem);
    }
    services
}

fn read_service(place: usize, mut section: Section<'_>) -> Option<Placed> {
    let id = match section.has("fwmark") {
        true => read_mark(&mut section),
        false => read_address(&mut section),
    };
    let scheduler = Scheduler::default();
    let scheduler = section.or("scheduler", &Expected::Word(SCHEDULERS), scheduler);
    let flags = section.list("scheduler_flags", &Expected::Word(FLAGS));
    let scheduler_flags = flags.into_iter().flat_map(|(_, flags)| flags);
    let scheduler_flags = scheduler_flags.map(|(_, flag)| flag).collect();
    let persistence = section
        .has("persistence")
        .then(|| read_persistence(section.section("persistence")));
    let engine = section.optional("engine", &Expected::Word(ENGINES));
    let one_packet = section.or("one_packet", &Expected::BOOLEAN, false);
    let health = health::read_policy(&mut section, read_real);
    let cookies = section.or("cookies", &Expected::Word(COOKIES), CookiePolicy::default());
    let udp_repeats = section.optional("udp_repeats", &REPEATS);
    let helper = section.or("helper", &Expected::Word(HELPERS), Helper::default());
    let reals: Vec<(usize, Real)> = section
        .sections("real")
        .into_iter()
        .filter_map(|(place, section)| Some((place, read_real(section)?)))
        .collect();
    section.finish();
    let (places, reals) = reals.into_iter().unzip();
    let service = Service {
        id: id?,
        scheduler,
        scheduler_flags,
        persistence,
        engine,
        one_packet,
        health,
        cookies,
        udp_repeats,
        helper,
        reals,
    };
    Some(Placed {
        service,
        place,
        reals: places,
    })
}

fn read_persistence(mut section: Section<'_>) -> Persistence {
    let timeout = section.or("timeout", &TIMEOUT, Persistence::DEFAULT_TIMEOUT);
    let prefix = section.optional("prefix", &PREFIX);
    let engine = section.optional("engine", &Expected::Word(ENGINES));
    section.finish();
    Persistence {
        timeout,
        prefix,
        engine,
    }
}

fn read_address(section: &mut Section<'_>) -> Option<ServiceId> {
    let protocol = section.required("protocol", &Expected::Word(PROTOCOLS), "set tcp or udp");
    let address = section.required("address", &ADDRESS, "set the VIP");
    let port = section.required("port", &PORT, "set the port of the VIP");
    Some(ServiceId::at(protocol?, SocketAddr::new(address?, port?)))
}

fn read_mark(section: &mut Section<'_>) -> Option<ServiceId> {
    let mark = section.required("fwmark", &MARK, "set the mark");
    let family = section.or("family", &Expected::Word(FAMILIES), Family::Ipv4);
    Some(ServiceId::Mark {
        mark: mark?,
        family,
    })
}

fn read_real(mut section: Section<'_>) -> Option<Real> {
    let address = section.required("address", &ADDRESS, "set the address of the real server");
    let port = section.optional("port", &PORT);
    let weight = section.or("weight", &WEIGHT, 1);
    let method = ForwardingMethod::default();
    let method = section.or("method", &Expected::Word(METHODS), method);
    let tun = section
        .has("tun")
        .then(|| read_tunnel(section.section("tun")));
    let upper = section.or("upper", &THRESHOLD, 0);
    let lower = section.or("lower", &THRESHOLD, 0);
    let check = health::read_check(&mut section);
    section.finish();
    Some(Real {
        address: address?,
        port,
        weight,
        method,
        tun,
        upper,
        lower,
        check,
    })
}

fn read_tunnel(mut section: Section<'_>) -> Tunnel {
    let default = Tunnel::default();
    let tunnel = Tunnel {
        kind: section.or("type", &Expected::Word(TUNNELS), default.kind),
        port: section.optional("port", &TUNNEL_PORT),
        checksum: section.or("checksum", &Expected::Word(CHECKSUMS), default.checksum),
    };
    section.finish();
    tunnel
}

/// `pointer` counts the services and real servers that could be read; the file has more.
fn in_file(placed: &[Placed], pointer: &str) -> String {
    let mut parts: Vec<String> = pointer.split('/').map(str::to_owned).collect();
    let index = |part: Option<&String>| part.and_then(|part| part.parse::<usize>().ok());
    // "", "service", its index, "real", its index, ...
    let service = index(parts.get(2)).and_then(|index| placed.get(index));
    let real = index(parts.get(4)).and_then(|index| service?.reals.get(index));
    if let (Some(real), Some(part)) = (real, parts.get_mut(4)) {
        *part = real.to_string();
    }
    if let (Some(service), Some(part)) = (service, parts.get_mut(2)) {
        *part = service.place.to_string();
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use adminapi::model::{Engine, Protocol, SchedulerFlag};

    use super::*;
    use adminapi::model::{TunnelChecksum, TunnelType};

    #[test]
    fn words_are_those_of_the_api() {
        assert_eq!(SCHEDULERS, Scheduler::ALL.map(Scheduler::name));
        assert_eq!(METHODS, ForwardingMethod::ALL.map(ForwardingMethod::name));
        assert_eq!(TUNNELS, TunnelType::ALL.map(TunnelType::name));
        assert_eq!(CHECKSUMS, TunnelChecksum::ALL.map(TunnelChecksum::name));
        assert_eq!(HELPERS, Helper::ALL.map(Helper::name));
        assert_eq!(ENGINES, Engine::ALL.map(Engine::name));
        assert_eq!(COOKIES, CookiePolicy::ALL.map(CookiePolicy::name));
        assert_eq!(FAMILIES, Family::ALL.map(Family::name));
        assert_eq!(FLAGS, SchedulerFlag::ALL.map(SchedulerFlag::name));
        assert_eq!(PROTOCOLS, Protocol::ALL.map(Protocol::name));
    }
}
