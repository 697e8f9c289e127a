//! Sets of HTTP status codes: `200`, `2xx`, `200-299,404`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// Some status codes, 100 to 599.
#[derive(Clone, Debug, PartialEq, Eq, Hash, ToSchema)]
#[schema(value_type = String, example = "200-299")]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// Whether it has `code`.
    pub fn has(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}

impl Default for StatusSet {
    /// What says that a server does its work: success, and a hint where to go.
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

/// Why a text is no set of status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a set of status codes; write 200, 2xx or 200-299,404")]
pub struct BadStatusSet;

impl FromStr for StatusSet {
    type Err = BadStatusSet;

    fn from_str(text: &str) -> Result<Self, BadStatusSet> {
        let ranges = text.split(',').map(|part| range(part.trim()));
        let ranges: Option<Vec<_>> = ranges.collect();
        ranges.map(Self).ok_or(BadStatusSet)
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(class), _) => {
            let class: u16 = class.parse().ok().filter(|class| *class < 10)?;
            (class * 100, class * 100 + 99)
        }
        (None, Some((first, last))) => (first.parse().ok()?, last.parse().ok()?),
        (None, None) => {
            let code = text.parse().ok()?;
            (code, code)
        }
    };
    (100 <= first && first <= last && last <= 599).then_some(first..=last)
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (code, end) if code == end => write!(f, "{comma}{code}")?,
                (start, end) => write!(f, "{comma}{start}-{end}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for StatusSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatusSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "status codes such as 200 or \"200-299,404\"")]
        enum Form {
            Code(u16),
            Text(String),
        }
        let text = match Form::deserialize(deserializer)? {
            Form::Code(code) => code.to_string(),
            Form::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_and_written() {
        for (text, shown, inside, outside) in [
            ("200", "200", 200, 201),
            ("2xx", "200-299", 299, 300),
            ("200-299, 404", "200-299,404", 404, 405),
            ("100-599", "100-599", 599, 600),
        ] {
            let set: StatusSet = text.parse().unwrap();
            assert_eq!(set.to_string(), shown);
            assert_eq!(shown.parse(), Ok(set.clone()));
            assert!(set.has(inside) && !set.has(outside), "{text}");
        }
        for bad in [
            "", "0", "99", "600", "6xx", "300-200", "2x", "200;201", "99xx",
        ] {
            assert_eq!(bad.parse::<StatusSet>(), Err(BadStatusSet), "{bad}");
        }
        assert_eq!(
            serde_json::from_str::<StatusSet>("204")
                .unwrap()
                .to_string(),
            "204"
        );
        assert!(StatusSet::default().has(302));
    }
}
