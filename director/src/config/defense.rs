//! `[defense]`: when the level changes, and what is done then.

use std::ops::RangeInclusive;

use adminapi::model::RepeatPolicy;

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
    /// Timeouts under attack of what is not proved.
    pub brief: Brief,
    /// When UDP clients have to come twice.
    pub repeats: RepeatPolicy,
    /// How real servers are told of half-open connections that were dropped.
    pub tell_reals: Tell,
    /// What becomes of packets of real servers that belong to no connection.
    pub strays: Strays,
}

/// What may be said of the clients of UDP services.
pub(super) const REPEATS: Expected = Expected::Word(&["off", "auto"]);

const PERCENT: RangeInclusive<i64> = 0..=100;
/// A day.
const LONGEST: i64 = 24 * 3600;
const MOST: i64 = 1 << 30;

pub(super) fn read(mut section: Section<'_>) -> Defense {
    let levels = Expected::Text("0 (by itself) or 2 (pinned)");
    let level = section.optional::<u8>("level", &levels).unwrap_or(0);
    if !matches!(level, 0 | 2) {
        let message = format!("must be 0 (by itself) or 2 (pinned), not {level}");
        section.refuse("level", message, "");
    }
    let defense = Defense {
        level: Level::from_number(level).unwrap_or_default(),
        policy: policy(&mut section),
        brief: brief(&mut section),
        repeats: section.or("udp_repeats", &REPEATS, RepeatPolicy::default()),
        tell_reals: tell_reals(&mut section),
        strays: strays(&mut section),
    };
    section.finish();
    defense
}

fn policy(section: &mut Section<'_>) -> Policy {
    let default = Policy::default();
    let half_open_least = number(
        section,
        "half_open_least",
        0..=MOST,
        default.half_open_least as f64,
    ) as u64;
    Policy {
        memory: memory(section, default.memory),
        half_open_pool: marks(
            section,
            ["half_open_pool", "half_open_pool_leave"],
            PERCENT,
            default.half_open_pool,
        ),
        half_open_share: marks(
            section,
            ["half_open_share", "half_open_share_leave"],
            PERCENT,
            default.half_open_share,
        ),
        half_open_least,
        rejected_acks: marks(
            section,
            ["rejected_acks", "rejected_acks_leave"],
            0..=MOST,
            default.rejected_acks,
        ),
        lost_cookies: marks(
            section,
            ["lost_cookies", "lost_cookies_leave"],
            0..=MOST,
            default.lost_cookies,
        ),
        new_udp: marks(
            section,
            ["new_udp", "new_udp_leave"],
            0..=MOST,
            default.new_udp,
        ),
        dwell: Ticks::seconds(seconds(section, "dwell", default.dwell.as_seconds_ceil())),
        cookies_from: number(section, "cookies_from", PERCENT, default.cookies_from),
        drop_from: number(section, "drop_from", PERCENT, default.drop_from),
        drop_most: number(section, "drop_most", PERCENT, default.drop_most * 100.0) / 100.0,
    }
}

/// Level 1 begins when less than the first is left, and ends when more than the second is.
fn memory(section: &mut Section<'_>, default: Marks) -> Marks {
    let marks = Marks {
        enter: mebibytes(section, "memory", default.enter),
        leave: mebibytes(section, "memory_leave", default.leave),
    };
    if marks.leave < marks.enter {
        let mend = "level 1 ends when more is left than it begins with";
        section.refuse("memory_leave", "is below memory", mend);
    }
    marks
}

fn brief(section: &mut Section<'_>) -> Brief {
    let default = Brief::default();
    Brief {
        syn_recv: seconds(section, "syn_recv", default.syn_recv),
        syn_ack: seconds(section, "syn_ack", default.syn_ack),
        udp_once: seconds(section, "udp_once", default.udp_once),
    }
}

fn tell_reals(section: &mut Section<'_>) -> Tell {
    match word(section, "tell_reals", &["no", "reset", "icmp"]) {
        1 => Tell::Reset,
        2 => Tell::Unreachable,
        _ => Tell::No,
    }
}

fn strays(section: &mut Section<'_>) -> Strays {
    let words = &["route", "answer", "drop", "resurrect"];
    match word(section, "strays", words) {
        1 => Strays::Answer,
        2 => Strays::Drop,
        3 => Strays::Resurrect,
        _ => Strays::Route,
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
