//! What can go wrong on the way to a decapsulating agent, each with its mend.

/// Why the program could not be loaded, attached or told.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No such interface in this network namespace.
    #[error("there is no interface `{0}` here; `ip link` lists those there are")]
    MissingInterface(String),
    /// It was there when the agent started.
    #[error("interface `{0}` is gone; start the agent again when it is back")]
    LostInterface(String),
    /// A tunnel, loopback or the like.
    #[error(
        "interface `{0}` is no Ethernet interface; name the one that the directors' packets come in by"
    )]
    NotEthernet(String),
    /// No privilege.
    #[error(
        "loading BPF needs root or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; start the agent as root"
    )]
    Permission,
    /// Too old for a link, and a link was asked for.
    #[error(
        "this kernel has no tcx links; set hook = \"clsact\" under [agent], or use Linux 6.6 or newer"
    )]
    NoTcx,
    /// The kernel does not attach the program.
    #[error("interface `{name}` takes no program at tc ingress: {why}")]
    Attach {
        /// Interface.
        name: String,
        /// What the kernel said.
        why: String,
    },
    /// The kernel does not take a filter off.
    #[error(
        "the filter at tc ingress of `{name}` stays: {why}; `tc filter del dev {name} ingress pref 2817` removes it"
    )]
    Detach {
        /// Interface.
        name: String,
        /// What the kernel said.
        why: String,
    },
    /// Another agent has the interface.
    #[error("an agent runs on `{0}` already; end that one first (`systemctl stop bulwark-agent`)")]
    Taken(String),
    /// The kernel refused the program.
    #[error("the kernel does not load the agent: {0}; Linux 5.13 or newer is needed")]
    Load(String),
    /// A map did not take an entry, or give one.
    #[error("the agent's map `{map}` refused an entry: {source}")]
    Map {
        /// Its name in `bpf/agent/maps.h`.
        map: &'static str,
        /// What libbpf said.
        source: libbpf_rs::Error,
    },
}
