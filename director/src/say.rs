//! What a command says on standard output.

use std::io::{Write, stdout};

use anyhow::{Context, Result};

/// Says `text` and ends the line.
///
/// # Errors
/// When nobody reads it any more, or there is no room for it.
pub fn say(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    let said = writeln!(out, "{text}").and_then(|()| out.flush());
    said.context("cannot write to standard output")
}
