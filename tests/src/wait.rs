//! Waiting for something to become true: polling, never a fixed sleep.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

const INTERVAL: Duration = Duration::from_millis(10);
const AGAIN: Duration = Duration::from_secs(1);

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

/// The same where something is to be done for it, which is done again each second: what a busy machine
/// loses on the way is sent once more.
///
/// # Errors
/// As [`until`].
pub fn until_repeated<T>(
    what: &str,
    patience: Duration,
    mut act: impl FnMut() -> Result<()>,
    mut probe: impl FnMut() -> Result<T>,
) -> Result<T> {
    until(what, patience, || {
        act()?;
        until(what, AGAIN, &mut probe)
    })
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
