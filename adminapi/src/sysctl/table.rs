//! The table of all sysctls, by name.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::PREFIX;
use super::value::Value;

/// What a sysctl takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number in a range.
    Number(RangeInclusive<i64>),
    /// A defence: 0 off, 1 automatic, 2 automatic and under attack, 3 on. A 2 that is written
    /// becomes a 1: the kernel judges for itself whether it is under attack.
    Defence,
    /// A power of two.
    PowerOfTwo,
    /// `sync_threshold`: a number and a larger one, or a number and 0.
    Threshold,
    /// A list of CPUs, as in `0-3,8`.
    CpuList,
}

/// What comes of a sysctl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What it does in the kernel.
    Works,
    /// Nothing, for this reason.
    None(&'static str),
}

use Effect::Works;

/// A C `int`, which is what most of them are.
const INT: Kind = Kind::Number(i32::MIN as i64..=i32::MAX as i64);
/// Seconds that the kernel keeps as ticks of 4 ms in an `int`.
const SECONDS: Kind = Kind::Number(-8_589_934..=8_589_934);

const fn number(from: i64, to: i64) -> Kind {
    Kind::Number(from..=to)
}

const NO_SYNC: Effect = Effect::None("nothing is synchronised with another director");
const NO_ESTIMATOR: Effect = Effect::None("rates need no thread of their own");
const FIXED_TABLES: Effect =
    Effect::None("[limits] sizes the connection table; services need none");
const LOCALITY: Effect = Effect::None("the cache of lblc and lblcr makes room by use, not by age");

macro_rules! sysctls {
    ($($(#[$doc:meta])* $id:ident $name:ident = $default:expr, $kind:expr, $effect:expr;)*) => {
        /// A sysctl of IPVS.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Sysctl {
            $($(#[$doc])* $id,)*
        }

        impl Sysctl {
            /// How many there are.
            pub const COUNT: usize = [$(stringify!($name)),*].len();

            /// All of them, by name.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$id),*];

            /// Name without [`PREFIX`].
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$id => stringify!($name),)*
                }
            }

            /// What it takes.
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$id => $kind,)*
                }
            }

            /// What it is unless somebody writes to it.
            pub const fn default_value(self) -> Value {
                match self {
                    $(Self::$id => $default,)*
                }
            }

            /// What comes of it.
            pub const fn effect(self) -> Effect {
                match self {
                    $(Self::$id => $effect,)*
                }
            }
        }
    };
}

use Value::{Number, Pair, Text};

