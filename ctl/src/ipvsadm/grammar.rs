//! The option grammar of ipvsadm 1.31 as tables: how each command and option is spelled, and
//! which option goes with which command. Nothing here acts; `popt` reads a line by [`SWITCHES`],
//! `check` judges it by [`Command::rule`] and [`TunnelType::rule`].

/// What a line asks for; its first option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    AddService,
    EditService,
    DeleteService,
    Flush,
    List,
    AddServer,
    DeleteServer,
    EditServer,
    Set,
    StartDaemon,
    StopDaemon,
    Restore,
    Save,
    Zero,
    Help,
    Version,
}

/// An option as the messages know it. Declared in the order in which they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opt {
    Numeric,
    Connection,
    Service,
    Scheduler,
    Persistent,
    Netmask,
    RealServer,
    Forwarding,
    Weight,
    UThreshold,
    LThreshold,
    McastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    NoSort,
    SyncId,
    Exact,
    Ops,
    Pe,
    SchedFlags,
    McastGroup,
    McastPort,
    McastTtl,
    SyncMaxlen,
    TunInfo,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
}

use Opt::*;

/// Every option and its name in messages, in the order in which they are checked.
pub(crate) const OPTIONS: [(Opt, &str); 34] = [
    (Numeric, "numeric"),
    (Connection, "connection"),
    (Service, "service-address"),
    (Scheduler, "scheduler"),
    (Persistent, "persistent"),
    (Netmask, "netmask"),
    (RealServer, "real-server"),
    (Forwarding, "forwarding-method"),
    (Weight, "weight"),
    (UThreshold, "u-threshold"),
    (LThreshold, "l-threshold"),
    (McastInterface, "mcast-interface"),
    (Timeout, "timeout"),
    (Daemon, "daemon"),
    (Stats, "stats"),
    (Rate, "rate"),
    (Thresholds, "thresholds"),
    (PersistentConn, "persistent-conn"),
    (NoSort, "nosort"),
    (SyncId, "syncid"),
    (Exact, "exact"),
    (Ops, "ops"),
    (Pe, "pe"),
    (SchedFlags, "sched-flags"),
    (McastGroup, "mcast-group"),
    (McastPort, "mcast-port"),
    (McastTtl, "mcast-ttl"),
    (SyncMaxlen, "sync-maxlen"),
    (TunInfo, "tun-info"),
    (TunType, "tun-type"),
    (TunPort, "tun-port"),
    (TunNocsum, "tun-nocsum"),
    (TunCsum, "tun-csum"),
    (TunRemcsum, "tun-remcsum"),
];

impl Opt {
    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        OPTIONS
            .iter()
            .find(|(opt, _)| *opt == self)
            .map_or("", |(_, name)| name)
    }
}

/// A set of options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OptSet(u64);

impl OptSet {
    /// The set of these.
    pub(crate) const fn of(options: &[Opt]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < options.len() {
            bits |= 1 << options[i] as u64;
            i += 1;
        }
        Self(bits)
    }

    /// Whether `opt` is in it.
    pub(crate) const fn has(self, opt: Opt) -> bool {
        self.0 & (1 << opt as u64) != 0
    }

    /// Whether the two have one in common.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What the two have in common.
    pub(crate) const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Puts `opt` in; false if it was there already.
    pub(crate) const fn insert(&mut self, opt: Opt) -> bool {
        let new = !self.has(opt);
        self.0 |= 1 << opt as u64;
        new
    }
}

/// Which options go with something; all others are illegal with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Name in messages.
    pub(crate) name: &'static str,
    /// Must be given.
    pub(crate) required: OptSet,
    /// May be given.
    pub(crate) optional: OptSet,
    /// At most one of these may be given.
    pub(crate) one_of: OptSet,
}

impl Rule {
    const fn new(name: &'static str, required: &[Opt], optional: &[Opt], one_of: &[Opt]) -> Self {
        Self {
            name,
            required: OptSet::of(required),
            optional: OptSet::of(optional),
            one_of: OptSet::of(one_of),
        }
    }
}

