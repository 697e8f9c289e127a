//! Why a line failed: the text for standard error and the exit status, as ipvsadm has them.

use super::popt::UNKNOWN;
use crate::director::DirectorError;

/// A line that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// A bad argument or a bad combination of options. Status 2.
    #[error("{0}")]
    Argument(String),
    /// No command, or an unknown one. Status 255.
    #[error("Try `{program} -h' or '{program} --help' for more information.")]
    TryHelp {
        /// The name the program was called by.
        program: String,
    },
    /// An option that could not be read. Status 255.
    #[error("{culprit}: {why}")]
    Option {
        /// The argument at fault.
        culprit: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The director refused. Status 255.
    #[error("{0}")]
    Operation(String),
    /// The one service to list does not exist. Status 1.
    #[error("No such service")]
    NotListed,
    /// A line of `-R --atomic` failed.
    #[error("line {number}: {failure}\nnothing was changed")]
    AtLine {
        /// From 1.
        number: u64,
        /// Why.
        failure: Box<Self>,
    },
    /// The director did not answer. The status says why.
    #[error(transparent)]
    Director(DirectorError),
    /// Whoever read the output is gone. Status 141, as after SIGPIPE.
    #[error("broken pipe")]
    Closed,
    /// Standard input or output failed. Status 1.
    #[error("{0}")]
    Stream(String),
}

impl Failure {
    /// A bad argument, with its message.
    pub(crate) fn argument(text: impl Into<String>) -> Self {
        Self::Argument(text.into())
    }

    /// An option that there is not.
    pub(crate) fn unknown_option(culprit: impl Into<String>) -> Self {
        Self::Option {
            culprit: culprit.into(),
            why: UNKNOWN.0,
        }
    }

    /// A refused operation, with its message.
    pub(crate) fn operation(text: impl Into<String>) -> Self {
        Self::Operation(text.into())
    }

    /// The same, of a line of input.
    pub(crate) fn at_line(self, number: u64) -> Self {
        Self::AtLine {
            number,
            failure: Box::new(self),
        }
    }

    /// What the process exits with.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Argument(_) => 2,
            Self::TryHelp { .. } | Self::Option { .. } | Self::Operation(_) => 255,
            Self::AtLine { failure, .. } => failure.status(),
            Self::Closed => 141,
            Self::Director(error) => error.status(),
            Self::NotListed | Self::Stream(_) => 1,
        }
    }

    /// Whether `-R` stops at a line that failed so; after the others it goes on.
    pub(crate) fn ends_restore(&self) -> bool {
        match self {
            Self::Option { .. } | Self::Operation(_) => false,
            Self::Director(error) => !error.is_refusal(),
            _ => true,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Stream(error.to_string()),
        }
    }
}
