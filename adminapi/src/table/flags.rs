//! The names of scheduler flags (`-b`): each scheduler has its own for the same three bits.

use crate::model::{Scheduler, SchedulerFlag, SchedulerFlags};

/// All names.
pub const NAMES: [&str; 7] = [
    "sh-fallback",
    "sh-port",
    "mh-fallback",
    "mh-port",
    "flag-1",
    "flag-2",
    "flag-3",
];

/// The flag that any of its names means.
pub fn by_name(name: &str) -> Option<SchedulerFlag> {
    match name {
        "sh-fallback" | "mh-fallback" | "flag-1" => Some(SchedulerFlag::Fallback),
        "sh-port" | "mh-port" | "flag-2" => Some(SchedulerFlag::Port),
        "flag-3" => Some(SchedulerFlag::Third),
        _ => None,
    }
}

const fn name(scheduler: Scheduler, flag: SchedulerFlag) -> &'static str {
    match (scheduler, flag) {
        (Scheduler::Sh, SchedulerFlag::Fallback) => "sh-fallback",
        (Scheduler::Sh, SchedulerFlag::Port) => "sh-port",
        (Scheduler::Mh, SchedulerFlag::Fallback) => "mh-fallback",
        (Scheduler::Mh, SchedulerFlag::Port) => "mh-port",
        (_, SchedulerFlag::Fallback) => "flag-1",
        (_, SchedulerFlag::Port) => "flag-2",
        (_, SchedulerFlag::Third) => "flag-3",
    }
}

/// Those that are set, `sh-fallback,sh-port`, as a listing shows them; `None` when none is. The third
/// one of sh and mh has no name there.
pub fn shown(scheduler: Scheduler, flags: SchedulerFlags) -> Option<String> {
    let hashes = matches!(scheduler, Scheduler::Sh | Scheduler::Mh);
    let named = flags.iter();
    let named = named.filter(|flag| !(hashes && *flag == SchedulerFlag::Third));
    let names: Vec<_> = named.map(|flag| name(scheduler, flag)).collect();
    (!flags.is_empty()).then(|| names.join(","))
}

/// All that are set, to be read again.
pub fn whole(scheduler: Scheduler, flags: SchedulerFlags) -> Option<String> {
    let names: Vec<_> = flags.iter().map(|flag| name(scheduler, flag)).collect();
    (!names.is_empty()).then(|| names.join(","))
}

/// Those that ipvsadm saves, to be read again: it saves a third one that is alone as nothing, which it then
/// takes for a missing word.
pub fn saved(scheduler: Scheduler, flags: SchedulerFlags) -> Option<String> {
    let shown = shown(scheduler, flags)?;
    Some(match shown.is_empty() {
        true => name(scheduler, SchedulerFlag::Third).to_owned(),
        false => shown,
    })
}
