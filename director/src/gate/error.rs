//! What can go wrong on the way to an attached gate, each with its mend.

use std::io;
use std::path::PathBuf;

/// Why the gate could not be loaded, attached or told.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// No such interface in this network namespace.
    #[error("there is no interface `{0}` here; `ip link` lists those there are")]
    MissingInterface(String),
    /// The interface cannot be driven.
    #[error(
        "interface `{name}` has {queues} receive queues, the director drives up to {max}; reduce them with `ethtool -L {name} combined {max}`"
    )]
    TooManyQueues {
        /// Interface.
        name: String,
        /// What it has.
        queues: u32,
        /// What the gate has room for.
        max: u32,
    },
    /// Somebody else's XDP program is there.
    #[error(
        "interface `{0}` already has an XDP program; if it is that of another bulwarkd, stop that one; if one with `pin` has left it, set that `pin` again under [datapath], or remove it with `bulwarkd detach --pin DIR`; any other one `ip link show {0}` names: stop who has put it there, or remove it with `ip link set dev {0} xdp off` (`xdpgeneric off`)"
    )]
    Busy(String),
    /// No privilege.
    #[error(
        "loading BPF needs root or CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW; start bulwarkd as root"
    )]
    Permission,
    /// The kernel or the driver cannot do it.
    #[error(
        "interface `{name}` takes no XDP program in {mode} mode ({error}); set `mode = \"generic\"` under [datapath], or check MTU and LRO (`ethtool -K {name} lro off`)"
    )]
    Unsupported {
        /// Interface.
        name: String,
        /// What was tried.
        mode: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
    /// The kernel refused the program.
    #[error("the kernel does not load the gate: {0}; Linux 5.13 or newer is needed")]
    Load(String),
    /// tc has no links.
    #[error(
        "a real server that is the director itself is reached by NAT in Linux 6.6 and newer only; \
         use direct routing (`-g`)"
    )]
    NoTcx,
    /// The program for the answers of this host's own programs was refused.
    #[error("the answers of real servers on this host cannot be taken at tc egress: {0}")]
    Answers(String),
    /// A map did not take an entry.
    #[error("the gate's map `{map}` refused an entry: {error}")]
    Map {
        /// Its name in `bpf/maps.h`.
        map: &'static str,
        /// What libbpf said.
        error: libbpf_rs::Error,
    },
    /// The table of endpoints is full.
    #[error(
        "the gate has no room for another endpoint: it knows some 130,000 services, real servers and their addresses"
    )]
    TooManyEndpoints,
    /// The flow cache cannot be reached.
    #[error("cannot map the gate's flow cache: {0}; lower `flows` under [datapath]")]
    FlowMemory(io::Error),
    /// Nobody can tell whether interfaces deliver.
    #[error("this kernel does not say whether redirected packets arrive: {0}")]
    Lanes(libbpf_rs::Error),
    /// Nothing can be pinned there.
    #[error(
        "{} is in no BPF file system; mount one (`mount -t bpf bpf /sys/fs/bpf`; `ip netns exec` hides it), or set `pin` under [datapath] to a directory in one",
        .0.display()
    )]
    NoBpffs(PathBuf),
    /// Another director's gate is there.
    #[error(
        "another bulwarkd has the gate of {}; stop that one, or give this one a `pin` of its own under [datapath]",
        .0.display()
    )]
    Pinned(PathBuf),
    /// The BPF file system's.
    #[error("cannot pin the gate: {}: {error}", path.display())]
    Pin {
        /// Of what.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The program that was there stays.
    #[error(
        "cannot put the gate in the place of the pinned one: {0}; `bulwarkd detach` removes that"
    )]
    Successor(io::Error),
    /// Queues have come that the gate is not on.
    #[error("cannot put the gate on further queues of `{name}`: {error}")]
    Further {
        /// Interface.
        name: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The list of interfaces is empty.
    #[error("no interface is configured; set [datapath] interfaces = [\"eth0\"]")]
    NoInterface,
}
