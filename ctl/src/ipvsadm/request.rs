//! A checked line -> what the director is asked for. What ipvsadm's grammar knows but no
//! director of ours can do yet ends here, with a message.

use std::net::SocketAddr;

use adminapi::model::{
    Change, CookiePolicy, Engine, Family, ForwardingMethod, Order, Persistence, Real, RealPatch,
    Scheduler, SchedulerFlags, Service, ServiceId, ServicePatch, SyncDaemon, SyncRole,
    TimeoutsPatch, Tunnel, TunnelChecksum,
};
use adminapi::table::{Columns, flags};

use super::check;
use super::failure::Failure;
use super::grammar::{Command, Method, Opt, OptSet, Own, TunnelType};
use super::parse::{Line, Selector};
use super::save::Extent;
use super::switches::Dialect;
use crate::director::Setting;

/// What one line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one a line, never kept
pub(crate) enum Request {
    Change(Change),
    /// What no director does of a service, which is said once it has been looked for.
    Refused {
        service: ServiceId,
        /// What to say when there is such a service.
        there: Failure,
        /// And when there is none.
        missing: Failure,
    },
    Set(Setting),
    Zero(Option<ServiceId>),
    StartDaemon(SyncDaemon),
    StopDaemon(SyncRole),
    List(List),
    Save {
        numeric: bool,
        extent: Extent,
    },
}

/// A listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct List {
    /// Of what.
    pub(crate) what: What,
    /// Addresses as numbers.
    pub(crate) numeric: bool,
    /// JSON instead of a table.
    pub(crate) json: bool,
}

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// All services, or one.
    Services {
        only: Option<ServiceId>,
        columns: Columns,
        order: Order,
    },
    /// The connection table; with the columns of persistence engines or without.
    Connections { engines: bool },
    /// The timeouts.
    Timeouts,
    /// The synchronisation daemons.
    Daemons,
}

/// What an operation on a service fails with that is there already.
pub(crate) const EXISTS: &str = "Service already exists";

/// What one fails with on a service that there is not.
pub(crate) const NO_SERVICE: &str = "No such service";

const NOT_FOUND: &str = "Scheduler or persistence engine not found";

fn missing(what: &str) -> Failure {
    Failure::operation(format!("{what}: not supported by this director yet"))
}

/// What a checked line asks for. Help, version and restore ask the director for nothing: they
/// never come here.
pub(crate) fn request(line: &Line, dialect: Dialect) -> Result<Request, Failure> {
    Ok(Request::Change(match line.command {
        Command::AddService => match add_service(line) {
            Ok(change) => change,
            Err(refusal) => return refused(line, [Failure::operation(EXISTS), refusal]),
        },
        Command::EditService => match service_patch(line) {
            Ok(patch) => Change::ChangeService {
                service: service(line)?,
                patch,
            },
            Err(refusal) => return refused(line, [refusal, Failure::operation(NO_SERVICE)]),
        },
        Command::DeleteService => Change::RemoveService {
            service: service(line)?,
        },
        Command::Flush => Change::RemoveServices {},
        Command::AddServer => Change::AddReal {
            service: service(line)?,
            real: real(line)?,
        },
        Command::EditServer => edit_real(service(line)?, &real(line)?),
        Command::DeleteServer => Change::RemoveReal {
            service: service(line)?,
            real: endpoint(line)?,
        },
        Command::Set => return Ok(Request::Set(set_timeouts(line))),
        Command::Zero => return Ok(Request::Zero(maybe_service(line)?)),
        Command::List => return Ok(Request::List(list(line)?)),
        Command::Save => {
            return Ok(Request::Save {
                numeric: line.set.has(Opt::Numeric),
                extent: extent(line, dialect),
            });
        }
        Command::StartDaemon => return Ok(Request::StartDaemon(line.daemon.clone())),
        Command::StopDaemon => return Ok(Request::StopDaemon(line.daemon.role)),
        Command::Help | Command::Version | Command::Restore => {
            return Err(missing(line.command.rule().name));
        }
    }))
}

