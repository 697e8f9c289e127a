//! Short spans of time, to the millisecond: `500ms`, `2s`, `1m`; a bare number is seconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A span in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u32);

impl Millis {
    /// A span of whole seconds.
    pub const fn seconds(seconds: u32) -> Self {
        Self(seconds.saturating_mul(1000))
    }
}

impl From<Millis> for Duration {
    fn from(Millis(millis): Millis) -> Self {
        Self::from_millis(millis.into())
    }
}

/// Why a text is no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time; write 500ms, 2s, 1m or 1h")]
pub struct BadMillis;

impl FromStr for Millis {
    type Err = BadMillis;

    fn from_str(text: &str) -> Result<Self, BadMillis> {
        let is_unit = |c: char| !c.is_ascii_digit();
        let (number, unit) = text.split_at(text.find(is_unit).unwrap_or(text.len()));
        let millis = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(BadMillis),
        };
        let number: u32 = number.parse().map_err(|_| BadMillis)?;
        number.checked_mul(millis).map(Self).ok_or(BadMillis)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            millis if millis % 1000 != 0 => write!(f, "{millis}ms"),
            millis => write!(f, "{}s", millis / 1000),
        }
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a time such as 500ms or 2s, or a number of seconds"
        )]
        enum Form {
            Seconds(u32),
            Text(String),
        }
        let text = match Form::deserialize(deserializer)? {
            Form::Seconds(seconds) => seconds.to_string(),
            Form::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl PartialSchema for Millis {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[0-9]+(ms|s|m|h)?$"));
        let seconds = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .maximum(Some(u32::MAX / 1000));
        AnyOfBuilder::new()
            .description(Some(
                "A time, such as 500ms, 2s, 1m or 1h, or whole seconds.",
            ))
            .item(text)
            .item(seconds)
            .examples(["500ms"])
            .into()
    }
}

impl ToSchema for Millis {
    fn name() -> std::borrow::Cow<'static, str> {
        "Millis".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, millis, shown) in [
            ("500ms", 500, "500ms"),
            ("1500ms", 1500, "1500ms"),
            ("2000ms", 2000, "2s"),
            ("2", 2000, "2s"),
            ("2s", 2000, "2s"),
            ("1m", 60_000, "60s"),
            ("1h", 3_600_000, "3600s"),
        ] {
            assert_eq!(text.parse(), Ok(Millis(millis)), "{text}");
            assert_eq!(Millis(millis).to_string(), shown);
            assert_eq!(shown.parse(), Ok(Millis(millis)));
        }
        for bad in ["", "s", "1.5s", "-1s", "1 s", "2d", "5000000s"] {
            assert_eq!(bad.parse::<Millis>(), Err(BadMillis), "{bad}");
        }
        assert_eq!(serde_json::from_str::<Millis>("3").unwrap(), Millis(3000));
        assert_eq!(serde_json::to_string(&Millis(250)).unwrap(), "\"250ms\"");
    }
}
