//! The files that say where networks are.

use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Line {
    /// Its path, in the MaxMind DB format.
    #[arg(required_unless_present = "none", conflicts_with = "none")]
    file: Option<String>,
    /// In none.
    #[arg(long)]
    none: bool,
}

impl Line {
    pub(super) fn to_model(&self) -> String {
        self.file.clone().unwrap_or_default()
    }
}
