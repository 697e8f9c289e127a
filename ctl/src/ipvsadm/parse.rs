//! A line of arguments -> [`Line`]. Reports what is wrong with single options, in the order in
//! which they stand; what is wrong with their combination is for `check`.

use std::net::IpAddr;

use adminapi::model::{Helper, Persistence, Protocol, SyncDaemon, SyncRole};

use crate::connect::Place;

use super::address::{self, HostPort};
use super::failure::Failure;
use super::grammar::{Command, Method, Opt, OptSet, Own, TunnelType};
use super::names::Names;
use super::popt::{Given, Reader};
use super::switches::{Dialect, Means, Switch, Whereabouts};
use super::value;
use crate::director::Setting;

/// Seconds between two listings of `--watch`.
const WATCH_INTERVAL: u64 = 2;

/// The interface of a synchronisation daemon that names none.
const SYNC_INTERFACE: &str = "eth0";

/// What a line is read with.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The name that the program was called by.
    pub(crate) program: &'a str,
    /// As whom it answers.
    pub(crate) dialect: Dialect,
    /// Names of hosts and ports.
    pub(crate) names: &'a dyn Names,
    /// Reads a line of `-R` that begins with a word of `bulwark`.
    pub(crate) settings: fn(&[String]) -> Result<Vec<Setting>, String>,
}

impl Context<'_> {
    /// No command, or not one.
    pub(crate) fn try_help(&self) -> Failure {
        Failure::TryHelp {
            program: self.program.to_owned(),
        }
    }
}

/// The service that a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// By protocol, VIP and port.
    Address {
        /// Protocol.
        protocol: Protocol,
        /// VIP.
        address: IpAddr,
        /// Port; 0 when none was given.
        port: u16,
    },
    /// By firewall mark.
    Mark {
        /// The mark.
        mark: u32,
        /// For IPv6 packets instead of IPv4.
        ipv6: bool,
    },
}

impl Selector {
    /// Whether its addresses are IPv6.
    pub(crate) const fn is_ipv6(&self) -> bool {
        match self {
            Self::Address { address, .. } => address.is_ipv6(),
            Self::Mark { ipv6, .. } => *ipv6,
        }
    }

    /// Its port; 0 for a mark.
    pub(crate) const fn port(&self) -> u16 {
        match self {
            Self::Address { port, .. } => *port,
            Self::Mark { .. } => 0,
        }
    }

    const fn protocol(&self) -> Protocol {
        match self {
            Self::Address { protocol, .. } => *protocol,
            Self::Mark { .. } => Protocol::Tcp,
        }
    }
}

/// A line, read. A value is there if its option is in `set`, and only then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) command: Command,
    pub(crate) set: OptSet,
    /// Which of [`Own`] are given.
    pub(crate) own: Vec<Own>,
    /// Seconds between two listings.
    pub(crate) interval: u64,
    /// Where the director is.
    pub(crate) place: Place,
    pub(crate) service: Option<Selector>,
    pub(crate) real: Option<HostPort>,
    pub(crate) method: Method,
    pub(crate) weight: u32,
    /// Upper and lower threshold.
    pub(crate) thresholds: [u32; 2],
    pub(crate) scheduler: Option<String>,
    pub(crate) sched_flags: String,
    pub(crate) persistence: Persistence,
    /// What is to follow the connections of a service, if it is said.
    pub(crate) helper: Option<Helper>,
    /// Why the director takes no mask like the one that is given.
    pub(crate) holes: Option<Failure>,
    /// The name of a persistence engine.
    pub(crate) engine: Option<String>,
    pub(crate) tunnel: TunnelType,
    pub(crate) tunnel_port: Option<u16>,
    /// tcp, tcpfin, udp in seconds; 0 = leave as it is.
    pub(crate) timeouts: [u32; 3],
    /// Of a synchronisation daemon.
    pub(crate) daemon: SyncDaemon,
}

impl Line {
    fn new(command: Command) -> Self {
        Self {
            command,
            set: OptSet::default(),
            own: Vec::new(),
            interval: WATCH_INTERVAL,
            place: Place::default(),
            service: None,
            real: None,
            method: Method::default(),
            weight: 1,
            thresholds: [0; 2],
            scheduler: None,
            sched_flags: String::new(),
            persistence: Persistence::default(),
            holes: None,
            engine: None,
            helper: None,
            tunnel: TunnelType::default(),
            tunnel_port: None,
            timeouts: [0; 3],
            daemon: SyncDaemon {
                role: SyncRole::Master,
                interface: SYNC_INTERFACE.to_owned(),
                syncid: 0,
                maxlen: None,
                group: SyncDaemon::GROUP,
                port: SyncDaemon::PORT,
                ttl: SyncDaemon::TTL,
            },
        }
    }

