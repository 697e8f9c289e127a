//! What the director says of its fast path.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::director::Director;
use crate::wait;

/// A director closes connections to its API that nobody uses: the next call may fail, once.
const PATIENCE: Duration = Duration::from_secs(30);

/// Flows that the gate has.
///
/// # Errors
/// When it has no fast path, or does not answer.
pub fn cached(director: &Director) -> Result<u64> {
    let status = wait::until("status", PATIENCE, || director.api().status())?;
    Ok(status.fast_path.context("no fast path")?.flows)
}

/// Packets that the gate has forwarded by itself.
///
/// # Errors
/// When it does not answer.
pub fn forwarded(director: &Director) -> Result<u64> {
    let stats = wait::until("statistics", PATIENCE, || director.api().stats())?;
    Ok(stats.interfaces.iter().map(|each| each.forwarded).sum())
}
