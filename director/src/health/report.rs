//! What an agent says, as HAProxy's agents do: a line of words, apart by blanks, tabs or commas.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an agent has said so far: a line changes what it names, the rest stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// Whether it lets new connections come.
    pub will: Will,
    /// Whether it says that its server works.
    pub failed: Option<Failing>,
    /// How much of its weight it wants.
    pub share: Share,
}

/// What an agent wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Will {
    /// New connections (`ready`).
    #[default]
    Ready,
    /// No new ones but of clients that stick to it (`drain`).
    Drain,
    /// None (`maint`).
    Maint,
}

/// How an agent says that its server does not work: all of these mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Failing {
    /// `down`
    Down,
    /// `failed`, `fail`
    Failed,
    /// `stopped`
    Stopped,
}

/// How much an agent wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Share {
    /// A part of the configured weight, in percent.
    Percent(u16),
    /// A weight in its place.
    Weight(u32),
}

impl Default for Share {
    fn default() -> Self {
        Self::Percent(100)
    }
}

/// The most that an agent may ask for: its weight is what others rely on.
const MOST_PERCENT: u16 = 100;
const MOST_WEIGHT: u32 = 65_535;

/// Whether `c` ends a word.
pub(super) const fn is_between_words(c: char) -> bool {
    c.is_ascii_whitespace() || c == ','
}

impl Report {
    /// What holds after a `line`; nothing when it has no word that is known. What follows a `#` is
    /// for people.
    pub(super) fn after(self, line: &str) -> Option<Self> {
        let (words, _) = line.split_once('#').unwrap_or((line, ""));
        let words = words.split(is_between_words);
        let mut known = false;
        let mut report = self;
        for word in words.filter(|word| !word.is_empty()) {
            if let Some(next) = report.word(&word.to_ascii_lowercase()) {
                (report, known) = (next, true);
            }
        }
        known.then_some(report)
    }

    fn word(self, word: &str) -> Option<Self> {
        let will = |will| Self { will, ..self };
        let failed = |failed| Self { failed, ..self };
        Some(match word {
            "ready" => will(Will::Ready),
            "drain" => will(Will::Drain),
            "maint" => will(Will::Maint),
            "up" => failed(None),
            "down" => failed(Some(Failing::Down)),
            "failed" | "fail" => failed(Some(Failing::Failed)),
            "stopped" => failed(Some(Failing::Stopped)),
            _ => Self {
                share: share(word)?,
                ..self
            },
        })
    }
}

fn share(word: &str) -> Option<Share> {
    match word.strip_suffix('%') {
        Some(percent) => {
            let percent = percent.parse::<u16>().ok()?;
            (percent <= MOST_PERCENT).then_some(Share::Percent(percent))
        }
        None => {
            let weight = word.parse::<u32>().ok()?;
            (weight <= MOST_WEIGHT).then_some(Share::Weight(weight))
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.will, self.failed) {
            (_, Some(Failing::Down)) => "down",
            (_, Some(Failing::Failed)) => "failed",
            (_, Some(Failing::Stopped)) => "stopped",
            (Will::Ready, None) => "up",
            (Will::Drain, None) => "drain",
            (Will::Maint, None) => "maint",
        })?;
        match self.share {
            Share::Percent(100) => Ok(()),
            Share::Percent(percent) => write!(f, " {percent}%"),
            Share::Weight(weight) => write!(f, " {weight}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_change_what_they_name() {
        for (lines, report) in [
            (&["up"][..], "up"),
            (&["75%"], "up 75%"),
            (&["up 75%"], "up 75%"),
            (&["40"], "up 40"),
            (&["UP,50%"], "up 50%"),
            (&["50%\tdrain, ready"], "up 50%"),
            (&["drain"], "drain"),
            (&["drain", "up"], "drain"),
            (&["drain", "ready"], "up"),
            (&["down # disk is full 10%"], "down"),
            (&["down", "75%"], "down 75%"),
            (&["down 75%", "up"], "up 75%"),
            (&["maint", "ready 100%"], "up"),
            (&["stopped"], "stopped"),
            (&["up maxconn:30"], "up"),
            (&["0%"], "up 0%"),
        ] {
            let mut last = Report::default();
            for line in lines {
                last = last.after(line).unwrap();
            }
            assert_eq!(last.to_string(), report, "{lines:?}");
        }
        for line in ["", "hello", "101%", "-1", "70000", "# up", "%"] {
            assert_eq!(Report::default().after(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in ".{0,80}") {
            let _ = Report::default().after(&line);
        }
    }
}