    /// As ipvsadm does once it learns that a service is IPv6: a mask that came before is that of an
    /// IPv4 one.
    fn reset_mask(&mut self) {
        self.persistence.prefix = None;
        self.holes = None;
    }

    fn claim(&mut self, opt: Opt) -> Result<(), Failure> {
        if self.set.insert(opt) {
            return Ok(());
        }
        let name = opt.name();
        Err(Failure::argument(format!(
            "multiple '{name}' options specified"
        )))
    }
}

/// Reads `args` (without the program's name). No arguments at all ask for the list.
pub(crate) fn parse(args: &[String], context: &Context<'_>) -> Result<Line, Failure> {
    parse_with(context.dialect.switches(), args, context)
}

/// Reads the words of a line of `-R`.
pub(super) fn parse_restored(words: &[String], context: &Context<'_>) -> Result<Line, Failure> {
    parse_with(context.dialect.restored(), words, context)
}

fn parse_with(
    switches: &'static [&'static [Switch]],
    args: &[String],
    context: &Context<'_>,
) -> Result<Line, Failure> {
    let mut reader = Reader::new(args, switches);
    let mut line = Line::new(Command::List);
    let (command, value) = loop {
        match reader.read() {
            None if reader.positional().is_empty() && !args.iter().any(|arg| arg == "--") => {
                return Ok(line);
            }
            Some(Ok(Given {
                means: Means::Command(command),
                value,
            })) => break (command, value),
            Some(Ok(given)) if is_own(given.means) => own(&mut line, given)?,
            None | Some(_) => return Err(context.try_help()),
        }
    };
    line.command = command;
    if matches!(command, Command::Help | Command::Version) {
        return Ok(line); // whatever follows
    }
    if let Some(role) = value {
        line.daemon.role = daemon_role(command, &role)?;
    }
    while let Some(given) = reader.read() {
        let given = given.map_err(|bad| Failure::Option {
            culprit: reader.culprit().to_owned(),
            why: bad.0,
        })?;
        take(&mut line, given, reader.culprit(), context)?;
    }
    positional(&mut line, reader.positional())?;
    Ok(line)
}

const fn is_own(means: Means) -> bool {
    matches!(means, Means::Own(_) | Means::Place(_))
}

fn own(line: &mut Line, given: Given) -> Result<(), Failure> {
    match (given.means, given.value) {
        (Means::Own(Own::Helper), value) => {
            line.own.push(Own::Helper);
            line.helper = value.map(|name| value::helper(&name)).transpose()?;
        }
        (Means::Own(own), value) => {
            line.own.push(own);
            if let Some(seconds) = value {
                line.interval = value::bounded(&seconds, 1..=3600, "illegal interval specified")?;
            }
        }
        (Means::Place(Whereabouts::Ca), file) => line.place.ca = file,
        (_, address) => line.place.api = address,
    }
    Ok(())
}

fn daemon_role(command: Command, role: &str) -> Result<SyncRole, Failure> {
    let known = SyncRole::ALL.into_iter().find(|known| known.name() == role);
    known.ok_or_else(|| {
        Failure::argument(match command {
            Command::StartDaemon => "illegal start-daemon parameter specified",
            _ => "illegal start_daemon specified",
        })
    })
}

/// Takes over one switch after the command.
fn take(
    line: &mut Line,
    given: Given,
    culprit: &str,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let value = given.value.as_deref().unwrap_or_default();
    match given.means {
        Means::Command(_) => {
            return Err(Failure::argument(format!("invalid option `{culprit}'")));
        }
        Means::Address(protocol) => {
            line.claim(Opt::Service)?;
            let selector = address_selector(value, protocol, context)?;
            line.service = Some(selector);
            if selector.is_ipv6() {
                line.reset_mask();
            }
        }
        Means::Fwmark => {
            line.claim(Opt::Service)?;
            let mark = value::fwmark(value)?;
            line.service = Some(Selector::Mark { mark, ipv6: false });
        }
        Means::Ipv6 => {
            let Some(Selector::Mark { ipv6, .. }) = &mut line.service else {
                return Err(Failure::argument("-6 used before -f\n"));
            };
            *ipv6 = true;
            line.reset_mask();
        }
        Means::Forward(method) => {
            line.claim(Opt::Forwarding)?;
            line.method = method;
        }
        Means::Option(opt) => {
            line.claim(opt)?;
            option(line, opt, given.value.as_deref(), context)?;
        }
        Means::Sort => {}
        Means::Own(_) | Means::Place(_) => own(line, given)?,
    }
    Ok(())
}

