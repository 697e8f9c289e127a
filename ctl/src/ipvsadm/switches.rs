//! How each command and option of the grammar is spelled, as tables; `popt` reads a line by them.

use adminapi::model::Protocol;

use super::grammar::Opt::*;
use super::grammar::{Command, Method, Opt, Own};

/// As whom the program answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `bulwark`: ipvsadm's options and a few of its own.
    Bulwark,
    /// `ipvsadm`: that and nothing else.
    Ipvsadm,
}

impl Dialect {
    /// Those that a line may have.
    pub(super) const fn switches(self) -> &'static [&'static [Switch]] {
        match self {
            Self::Bulwark => &[SWITCHES, OWN_SWITCHES],
            Self::Ipvsadm => &[SWITCHES],
        }
    }

    /// Those that a line of `-R` may have.
    pub(super) const fn restored(self) -> &'static [&'static [Switch]] {
        match self {
            Self::Bulwark => self.switches(),
            Self::Ipvsadm => &[SWITCHES, SAVED_SWITCHES],
        }
    }
}

/// What a switch stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// A command.
    Command(Command),
    /// `-t`, `-u`, `--sctp-service`.
    Address(Protocol),
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
    ("tcp-service", Some('t'), Takes::Value, Means::Address(Protocol::Tcp)),
    ("udp-service", Some('u'), Takes::Value, Means::Address(Protocol::Udp)),
    ("sctp-service", None, Takes::Value, Means::Address(Protocol::Sctp)),
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

/// The spellings that `ipvsadm -S` writes though ipvsadm has none like them: `-R` reads them, by
/// whatever name.
#[rustfmt::skip]
pub(crate) const SAVED_SWITCHES: &[Switch] = switches![
    ("fullnat", None, Takes::Nothing, Means::Forward(Method::FullNat)),
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
