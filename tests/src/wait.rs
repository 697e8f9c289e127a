//! Waiting for something to become true: polling, never a fixed sleep.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

const INTERVAL: Duration = Duration::from_millis(10);

/// Asks `probe` until it gives a value.
///
/// # Errors
/// After `patience`: what was awaited and the last answer of `probe`.
pub fn until<T>(what: &str, patience: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context(format!("waited {patience:?} for {what}")));
            }
            Err(_) => sleep(INTERVAL),
        }
    }
}

/// Asks until `probe` is true.
///
/// # Errors
/// After `patience`: what was awaited.
pub fn until_true(what: &str, patience: Duration, mut probe: impl FnMut() -> bool) -> Result<()> {
    until(what, patience, || {
        probe().then_some(()).ok_or_else(|| anyhow!("it is not so"))
    })
}