fn refused(line: &Line, [there, missing]: [Failure; 2]) -> Result<Request, Failure> {
    Ok(Request::Refused {
        service: service(line)?,
        there,
        missing,
    })
}

fn extent(line: &Line, dialect: Dialect) -> Extent {
    match dialect {
        Dialect::Ipvsadm => Extent::Ipvsadm,
        Dialect::Bulwark if line.own.contains(&Own::Full) => Extent::Full,
        Dialect::Bulwark => Extent::Services,
    }
}

fn maybe_service(line: &Line) -> Result<Option<ServiceId>, Failure> {
    line.service.as_ref().map(service_id).transpose()
}

fn service(line: &Line) -> Result<ServiceId, Failure> {
    maybe_service(line)?.ok_or_else(|| Failure::argument("no service"))
}

fn service_id(selector: &Selector) -> Result<ServiceId, Failure> {
    match *selector {
        Selector::Mark { mark, ipv6 } => Ok(ServiceId::Mark {
            mark,
            family: if ipv6 { Family::Ipv6 } else { Family::Ipv4 },
        }),
        Selector::Address {
            protocol,
            address,
            port,
        } => Ok(ServiceId::at(protocol, SocketAddr::new(address, port))),
    }
}

fn scheduler(line: &Line) -> Result<Scheduler, Failure> {
    let name = check::scheduler(line);
    let found = Scheduler::ALL.into_iter().find(|s| s.name() == name);
    found.ok_or_else(|| Failure::operation(NOT_FOUND))
}

/// The flags that a line names, whose names `check` has judged.
fn scheduler_flags(line: &Line) -> SchedulerFlags {
    let named = line.sched_flags.split(',');
    named.filter_map(flags::by_name).collect()
}

fn engine(line: &Line) -> Result<Option<Engine>, Failure> {
    let named = |name: &String| {
        let found = Engine::ALL.into_iter().find(|engine| engine.name() == name);
        found.ok_or_else(|| Failure::operation(NOT_FOUND))
    };
    line.engine.as_ref().map(named).transpose()
}

/// A mask alone makes no service persistent, and neither does an engine.
fn persistence(line: &Line) -> Result<Option<Persistence>, Failure> {
    let engine = engine(line)?;
    if let Some(refusal) = line.holes.clone().filter(|_| line.set.has(Opt::Persistent)) {
        return Err(refusal);
    }
    let wanted = Persistence {
        engine,
        ..line.persistence
    };
    Ok(line.set.has(Opt::Persistent).then_some(wanted))
}

/// The engine of a service that is not persistent, which is kept with it.
fn idle_engine(line: &Line) -> Result<Option<Engine>, Failure> {
    let engine = engine(line)?;
    Ok(engine.filter(|_| !line.set.has(Opt::Persistent)))
}

/// What a line does not name is reset.
fn service_patch(line: &Line) -> Result<ServicePatch, Failure> {
    Ok(ServicePatch {
        scheduler: Some(scheduler(line)?),
        scheduler_flags: Some(scheduler_flags(line)),
        persistence: Some(persistence(line)?.into()),
        engine: Some(idle_engine(line)?),
        one_packet: Some(line.set.has(Opt::Ops)),
        helper: line.helper,
        ..ServicePatch::default()
    })
}

fn add_service(line: &Line) -> Result<Change, Failure> {
    Ok(Change::AddService(Service {
        id: service(line)?,
        scheduler: scheduler(line)?,
        scheduler_flags: scheduler_flags(line),
        persistence: persistence(line)?,
        engine: idle_engine(line)?,
        one_packet: line.set.has(Opt::Ops),
        health: None,
        cookies: CookiePolicy::default(),
        udp_repeats: None,
        helper: line.helper.unwrap_or_default(),
        reals: Vec::new(),
    }))
}

