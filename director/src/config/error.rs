//! What is wrong with a configuration file.

use std::cell::RefCell;
use std::fmt;

use adminapi::Problem;

use super::outline::{Outline, key_of};

/// One problem of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Line, from 1; `None` when it is not about one line.
    pub line: Option<usize>,
    /// The key, `service.real.weight`; empty when it is not about one.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub mend: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if !self.mend.is_empty() {
            write!(f, "; {}", self.mend)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration file, in the order of its lines. As text one
/// problem a line: `FILE:LINE: key: what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// Name of the file.
    pub file: String,
    /// At least one problem.
    pub errors: Vec<ConfigError>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            match error.line {
                Some(line) => write!(f, "{end}{}:{line}: {error}", self.file)?,
                None => write!(f, "{end}{}: {error}", self.file)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    /// A problem with the file as such.
    pub(super) fn whole_file(file: &str, message: String) -> Self {
        Self::only(file, None, message)
    }

    /// The file is no TOML, for the reason and at the line given.
    pub(super) fn syntax(file: &str, (line, message): &(usize, String)) -> Self {
        Self::only(file, Some(*line), message.clone())
    }

    fn only(file: &str, line: Option<usize>, message: String) -> Self {
        Self {
            file: file.to_owned(),
            errors: vec![ConfigError {
                line,
                key: String::new(),
                message,
                mend: String::new(),
            }],
        }
    }
}

/// Collects problems while a file is read.
#[derive(Debug)]
pub(super) struct Report {
    outline: Outline,
    errors: RefCell<Vec<ConfigError>>,
}

impl Report {
    pub(super) fn new(outline: Outline) -> Self {
        let errors = RefCell::default();
        Self { outline, errors }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.errors.borrow().is_empty()
    }

    /// A problem with the value at the JSON pointer of `problem`.
    pub(super) fn add(&self, problem: Problem) {
        let other = problem
            .other
            .as_deref()
            .map(|pointer| format!(" (line {})", self.outline.line(pointer)));
        self.errors.borrow_mut().push(ConfigError {
            line: Some(self.outline.line(&problem.pointer)),
            key: key_of(&problem.pointer),
            message: problem.message + other.as_deref().unwrap_or_default(),
            mend: problem.mend,
        });
    }

    /// All problems, by line.
    pub(super) fn into_errors(self, file: &str) -> ConfigErrors {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| error.line);
        ConfigErrors {
            file: file.to_owned(),
            errors,
        }
    }
}
