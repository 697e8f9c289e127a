//! What the process may do, before it tries: the capabilities that it needs, whoever it runs as.

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A capability (capabilities(7)) with its number, what it is for, and a wider one that has it.
pub struct Capability {
    name: &'static str,
    bit: u32,
    wider: Option<u32>,
    what: &'static str,
}

const SYS_ADMIN: u32 = 21;

/// What an agent needs: it loads a program and attaches it.
pub const AGENT: &[Capability] = &[
    Capability {
        name: "CAP_NET_ADMIN",
        bit: 12,
        wider: None,
        what: "attaching BPF programs",
    },
    Capability {
        name: "CAP_PERFMON",
        bit: 38,
        wider: Some(SYS_ADMIN),
        what: "loading BPF programs",
    },
    Capability {
        name: "CAP_BPF",
        bit: 39,
        wider: Some(SYS_ADMIN),
        what: "loading BPF programs",
    },
];

/// What a director needs on top.
pub const DIRECTOR: &[Capability] = &[Capability {
    name: "CAP_NET_RAW",
    bit: 13,
    wider: None,
    what: "AF_XDP",
}];

/// Says which of the capabilities are missing, if any is.
///
/// # Errors
/// They, and what each is for.
pub fn check<'a>(needed: impl IntoIterator<Item = &'a Capability>) -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status");
    let status = status.context("cannot read what the process may do")?;
    let effective =
        effective(&status).context("the kernel does not say what the process may do")?;
    let missing = missing(needed, effective);
    if !missing.is_empty() {
        bail!(
            "missing: {}; start it as root, or with these capabilities",
            missing.join(", ")
        );
    }
    Ok(())
}

/// Lets the process have as many descriptors as the host allows it: each check that waits and each
/// client of the API has one. What it begins with is meant for programs that use select(2).
///
/// # Errors
/// What the kernel says.
pub fn raise_descriptors() -> Result<()> {
    let limit = Resource::RLIMIT_NOFILE;
    let raised = getrlimit(limit).and_then(|(_, most)| setrlimit(limit, most, most));
    raised.context("cannot raise the limit of open files")
}

/// `CapEff` of `/proc/self/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing<'a>(needed: impl IntoIterator<Item = &'a Capability>, effective: u64) -> Vec<String> {
    let has = |bit: u32| effective & (1 << bit) != 0;
    needed
        .into_iter()
        .filter(|needed| !has(needed.bit) && !needed.wider.is_some_and(has))
        .map(|needed| format!("{} ({})", needed.name, needed.what))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let needed = || AGENT.iter().chain(DIRECTOR);
        let all = needed().fold(0, |set, needed| set | 1 << needed.bit);
        let before_cap_bpf = (1 << 12) | (1 << 13) | (1 << SYS_ADMIN);
        for enough in [all, u64::MAX, before_cap_bpf] {
            assert_eq!(missing(needed(), enough), Vec::<String>::new());
        }
        assert_eq!(
            missing(needed(), all & !(1 << 13)),
            ["CAP_NET_RAW (AF_XDP)"]
        );
        assert_eq!(missing(AGENT, all & !(1 << 13)), Vec::<String>::new());
        assert_eq!(missing(needed(), 0).len(), needed().count());
    }

    #[test]
    fn the_effective_set_is_read() {
        assert_eq!(
            effective("Name:\tx\nCapEff:\t0000000000003000\n"),
            Some(0x3000)
        );
        assert_eq!(effective("Name:\tx\n"), None);
    }
}
