//! What the director points at in what it was sent, in options: whoever wrote a line has not seen
//! what was made of it. What no option says is left out, since the message tells of it.

use adminapi::Problem;
use adminapi::model::{Change, Configuration, ForwardingMethod, MarkRule, ServiceId};

use super::save::{Extent, method_switch, selector, service_switch};
use super::spelling::Spelling;
use crate::director::{DirectorError, Setting};

/// Places in a service beside its name.
const OF_SERVICE: [(&str, &str); 9] = [
    ("/scheduler", "-s"),
    ("/scheduler_flags", "-b"),
    ("/persistence", "-p"),
    ("/persistence/timeout", "-p"),
    ("/persistence/prefix", "-M"),
    ("/persistence/engine", "--pe"),
    ("/engine", "--pe"),
    ("/one_packet", "-o"),
    ("/helper", "--helper"),
];

/// What names a service.
const NAMING: [&str; 5] = ["/protocol", "/address", "/port", "/fwmark", "/family"];

/// Places in a real server beside its method.
const OF_REAL: [(&str, &str); 9] = [
    ("/address", "-r"),
    ("/port", "-r"),
    ("/weight", "-w"),
    ("/upper", "-x"),
    ("/lower", "-y"),
    ("/tun", "-i"),
    ("/tun/type", "--tun-type"),
    ("/tun/port", "--tun-port"),
    ("/tun/checksum", "--tun-csum"),
];

/// Places in a rule that marks packets.
const OF_MARK: [(&str, &str); 8] = [
    ("/protocol", "--protocol"),
    ("/source", "--source"),
    ("/source_ports", "--sport"),
    ("/destination", "--destination"),
    ("/destination_ports", "--dport"),
    ("/interface", "--interface"),
    ("/region", "--region"),
    ("/mark", "<MARK>"),
];

/// Places in a synchronisation daemon.
const OF_DAEMON: [(&str, &str); 6] = [
    ("/interface", "--mcast-interface"),
    ("/syncid", "--syncid"),
    ("/group", "--mcast-group"),
    ("/port", "--mcast-port"),
    ("/ttl", "--mcast-ttl"),
    ("/maxlen", "--sync-maxlen"),
];

/// What a request was about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About<'a> {
    /// A service.
    Service(ServiceId),
    /// A real server that is, or is to be, reached like this.
    Real(Option<ForwardingMethod>),
    /// All services, or a synchronisation daemon's end.
    Nothing,
    /// A setting.
    Setting(&'a str),
    /// A rule that marks packets.
    Mark,
    /// A synchronisation daemon.
    Daemon,
    /// A whole configuration.
    Whole(&'a Configuration),
}

impl About<'static> {
    /// What a change is about.
    pub(crate) const fn of(change: &Change) -> Self {
        match change {
            Change::AddService(service) => Self::Service(service.id),
            Change::ChangeService { service, .. } | Change::RemoveService { service } => {
                Self::Service(*service)
            }
            Change::AddReal { real, .. } => Self::Real(Some(real.method)),
            Change::ChangeReal { patch, .. } => Self::Real(patch.method),
            Change::RemoveReal { .. } => Self::Real(None),
            Change::RemoveServices {} => Self::Nothing,
        }
    }
}

impl<'a> About<'a> {
    /// What a setting is about.
    pub(crate) fn setting(setting: &'a Setting) -> Self {
        match setting {
            Setting::Timeouts(_) => Self::Setting("--set"),
            Setting::Sysctl(name, _) => Self::Setting(name),
            Setting::Level(..) => Self::Setting("defense level"),
            Setting::Cookies(..) => Self::Setting("defense cookies"),
            Setting::Repeats(..) => Self::Setting("defense repeats"),
            Setting::NoMarks => Self::Nothing,
            Setting::Mark(_) => Self::Mark,
        }
    }

    /// The error in options.
    pub(crate) fn named(self, error: DirectorError) -> DirectorError {
        let DirectorError::BadValues(problems) = error else {
            return error;
        };
        let named = problems.into_iter().map(|problem| Problem {
            pointer: self.option(&problem.pointer).unwrap_or_default(),
            other: problem.other.and_then(|other| self.option(&other)),
            ..problem
        });
        DirectorError::BadValues(named.collect())
    }

    fn option(self, pointer: &str) -> Option<String> {
        match self {
            Self::Service(id) => of_service(id, pointer).map(str::to_owned),
            Self::Real(method) => of_real(method, pointer).map(str::to_owned),
            Self::Setting(name) => Some(name.to_owned()),
            Self::Mark => found(&OF_MARK, pointer).map(str::to_owned),
            Self::Daemon => found(&OF_DAEMON, pointer).map(str::to_owned),
            Self::Whole(config) => of_whole(config, pointer),
            Self::Nothing => None,
        }
    }
}

fn found(table: &[(&str, &'static str)], pointer: &str) -> Option<&'static str> {
    let row = table.iter().find(|(place, _)| *place == pointer);
    row.map(|(_, option)| *option)
}

fn of_service(id: ServiceId, pointer: &str) -> Option<&'static str> {
    match NAMING.contains(&pointer) {
        true => Some(service_switch(id)),
        false => found(&OF_SERVICE, pointer),
    }
}

fn of_real(method: Option<ForwardingMethod>, pointer: &str) -> Option<&'static str> {
    match pointer {
        "/method" => method.map(method_switch),
        _ => found(&OF_REAL, pointer),
    }
}

/// The line that a place comes from: `-t 192.0.2.10:80 -r 10.0.0.1:80 -w` for
/// `/service/0/real/0/weight`.
fn of_whole(config: &Configuration, pointer: &str) -> Option<String> {
    let (kind, rest) = split(pointer)?;
    let (place, below) = split(rest).unwrap_or_default();
    match kind {
        "service" => of_service_line(config, place.parse().ok()?, below),
        "marks" => of_mark_line(
            config.marks.as_deref()?.get(place.parse::<usize>().ok()?)?,
            below,
        ),
        "timeouts" => Some("--set".to_owned()),
        "sysctls" => Some(format!("sysctl -w {place}")),
        "defense" => Some("defense level".to_owned()),
        _ => None,
    }
}

fn of_service_line(config: &Configuration, place: usize, below: &str) -> Option<String> {
    let service = config.services.get(place)?;
    let name = selector(service.id, Spelling::Numeric, Extent::Full);
    let real = below.strip_prefix("/real").and_then(split);
    let Some((place, below)) = real else {
        let option = found(&OF_SERVICE, below);
        return Some(joined(&name, option));
    };
    let real = service.reals.get(place.parse::<usize>().ok()?)?;
    let at = real.endpoint(service.id.port());
    let option = of_real(Some(real.method), below).filter(|option| *option != "-r");
    Some(joined(&format!("{name} -r {at}"), option))
}

fn of_mark_line(rule: &MarkRule, below: &str) -> Option<String> {
    let option = found(&OF_MARK, below).filter(|option| option.starts_with('-'));
    Some(joined(&format!("mark add {}", rule.mark), option))
}

fn joined(line: &str, option: Option<&str>) -> String {
    option.map_or_else(|| line.to_owned(), |option| format!("{line} {option}"))
}

/// The first part of a pointer, and what is below it, with its stroke.
fn split(pointer: &str) -> Option<(&str, &str)> {
    let parts = pointer.strip_prefix('/')?;
    Some(parts.split_at(parts.find('/').unwrap_or(parts.len())))
}
