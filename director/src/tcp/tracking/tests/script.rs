//! Plays `scripts.txt`, whose head tells its format.

use super::*;
use crate::tcp::ATTACKED;

/// Initial sequence numbers of client and real server; scripts count from them.
const BASES: [[u32; 2]; 5] = [
    [1_000, 5_000_000],
    [0, 0],
    [u32::MAX, u32::MAX],
    [u32::MAX - 700, 0x7fff_ff00],
    [0x8000_0000, u32::MAX - 65_000],
];

struct Line {
    direction: Direction,
    segment: Segment,
    verdict: String,
}

impl Line {
    /// `> PA 1 1 win 100 len 20 = ESTABLISHED`
    fn parse(text: &str, base: [u32; 2]) -> Option<Self> {
        let (packet, verdict) = text.split_once(" = ")?;
        let mut words = packet.split_whitespace();
        let direction = match words.next()? {
            ">" => Direction::Original,
            "<" => Direction::Reply,
            _ => return None,
        };
        let [own, other] = [direction, direction.reversed()].map(|d| base[d as usize]);
        let flags = flags(words.next()?)?;
        let mut segment = Segment {
            flags,
            seq: number(words.next()?, own)?,
            ack: match words.next()? {
                "-" => 0,
                ack => number(ack, other)?,
            },
            ..Segment::default()
        };
        while let Some(option) = words.next() {
            let value = words.next()?;
            match option {
                "win" => segment.window = value.parse().ok()?,
                "len" => segment.payload = value.parse().ok()?,
                "scale" => segment.scale = Some(value.parse().ok()?),
                "sack" => segment.sack = Some(number(value, other)?),
                _ => return None,
            }
        }
        let verdict = verdict.trim().to_owned();
        Some(Self {
            direction,
            segment,
            verdict,
        })
    }
}

/// A number that counts from `base`, or an absolute one, as in `@0`.
fn number(word: &str, base: u32) -> Option<u32> {
    match word.strip_prefix('@') {
        Some(absolute) => absolute.parse().ok(),
        None => Some(base.wrapping_add(word.parse::<i64>().ok()? as u32)),
    }
}

fn flags(word: &str) -> Option<Flags> {
    let bits = word.chars().map(|letter| {
        Some(match letter {
            'S' => Flags::SYN,
            'F' => Flags::FIN,
            'R' => Flags::RST,
            'P' => Flags::PSH,
            'A' => Flags::ACK,
            'U' => Flags::URG,
            '.' => 0,
            _ => return None,
        })
    });
    bits.sum::<Option<u8>>().map(Flags)
}

fn verdict(judgement: Judgement) -> String {
    match judgement {
        Judgement::Accept { to, .. } => to.to_string(),
        Judgement::Ignore(reason) => format!("pass {reason:?}"),
        Judgement::Invalid(reason) => format!("drop {reason:?}"),
    }
}

/// One line: opens the connection when there is none, else judges.
fn step(tracking: &mut Option<Tracking>, line: &Line, table: &StateTable) -> String {
    let Some(tracked) = tracking else {
        let opened = Tracking::opening(&line.segment);
        *tracking = Some(opened);
        return opened.state.to_string();
    };
    let before = *tracked;
    let judgement = tracked.judge(line.direction, &line.segment, table);
    match judgement {
        Judgement::Accept { from, to } => assert_eq!((from, to), (before.state, tracked.state)),
        // Data in a half-open connection is remembered, so that its acknowledgement is known.
        Judgement::Ignore(Unmoved::Unconfirmed) => assert_eq!(before.state, tracked.state),
        _ => assert_eq!(
            moved(&before),
            moved(tracked),
            "{judgement:?} moved something"
        ),
    }
    verdict(judgement)
}

#[test]
fn every_script_plays_as_written_at_every_base() {
    let mut faults = Vec::new();
    let mut played = 0;
    for script in include_str!("scripts.txt").split("\n# ").skip(1) {
        let (title, lines) = script.split_once('\n').unwrap();
        let table = match title.starts_with("under attack: ") {
            true => &ATTACKED,
            false => &NORMAL,
        };
        for base in BASES {
            let mut tracking = None;
            for text in lines.lines().filter(|l| !l.trim().is_empty()) {
                let line = Line::parse(text, base).unwrap_or_else(|| panic!("{title}: {text}"));
                let said = step(&mut tracking, &line, table);
                played += 1;
                if said != line.verdict {
                    faults.push(format!("{title}, base {base:?}: {text}, but: {said}"));
                    break;
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(played > 1_000, "only {played} lines were played");
}