const OF_SERVICE: &[Opt] = &[Scheduler, Persistent, Netmask, Ops, Pe, SchedFlags];
const OF_REAL: &[Opt] = &[
    Forwarding, Weight, UThreshold, LThreshold, TunType, TunPort, TunNocsum, TunCsum, TunRemcsum,
];
const OF_LIST: &[Opt] = &[
    Numeric,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    NoSort,
    SyncId,
    Exact,
    TunInfo,
];
const OF_DAEMON: &[Opt] = &[
    McastInterface,
    SyncId,
    McastGroup,
    McastPort,
    McastTtl,
    SyncMaxlen,
];
const LIST_ONE_OF: &[Opt] = &[Connection, Service, Timeout, Daemon];
const REAL_REQUIRED: &[Opt] = &[Service, RealServer];

impl Command {
    /// Which options go with it.
    pub(crate) const fn rule(self) -> Rule {
        match self {
            Self::AddService => Rule::new("add-service", &[Service], OF_SERVICE, &[]),
            Self::EditService => Rule::new("edit-service", &[Service], OF_SERVICE, &[]),
            Self::DeleteService => Rule::new("delete-service", &[Service], &[], &[]),
            Self::Flush => Rule::new("flush", &[], &[], &[]),
            Self::List => Rule::new("list", &[], OF_LIST, LIST_ONE_OF),
            Self::AddServer => Rule::new("add-server", REAL_REQUIRED, OF_REAL, &[]),
            Self::DeleteServer => Rule::new("delete-server", REAL_REQUIRED, &[], &[]),
            Self::EditServer => Rule::new("edit-server", REAL_REQUIRED, OF_REAL, &[]),
            Self::Set => Rule::new("set", &[], &[], &[]),
            Self::StartDaemon => Rule::new("start-daemon", &[], OF_DAEMON, &[]),
            Self::StopDaemon => Rule::new("stop-daemon", &[], &[SyncId], &[]),
            Self::Restore => Rule::new("restore", &[], &[], &[]),
            Self::Save => Rule::new("save", &[], &[Numeric], &[]),
            Self::Zero => Rule::new("zero", &[], &[Service], &[]),
            Self::Help => Rule::new("help", &[], &[], &[]),
            Self::Version => Rule::new("version", &[], &[], &[]),
        }
    }
}

/// How a tunnel wraps packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TunnelType {
    #[default]
    Ipip,
    Gue,
    Gre,
}

impl TunnelType {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Ipip, Self::Gue, Self::Gre];
    /// The options that only a tunnel has.
    pub(crate) const OPTIONS: OptSet =
        OptSet::of(&[TunType, TunPort, TunNocsum, TunCsum, TunRemcsum]);

    /// Which tunnel options go with it.
    pub(crate) const fn rule(self) -> Rule {
        match self {
            Self::Ipip => Rule::new("ipip", &[], &[TunType], &[]),
            Self::Gue => Rule::new(
                "gue",
                &[TunPort],
                &[TunType],
                &[TunNocsum, TunCsum, TunRemcsum],
            ),
            Self::Gre => Rule::new("gre", &[], &[TunType], &[TunNocsum, TunCsum]),
        }
    }
}

/// How packets reach a real server, as the line says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Method {
    /// `-g`, the default of ipvsadm.
    #[default]
    Route,
    /// `-i`.
    Tunnel,
    /// `-m`.
    Masq,
    /// `--fullnat`, not of ipvsadm.
    FullNat,
}

/// Transport of a service selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    Sctp,
}

/// What a switch stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// A command.
    Command(Command),
    /// `-t`, `-u`, `--sctp-service`.
    Address(Transport),
    /// `-f`.
    Fwmark,
    /// `-6`.
    Ipv6,
    /// `-g`, `-i`, `-m`.
    Forward(Method),
    /// An option with a value or none.
    Option(Opt),
    /// `--sort`, which changes nothing.
    Sort,
    /// Not of ipvsadm.
    Own(Own),
    /// `--api` and `--ca`, not of ipvsadm: where the director is, and who says that it is he.
    Place(Whereabouts),
}

