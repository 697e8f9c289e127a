//! The option grammar of ipvsadm 1.31 as tables: which option goes with which command. Nothing here
//! acts; `check` judges a line by [`Command::rule`] and [`TunnelType::rule`].

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