fn address_selector(
    text: &str,
    protocol: Protocol,
    context: &Context<'_>,
) -> Result<Selector, Failure> {
    let at = address::parse(text, Some(protocol), context.names)
        .ok_or_else(|| Failure::argument("illegal virtual server address[:port] specified"))?;
    Ok(Selector::Address {
        protocol,
        address: at.address,
        port: at.port.unwrap_or(0),
    })
}

/// Checks the value of an option and keeps it where the director has a use for it.
fn option(
    line: &mut Line,
    opt: Opt,
    given: Option<&str>,
    context: &Context<'_>,
) -> Result<(), Failure> {
    const COUNT: std::ops::RangeInclusive<i64> = 0..=i32::MAX as i64;
    let value = given.unwrap_or_default();
    match opt {
        Opt::Scheduler => line.scheduler = Some(value.chars().take(15).collect()),
        Opt::Pe => line.engine = (!value.is_empty()).then(|| value.chars().take(15).collect()),
        Opt::SchedFlags => line.sched_flags = value.to_owned(),
        Opt::Persistent => {
            let timeout = given.map(|text| value::timeout(text, 1)).transpose()?;
            line.persistence.timeout = timeout.unwrap_or(Persistence::DEFAULT_TIMEOUT);
        }
        Opt::Netmask => {
            let ipv6 = line.service.as_ref().is_some_and(Selector::is_ipv6);
            (line.persistence.prefix, line.holes) =
                match value::client_mask(value, ipv6, context.dialect) {
                    Err(refusal @ Failure::Operation(_)) => (None, Some(refusal)),
                    mask => (mask?, None),
                };
        }
        Opt::RealServer => line.real = Some(real(value, line, context)?),
        Opt::Weight => line.weight = value::bounded(value, COUNT, "illegal weight specified")?,
        Opt::UThreshold => {
            line.thresholds[0] = value::bounded(value, COUNT, "illegal u_threshold specified")?;
        }
        Opt::LThreshold => {
            line.thresholds[1] = value::bounded(value, COUNT, "illegal l_threshold specified")?;
        }
        Opt::McastInterface if value.is_empty() => {}
        Opt::McastInterface => line.daemon.interface = interface(value),
        Opt::SyncId => {
            line.daemon.syncid = value::bounded(value, 0..=255, "illegal syncid specified")?;
        }
        Opt::McastGroup => line.daemon.group = value::multicast_group(value)?,
        Opt::McastPort => {
            line.daemon.port = value::bounded(value, 1..=65535, "illegal mcast-port specified")?;
        }
        Opt::McastTtl => {
            line.daemon.ttl = value::bounded(value, 1..=255, "illegal mcast-ttl specified")?;
        }
        Opt::SyncMaxlen => {
            let maxlen = value::bounded(value, 1..=65507, "illegal sync-maxlen specified")?;
            line.daemon.maxlen = Some(maxlen);
        }
        Opt::TunType => line.tunnel = value::tunnel_type(value)?,
        Opt::TunPort => {
            let port = value::bounded(value, 1..=65535, "illegal tunnel port specified")?;
            line.tunnel_port = Some(port);
        }
        _ => {}
    }
    Ok(())
}

/// As much of a name as the kernel has room for (`IP_VS_IFNAME_MAXLEN`).
fn interface(name: &str) -> String {
    name.chars().take(15).collect()
}

fn real(text: &str, line: &Line, context: &Context<'_>) -> Result<HostPort, Failure> {
    let protocol = line.service.as_ref().map(Selector::protocol);
    address::parse(text, protocol, context.names)
        .ok_or_else(|| Failure::argument("illegal real server address[:port] specified"))
}

/// What is not a switch: the three values of `--set`, and nothing else.
fn positional(line: &mut Line, mut rest: &[&str]) -> Result<(), Failure> {
    if line.command == Command::Set {
        let [tcp, tcpfin, udp, more @ ..] = rest else {
            return Err(Failure::argument("--set option requires 3 timeout values"));
        };
        for (slot, text) in line.timeouts.iter_mut().zip([tcp, tcpfin, udp]) {
            *slot = value::timeout(text, 0)?;
        }
        rest = more;
    }
    match rest.first() {
        Some(extra) => Err(Failure::argument(format!("unexpected argument {extra}"))),
        None => Ok(()),
    }
}