sysctls! {
    /// Of how many new connections `drop_packet` drops one when it is 3.
    AmDroprate am_droprate = Number(10), INT, Effect::Works;
    /// Free memory, in pages, below which the automatic defences begin.
    Amemthresh amemthresh = Number(1024), INT, Effect::Works;
    /// A backup director does not forward.
    BackupOnly backup_only = Number(0), INT, NO_SYNC;
    /// Packets of a mark's service without real servers are routed on.
    CacheBypass cache_bypass = Number(0), INT, Works;
    /// How full the table of connections may be before it grows.
    ConnLfactor conn_lfactor = Number(-4), number(-8, 8), FIXED_TABLES;
    /// When a client port that comes again is scheduled anew: bit 0 after TIME_WAIT and CLOSE,
    /// bit 1 after FIN_WAIT too where the real server's half is not seen.
    ConnReuseMode conn_reuse_mode = Number(1), INT, Works;
    /// Connections have entries of netfilter's connection tracking too.
    Conntrack conntrack = Number(0), INT,
        Effect::None("forwarded packets do not pass netfilter");
    /// Half-open connections are dropped at random.
    DropEntry drop_entry = Number(0), Kind::Defence, Effect::Works;
    /// New connections are dropped at a rate.
    DropPacket drop_packet = Number(0), Kind::Defence, Effect::Works;
    /// CPUs of the threads that estimate rates.
    EstCpulist est_cpulist = Text(String::new()), Kind::CpuList, NO_ESTIMATOR;
    /// Niceness of the threads that estimate rates.
    EstNice est_nice = Number(0), number(-20, 19), NO_ESTIMATOR;
    /// Connections of a removed real server end at once.
    ExpireNodestConn expire_nodest_conn = Number(0), INT, Works;
    /// Clients of a persistent service leave a real server of weight 0 with their next
    /// connection.
    ExpireQuiescentTemplate expire_quiescent_template = Number(0), INT,
        Effect::Works;
    /// Packets of protocols that IPVS does not know are left alone.
    IgnoreTunneled ignore_tunneled = Number(0), INT,
        Effect::None("always so: other protocols are the host's");
    /// Seconds that an entry of lblc's cache lives.
    LblcExpiration lblc_expiration = Number(86_400), SECONDS, LOCALITY;
    /// Seconds that an entry of lblcr's cache lives.
    LblcrExpiration lblcr_expiration = Number(86_400), SECONDS, LOCALITY;
    /// A real server whose packet belongs to no connection is told so.
    NatIcmpSend nat_icmp_send = Number(0), INT, Works;
    /// Whether a tunnel keeps DF and tells clients of its MTU.
    PmtuDisc pmtu_disc = Number(1), INT, Works;
    /// Whether rates are estimated.
    RunEstimation run_estimation = Number(1), INT, Works;
    /// An ICMP error about no connection is given to a real server of the service.
    ScheduleIcmp schedule_icmp = Number(0), INT, Works;
    /// TCP states that make it harder for a flood to hold connections.
    SecureTcp secure_tcp = Number(0), Kind::Defence, Effect::Works;
    /// SCTP connections may begin in the middle.
    SloppySctp sloppy_sctp = Number(0), INT, Works;
    /// TCP connections may begin in the middle.
    SloppyTcp sloppy_tcp = Number(0), INT, Works;
    /// Answers of real servers are routed anew after translation.
    SnatReroute snat_reroute = Number(1), INT,
        Effect::None("always so: the next hop is looked up when a packet leaves");
    /// How full the table of services may be before it grows.
    SvcLfactor svc_lfactor = Number(-3), number(-8, 8), FIXED_TABLES;
    /// What is synchronised of persistence.
    SyncPersistMode sync_persist_mode = Number(0), INT, NO_SYNC;
    /// Ports that synchronisation uses.
    SyncPorts sync_ports = Number(1), Kind::PowerOfTwo, NO_SYNC;
    /// Messages of synchronisation that wait at most. The kernel's default depends on its memory.
    SyncQlenMax sync_qlen_max = Number(0), number(0, i64::MAX), NO_SYNC;
    /// Seconds between two messages about a connection that goes on.
    SyncRefreshPeriod sync_refresh_period = Number(0), SECONDS, NO_SYNC;
    /// How often a message is repeated.
    SyncRetries sync_retries = Number(0), number(0, 3), NO_SYNC;
    /// Bytes of the socket's buffer.
    SyncSockSize sync_sock_size = Number(0), INT, NO_SYNC;
    /// Which packets of a connection make a message: the first so many, then each so many.
    SyncThreshold sync_threshold = Pair([3, 50]), Kind::Threshold, NO_SYNC;
    /// Format of the messages.
    SyncVersion sync_version = Number(1), number(0, 1), NO_SYNC;
}

/// There is no such sysctl.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no sysctl {0}")]
pub struct NoSysctl(pub String);

impl FromStr for Sysctl {
    type Err = NoSysctl;

    /// Reads a name, with or without [`PREFIX`]; `/` stands for `.`, as with `sysctl`.
    fn from_str(text: &str) -> Result<Self, NoSysctl> {
        let dotted = text.replace('/', ".");
        let name = dotted.strip_prefix(PREFIX).unwrap_or(&dotted);
        let found = Self::ALL.into_iter().find(|sysctl| sysctl.name() == name);
        found.ok_or_else(|| NoSysctl(text.to_owned()))
    }
}

impl fmt::Display for Sysctl {
    /// The name with [`PREFIX`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.name())
    }
}