/// What a line says of where the director is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// Its address.
    Api,
    /// Who signs its certificate.
    Ca,
}

/// An option that only `bulwark` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// Listings as JSON.
    Json,
    /// Listings again and again.
    Watch,
    /// All that can be saved.
    Full,
    /// All lines or none.
    Atomic,
    /// Only says what would be done.
    DryRun,
    /// What follows the connections of a service.
    Helper,
}

impl Own {
    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        let mut rules = OWN_RULES.iter();
        rules
            .find(|(own, ..)| *own == self)
            .map_or("", |(_, name, _)| name)
    }
}

/// What each is called in messages, and the commands that it goes with.
pub(crate) const OWN_RULES: [(Own, &str, &[Command]); 6] = [
    (Own::Json, "json", &[Command::List]),
    (Own::Watch, "watch", &[Command::List]),
    (Own::Full, "full", &[Command::Save]),
    (Own::Atomic, "atomic", &[Command::Restore]),
    (Own::DryRun, "dry-run", &[Command::Restore]),
    (
        Own::Helper,
        "helper",
        &[Command::AddService, Command::EditService],
    ),
];

/// Whether a switch has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// None.
    Nothing,
    /// Always.
    Value,
    /// The next argument unless that begins with `-`.
    Maybe,
}

/// A spelling of a command or an option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switch {
    /// After `--`.
    pub(crate) long: &'static str,
    /// After `-`.
    pub(crate) short: Option<char>,
    /// Its value.
    pub(crate) takes: Takes,
    /// What it stands for.
    pub(crate) means: Means,
}