/// Address and port of the real server; without a port it has the service's.
fn endpoint(line: &Line) -> Result<SocketAddr, Failure> {
    let real = line
        .real
        .ok_or_else(|| Failure::argument("no real server"))?;
    let service_port = line.service.as_ref().map_or(0, Selector::port);
    Ok(SocketAddr::new(
        real.address,
        real.port.unwrap_or(service_port),
    ))
}

fn real(line: &Line) -> Result<Real, Failure> {
    let at = endpoint(line)?;
    let [upper, lower] = line.thresholds;
    let method = match line.method {
        Method::Masq => ForwardingMethod::Nat,
        Method::Route => ForwardingMethod::Dr,
        Method::Tunnel => ForwardingMethod::Tun,
        Method::FullNat => ForwardingMethod::FullNat,
    };
    let service_port = line.service.as_ref().map_or(0, Selector::port);
    let named = Real {
        address: at.ip(),
        port: Some(at.port()),
        weight: line.weight,
        method,
        upper,
        lower,
        tun: (method == ForwardingMethod::Tun).then(|| tunnel(line)),
        check: None,
    };
    let of_address = matches!(line.service, Some(Selector::Address { .. }));
    let port = match of_address && method.keeps_destination() {
        true => service_port,
        false => at.port(),
    };
    Ok(Real {
        port: Some(port),
        ..named
    })
}

/// What a line does not name is reset.
fn edit_real(service: ServiceId, real: &Real) -> Change {
    Change::ChangeReal {
        service,
        real: real.endpoint(service.port()),
        patch: RealPatch {
            weight: Some(real.weight),
            method: Some(real.method),
            tun: real.tunnel().map(|tunnel| Some(tunnel).into()),
            upper: Some(real.upper),
            lower: Some(real.lower),
            ..RealPatch::default()
        },
    }
}

fn tunnel(line: &Line) -> Tunnel {
    let checksum = if line.set.has(Opt::TunRemcsum) {
        TunnelChecksum::Remcsum
    } else if line.set.has(Opt::TunCsum) {
        TunnelChecksum::Csum
    } else {
        TunnelChecksum::None
    };
    Tunnel {
        kind: match line.tunnel {
            TunnelType::Ipip => adminapi::model::TunnelType::Ipip,
            TunnelType::Gue => adminapi::model::TunnelType::Gue,
            TunnelType::Gre => adminapi::model::TunnelType::Gre,
        },
        port: line.tunnel_port,
        checksum,
    }
}

/// 0 leaves a timeout as it is.
fn set_timeouts(line: &Line) -> Setting {
    let [tcp, tcpfin, udp] = line.timeouts.map(|to| (to != 0).then_some(to));
    Setting::Timeouts(TimeoutsPatch { tcp, tcpfin, udp })
}

const fn columns(set: OptSet) -> Columns {
    match set.has(Opt::Exact) {
        true if set.has(Opt::Stats) => Columns::ExactStats,
        false if set.has(Opt::Stats) => Columns::Stats,
        true if set.has(Opt::Rate) => Columns::ExactRates,
        false if set.has(Opt::Rate) => Columns::Rates,
        _ if set.has(Opt::Thresholds) => Columns::Thresholds,
        _ if set.has(Opt::PersistentConn) => Columns::Persistent,
        _ if set.has(Opt::TunInfo) => Columns::Tunnels,
        _ => Columns::Plain,
    }
}

fn list(line: &Line) -> Result<List, Failure> {
    let set = line.set;
    let what = if set.has(Opt::Connection) {
        What::Connections {
            engines: set.has(Opt::PersistentConn),
        }
    } else if set.has(Opt::Timeout) {
        What::Timeouts
    } else if set.has(Opt::Daemon) {
        What::Daemons
    } else {
        What::Services {
            only: maybe_service(line)?,
            columns: columns(set),
            order: if set.has(Opt::NoSort) {
                Order::Added
            } else {
                Order::Ipvsadm
            },
        }
    };
    Ok(List {
        what,
        numeric: set.has(Opt::Numeric),
        json: line.own.contains(&Own::Json),
    })
}
