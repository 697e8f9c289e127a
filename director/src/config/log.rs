//! `[log]`: what is logged, and how.

use serde::Deserialize;

use super::read::{Expected, Section};

/// What is logged, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The least important that is still logged.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// Importance of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What an operator wants to know.
    #[default]
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    const WORDS: &[&str] = &["error", "warn", "info", "debug", "trace"];
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    const WORDS: &[&str] = &["text", "json"];
}

pub(super) fn read(mut section: Section<'_>) -> Log {
    let log = Log {
        level: section.or("level", &Expected::Word(LogLevel::WORDS), LogLevel::Info),
        format: section.or("format", &Expected::Word(LogFormat::WORDS), LogFormat::Text),
    };
    section.finish();
    log
}
