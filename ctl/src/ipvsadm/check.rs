//! What is wrong with the combination of a line's options.

use super::failure::Failure;
use super::grammar::{Command, Method, OPTIONS, OWN_RULES, Opt, OptSet, Own, Rule, TunnelType};
use super::parse::{Line, Selector};

/// The scheduler of a service that names none.
const DEFAULT_SCHEDULER: &str = "wlc";

/// Judges a line by the tables and by sense, in the order of ipvsadm.
pub(crate) fn check(line: &Line) -> Result<(), Failure> {
    scheduler_flags(line)?;
    against(&line.command.rule(), "command", line.set)?;
    own(line)?;
    match line.command {
        Command::AddService | Command::EditService => service(line),
        Command::AddServer | Command::EditServer => real(line),
        Command::List => list(line),
        _ => Ok(()),
    }
}

/// Judges `set` by one rule; `noun` is what the rule is about.
fn against(rule: &Rule, noun: &str, set: OptSet) -> Result<(), Failure> {
    let name = rule.name;
    let mut chosen: Option<&str> = None;
    for (opt, opt_name) in OPTIONS {
        if !set.has(opt) {
            if rule.required.has(opt) {
                return Err(Failure::argument(format!(
                    "You need to supply the '{opt_name}' option for the '{name}' {noun}"
                )));
            }
        } else if rule.one_of.has(opt) {
            if let Some(other) = chosen.replace(opt_name) {
                return Err(Failure::argument(format!(
                    "The option '{opt_name}' conflicts with the '{other}' option in the '{name}' {noun}"
                )));
            }
        } else if !rule.required.has(opt) && !rule.optional.has(opt) {
            return Err(Failure::argument(format!(
                "Illegal '{opt_name}' option with the '{name}' {noun}"
            )));
        }
    }
    Ok(())
}

/// What is not in the tables of ipvsadm.
fn own(line: &Line) -> Result<(), Failure> {
    let name = line.command.rule().name;
    let illegal = OWN_RULES
        .iter()
        .find(|(own, _, commands)| line.own.contains(own) && !commands.contains(&line.command));
    if let Some((_, own, _)) = illegal {
        return Err(Failure::argument(format!(
            "Illegal '{own}' option with the '{name}' command"
        )));
    }
    if line.own.contains(&Own::DryRun) && !line.own.contains(&Own::Atomic) {
        return Err(Failure::argument(format!(
            "You need to supply the 'atomic' option for the 'dry-run' of the '{name}' command"
        )));
    }
    Ok(())
}

fn service(line: &Line) -> Result<(), Failure> {
    let Some(Selector::Address { protocol, port, .. }) = line.service else {
        return Ok(());
    };
    if port == 0 && !line.set.has(Opt::Persistent) {
        return Err(Failure::argument(
            "Zero port specified for non-persistent service",
        ));
    }
    if line.set.has(Opt::Ops) && protocol != adminapi::model::Protocol::Udp {
        return Err(Failure::argument(
            "One-Packet Scheduling is only for UDP virtual services",
        ));
    }
    Ok(())
}

/// The name of the scheduler; no name is the default.
pub(crate) fn scheduler(line: &Line) -> &str {
    let named = line.scheduler.as_deref();
    named
        .filter(|name| !name.is_empty())
        .unwrap_or(DEFAULT_SCHEDULER)
}

/// `sh-fallback`, `sh-port` go with sh, `mh-fallback`, `mh-port` with mh, `flag-N` with any.
fn scheduler_flags(line: &Line) -> Result<(), Failure> {
    let scheduler = scheduler(line);
    let flags = line.sched_flags.split(',');
    for flag in flags.filter(|flag| !flag.is_empty()) {
        let owner = match flag {
            "sh-fallback" | "sh-port" => "sh",
            "mh-fallback" | "mh-port" => "mh",
            "flag-1" | "flag-2" | "flag-3" => scheduler,
            _ => {
                return Err(Failure::argument(format!(
                    "invalid scheduler flag `{flag}'"
                )));
            }
        };
        if owner != scheduler {
            return Err(Failure::argument(format!(
                "incompatible scheduler flag `{flag}'"
            )));
        }
    }
    Ok(())
}

fn real(line: &Line) -> Result<(), Failure> {
    let service_is_ipv6 = line.service.as_ref().is_some_and(Selector::is_ipv6);
    let real_is_ipv6 = line.real.is_some_and(|real| real.address.is_ipv6());
    if service_is_ipv6 != real_is_ipv6 && line.method != Method::Tunnel {
        return Err(Failure::argument(
            "Different address family is allowed only for tunneling servers",
        ));
    }
    let tunnel = line.set.only(TunnelType::OPTIONS);
    if line.method == Method::Tunnel {
        return against(&line.tunnel.rule(), "tunnel type", tunnel);
    }
    if tunnel != OptSet::default() {
        return Err(Failure::argument(
            "Tunnel options conflict with forward method",
        ));
    }
    Ok(())
}

fn list(line: &Line) -> Result<(), Failure> {
    const OTHER_LISTS: OptSet = OptSet::of(&[Opt::Connection, Opt::Timeout, Opt::Daemon]);
    const COUNTERS: OptSet = OptSet::of(&[Opt::Stats, Opt::Rate, Opt::Thresholds]);
    const SETTINGS: OptSet = OptSet::of(&[Opt::Timeout, Opt::Daemon]);
    let set = line.set;
    let conflict = set.meets(OTHER_LISTS) && set.meets(COUNTERS)
        || set.meets(SETTINGS) && set.has(Opt::PersistentConn);
    if conflict {
        return Err(Failure::argument("options conflicts in the list command"));
    }
    Ok(())
}
