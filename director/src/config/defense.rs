//! `[defense]`: when the level changes, and what is done then.

use std::ops::RangeInclusive;

use super::limits;
use super::read::{Expected, Section};
use crate::defence::{Level, Marks, Policy, Strays, Tell};
use crate::tcp::Brief;
use crate::time::Ticks;

/// What the file says of the defence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defense {
    /// The level to begin with: 0 or 2.
    pub level: Level,
    /// Marks and dwell.
    pub policy: Policy,
    /// Timeouts of handshakes under attack.
    pub brief: Brief,
    /// How real servers are told of half-open connections that were dropped.
    pub tell_reals: Tell,
    /// What becomes of packets of real servers that belong to no connection.
    pub strays: Strays,
}

const PERCENT: RangeInclusive<i64> = 0..=100;
/// A day.
const LONGEST: i64 = 24 * 3600;
const MOST: i64 = 1 << 30;

pub(super) fn read(mut section: Section<'_>) -> Defense {
    let default = Policy::default();
    let levels = Expected::Text("0 (by itself) or 2 (pinned)");
    let level = section.optional::<u8>("level", &levels).unwrap_or(0);
    if !matches!(level, 0 | 2) {
        let message = format!("must be 0 (by itself) or 2 (pinned), not {level}");
        section.refuse("level", message, "");
    }
    let memory = Marks {
        enter: mebibytes(&mut section, "memory", default.memory.enter),
        leave: mebibytes(&mut section, "memory_leave", default.memory.leave),
    };
    if memory.leave < memory.enter {
        let mend = "level 1 ends when more is left than it begins with";
        section.refuse("memory_leave", "is below memory", mend);
    }
    let half_open_least = number(
        &mut section,
        "half_open_least",
        0..=MOST,
        default.half_open_least as f64,
    ) as u64;
    let policy = Policy {
        memory,
        half_open_pool: marks(
            &mut section,
            ["half_open_pool", "half_open_pool_leave"],
            PERCENT,
            default.half_open_pool,
        ),
        half_open_share: marks(
            &mut section,
            ["half_open_share", "half_open_share_leave"],
            PERCENT,
            default.half_open_share,
        ),
        half_open_least,
        rejected_acks: marks(
            &mut section,
            ["rejected_acks", "rejected_acks_leave"],
            0..=MOST,
            default.rejected_acks,
        ),
        lost_cookies: marks(
            &mut section,
            ["lost_cookies", "lost_cookies_leave"],
            0..=MOST,
            default.lost_cookies,
        ),
        dwell: Ticks::seconds(seconds(
            &mut section,
            "dwell",
            default.dwell.as_seconds_ceil(),
        )),
        cookies_from: number(&mut section, "cookies_from", PERCENT, default.cookies_from),
        drop_from: number(&mut section, "drop_from", PERCENT, default.drop_from),
        drop_most: number(
            &mut section,
            "drop_most",
            PERCENT,
            default.drop_most * 100.0,
        ) / 100.0,
    };
    let brief = Brief::default();
    let brief = Brief {
        syn_recv: seconds(&mut section, "syn_recv", brief.syn_recv),
        syn_ack: seconds(&mut section, "syn_ack", brief.syn_ack),
    };
    let tell_reals = match word(&mut section, "tell_reals", &["no", "reset", "icmp"]) {
        1 => Tell::Reset,
        2 => Tell::Unreachable,
        _ => Tell::No,
    };
    let strays = match word(
        &mut section,
        "strays",
        &["route", "answer", "drop", "resurrect"],
    ) {
        1 => Strays::Answer,
        2 => Strays::Drop,
        3 => Strays::Resurrect,
        _ => Strays::Route,
    };
    section.finish();
    Defense {
        level: Level::from_number(level).unwrap_or_default(),
        policy,
        brief,
        tell_reals,
        strays,
    }
}

/// Two marks; the second one must be the lower.
fn marks(
    section: &mut Section<'_>,
    [enter, leave]: [&'static str; 2],
    range: RangeInclusive<i64>,
    default: Marks,
) -> Marks {
    let marks = Marks {
        enter: number(section, enter, range.clone(), default.enter),
        leave: number(section, leave, range, default.leave),
    };
    if marks.leave > marks.enter {
        let mend = "level 1 ends at less than it begins with";
        section.refuse(leave, format!("is above {enter}"), mend);
    }
    marks
}

fn number(
    section: &mut Section<'_>,
    key: &'static str,
    range: RangeInclusive<i64>,
    default: f64,
) -> f64 {
    let number = section.optional::<u32>(key, &Expected::Number(range));
    number.map_or(default, f64::from)
}

/// Which of `words` stands there; the first one when none does.
fn word(section: &mut Section<'_>, key: &'static str, words: &'static [&'static str]) -> usize {
    let given = section.optional::<String>(key, &Expected::Word(words));
    let place = given
        .as_deref()
        .map(|given| words.iter().position(|word| *word == given));
    if place == Some(None) {
        let message = format!("must be one of {}", words.join(", "));
        section.refuse(key, message, "");
    }
    place.flatten().unwrap_or(0)
}

fn seconds(section: &mut Section<'_>, key: &'static str, default: u32) -> u32 {
    section.or(key, &Expected::Number(1..=LONGEST), default)
}

fn mebibytes(section: &mut Section<'_>, key: &'static str, default: f64) -> f64 {
    let Some(text) = section.optional::<String>(key, &limits::SIZE) else {
        return default;
    };
    match limits::bytes(&text) {
        Some(bytes) => bytes as f64 / f64::from(1 << 20),
        None => {
            section.refuse(key, format!("{text:?} is not a size"), limits::SIZE_MEND);
            default
        }
    }
}
