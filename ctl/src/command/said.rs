//! What a word answers, and in which form.

use serde::Serialize;

/// What a word answers.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Standard output.
    pub(super) out: String,
    /// Standard error.
    pub(super) err: String,
    /// Exit status.
    pub(super) status: u8,
}

impl Said {
    /// Part of it went wrong; the rest goes on.
    pub(super) fn fail(&mut self, message: &str) {
        self.err += message;
        self.err.push('\n');
        self.status = 1;
    }
}

impl From<String> for Said {
    fn from(out: String) -> Self {
        Self {
            out,
            ..Self::default()
        }
    }
}

/// In which form it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Form {
    /// What was found, in this form.
    pub(super) fn show<T: Serialize>(self, found: &T, text: impl FnOnce(&T) -> String) -> String {
        match self {
            Self::Text => text(found),
            Self::Json => json(found),
        }
    }
}

/// A value as JSON.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    // Only maps with keys that are no strings can fail, and the API has none.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text + "\n"
}
