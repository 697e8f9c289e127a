//! The defence for people.

use std::fmt::Write as _;

use adminapi::model::{CookieStatus, CookieWay, Defense, DefenseSignal, RepeatStatus};

use super::utc;

/// All of it.
pub(super) fn text(defense: &Defense) -> String {
    let mut text = head(defense);
    if !defense.resources.is_empty() {
        text.push_str(&short(defense));
    }
    text.extend(defense.cookies.as_ref().map(cookies));
    text.extend(defense.repeats.as_ref().map(repeats));
    if !defense.signals.is_empty() {
        text.push_str(&signals(&defense.signals));
    }
    text
}

fn head(defense: &Defense) -> String {
    let Defense {
        level,
        automatic,
        reason,
        since,
        drop_rate,
        half_open,
        half_open_limit,
        next,
        rung,
        ..
    } = defense;
    let mode = if *automatic { "automatic" } else { "pinned" };
    let (since, percent, step) = (utc(*since), drop_rate * 100.0, step(rung));
    format!(
        "level      {level}, {mode}, since {since}\n\
         reason     {reason}\n\
         next       {next}\n\
         drop rate  {percent:.1} % of new connections\n\
         half-open  {half_open} of {half_open_limit}\n\
         step       {step}\n"
    )
}

/// What is short, and how much is used of each.
fn short(defense: &Defense) -> String {
    let short = defense.short.as_deref().unwrap_or("nothing");
    let used = defense.resources.iter();
    let used = used.map(|of| format!("{} {:.1} %", of.name, of.used));
    let used: Vec<String> = used.collect();
    format!("short      {short} ({} used)\n", used.join(", "))
}

/// What is done, for people.
fn step(rung: &str) -> &str {
    match rung {
        "none" => "nothing out of the ordinary",
        "tables" => "handshakes are judged strictly and live briefly",
        "cookies" => "SYNs are answered, and forgotten until their clients come back",
        "repeats" => "UDP clients that are not known have to come twice",
        "share" => "a share of the new connections is dropped",
        other => other,
    }
}

/// The cookies of a service for people.
fn cookies(status: &CookieStatus) -> String {
    let CookieStatus {
        policy,
        active,
        reason,
        way,
        able,
        reals,
        sent,
        accepted,
        refused,
    } = status;
    let now = if *active { "on" } else { "not now" };
    let way = way.map_or("none", CookieWay::name);
    format!(
        "cookies    {policy}, {now}: {reason}\n\
         by         {way}\n\
         agents     {able} of {reals} real servers\n\
         counted    {sent} sent, {accepted} accepted, {refused} refused\n"
    )
}

/// Whether the clients of a service have to come twice.
fn repeats(status: &RepeatStatus) -> String {
    let RepeatStatus {
        policy,
        active,
        reason,
        dropped,
    } = status;
    let now = if *active { "on" } else { "not now" };
    format!("repeats    {policy}, {now}: {reason}; {dropped} first datagrams dropped\n")
}

fn signals(signals: &[DefenseSignal]) -> String {
    let mut text = format!(
        "\n{:<16} {:>12} {:>12} {:>12}\n",
        "signal", "now", "enter", "leave"
    );
    for signal in signals {
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{:<16} {:>12.1} {:>12.1} {:>12.1} {}",
            signal.name, signal.value, signal.enter, signal.leave, signal.unit
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use adminapi::model::{CookiePolicy, DefenseResource, RepeatPolicy};

    use super::*;

    #[test]
    fn a_defence_reads_like_this() {
        let defense = Defense {
            level: 1,
            automatic: true,
            reason: "half-open pool taken: 31.0 %, the mark is 25.0 %".to_owned(),
            since: 1_795_254_979,
            drop_rate: 0.125,
            half_open: 77_500,
            half_open_limit: 250_000,
            signals: vec![DefenseSignal {
                name: "half_open_pool".to_owned(),
                value: 31.04,
                enter: 25.0,
                leave: 12.0,
                unit: "%".to_owned(),
            }],
            next: "0 in 12 s".to_owned(),
            rung: "share".to_owned(),
            short: Some("pool".to_owned()),
            resources: vec![DefenseResource {
                name: "pool".to_owned(),
                used: 61.0,
                mark: 50.0,
            }],
            cookies: Some(CookieStatus {
                policy: CookiePolicy::Auto,
                active: true,
                reason: "under attack".to_owned(),
                way: Some(CookieWay::Agents),
                able: 2,
                reals: 3,
                sent: 1000,
                accepted: 10,
                refused: 7,
            }),
            repeats: Some(RepeatStatus {
                policy: RepeatPolicy::Auto,
                active: true,
                reason: "under attack".to_owned(),
                dropped: 12,
            }),
        };
        assert_eq!(
            text(&defense),
            "\
level      1, automatic, since 2026-11-21 09:56:19Z
reason     half-open pool taken: 31.0 %, the mark is 25.0 %
next       0 in 12 s
drop rate  12.5 % of new connections
half-open  77500 of 250000
step       a share of the new connections is dropped
short      pool (pool 61.0 % used)
cookies    auto, on: under attack
by         agents
agents     2 of 3 real servers
counted    1000 sent, 10 accepted, 7 refused
repeats    auto, on: under attack; 12 first datagrams dropped

signal                    now        enter        leave
half_open_pool           31.0         25.0         12.0 %
"
        );
    }
}