impl Switch {
    const fn row(row: (&'static str, Option<char>, Takes, Means)) -> Self {
        let (long, short, takes, means) = row;
        Self {
            long,
            short,
            takes,
            means,
        }
    }
}

macro_rules! switches {
    ($(($($row:tt)*),)*) => { &[$(Switch::row(($($row)*))),*] };
}

/// Every spelling of ipvsadm 1.31.
#[rustfmt::skip]
pub(crate) const SWITCHES: &[Switch] = switches![
    ("add-service", Some('A'), Takes::Nothing, Means::Command(Command::AddService)),
    ("edit-service", Some('E'), Takes::Nothing, Means::Command(Command::EditService)),
    ("delete-service", Some('D'), Takes::Nothing, Means::Command(Command::DeleteService)),
    ("clear", Some('C'), Takes::Nothing, Means::Command(Command::Flush)),
    ("restore", Some('R'), Takes::Nothing, Means::Command(Command::Restore)),
    ("save", Some('S'), Takes::Nothing, Means::Command(Command::Save)),
    ("add-server", Some('a'), Takes::Nothing, Means::Command(Command::AddServer)),
    ("edit-server", Some('e'), Takes::Nothing, Means::Command(Command::EditServer)),
    ("delete-server", Some('d'), Takes::Nothing, Means::Command(Command::DeleteServer)),
    ("list", Some('L'), Takes::Nothing, Means::Command(Command::List)),
    ("list", Some('l'), Takes::Nothing, Means::Command(Command::List)),
    ("zero", Some('Z'), Takes::Nothing, Means::Command(Command::Zero)),
    ("set", None, Takes::Nothing, Means::Command(Command::Set)),
    ("start-daemon", None, Takes::Value, Means::Command(Command::StartDaemon)),
    ("stop-daemon", None, Takes::Value, Means::Command(Command::StopDaemon)),
    ("help", Some('h'), Takes::Nothing, Means::Command(Command::Help)),
    ("version", Some('v'), Takes::Nothing, Means::Command(Command::Version)),
    ("tcp-service", Some('t'), Takes::Value, Means::Address(Transport::Tcp)),
    ("udp-service", Some('u'), Takes::Value, Means::Address(Transport::Udp)),
    ("sctp-service", None, Takes::Value, Means::Address(Transport::Sctp)),
    ("fwmark-service", Some('f'), Takes::Value, Means::Fwmark),
    ("ipv6", Some('6'), Takes::Nothing, Means::Ipv6),
    ("scheduler", Some('s'), Takes::Value, Means::Option(Scheduler)),
    ("sched-flags", Some('b'), Takes::Value, Means::Option(SchedFlags)),
    ("persistent", Some('p'), Takes::Maybe, Means::Option(Persistent)),
    ("netmask", Some('M'), Takes::Value, Means::Option(Netmask)),
    ("pe", None, Takes::Value, Means::Option(Pe)),
    ("ops", Some('o'), Takes::Nothing, Means::Option(Ops)),
    ("real-server", Some('r'), Takes::Value, Means::Option(RealServer)),
    ("gatewaying", Some('g'), Takes::Nothing, Means::Forward(Method::Route)),
    ("ipip", Some('i'), Takes::Nothing, Means::Forward(Method::Tunnel)),
    ("masquerading", Some('m'), Takes::Nothing, Means::Forward(Method::Masq)),
    ("tun-type", None, Takes::Value, Means::Option(TunType)),
    ("tun-port", None, Takes::Value, Means::Option(TunPort)),
    ("tun-nocsum", None, Takes::Nothing, Means::Option(TunNocsum)),
    ("tun-csum", None, Takes::Nothing, Means::Option(TunCsum)),
    ("tun-remcsum", None, Takes::Nothing, Means::Option(TunRemcsum)),
    ("weight", Some('w'), Takes::Value, Means::Option(Weight)),
    ("u-threshold", Some('x'), Takes::Value, Means::Option(UThreshold)),
    ("l-threshold", Some('y'), Takes::Value, Means::Option(LThreshold)),
    ("connection", Some('c'), Takes::Nothing, Means::Option(Connection)),
    ("numeric", Some('n'), Takes::Nothing, Means::Option(Numeric)),
    ("exact", Some('X'), Takes::Nothing, Means::Option(Exact)),
    ("timeout", None, Takes::Nothing, Means::Option(Timeout)),
    ("daemon", None, Takes::Nothing, Means::Option(Daemon)),
    ("stats", None, Takes::Nothing, Means::Option(Stats)),
    ("rate", None, Takes::Nothing, Means::Option(Rate)),
    ("thresholds", None, Takes::Nothing, Means::Option(Thresholds)),
    ("persistent-conn", None, Takes::Nothing, Means::Option(PersistentConn)),
    ("tun-info", None, Takes::Nothing, Means::Option(TunInfo)),
    ("nosort", None, Takes::Nothing, Means::Option(NoSort)),
    ("sort", None, Takes::Nothing, Means::Sort),
    ("mcast-interface", None, Takes::Value, Means::Option(McastInterface)),
    ("syncid", None, Takes::Value, Means::Option(SyncId)),
    ("mcast-group", None, Takes::Value, Means::Option(McastGroup)),
    ("mcast-port", None, Takes::Value, Means::Option(McastPort)),
    ("mcast-ttl", None, Takes::Value, Means::Option(McastTtl)),
    ("sync-maxlen", None, Takes::Value, Means::Option(SyncMaxlen)),
];

/// The spellings that only `bulwark` has. `--json`, `--api` and `--ca` may stand before the
/// command.
#[rustfmt::skip]
pub(crate) const OWN_SWITCHES: &[Switch] = switches![
    ("json", None, Takes::Nothing, Means::Own(Own::Json)),
    ("watch", None, Takes::Maybe, Means::Own(Own::Watch)),
    ("full", None, Takes::Nothing, Means::Own(Own::Full)),
    ("atomic", None, Takes::Nothing, Means::Own(Own::Atomic)),
    ("dry-run", None, Takes::Nothing, Means::Own(Own::DryRun)),
    ("helper", None, Takes::Value, Means::Own(Own::Helper)),
    ("api", None, Takes::Value, Means::Place(Whereabouts::Api)),
    ("ca", None, Takes::Value, Means::Place(Whereabouts::Ca)),
    ("fullnat", None, Takes::Nothing, Means::Forward(Method::FullNat)),
];
