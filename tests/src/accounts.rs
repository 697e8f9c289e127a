//! The director's books: every packet and every frame has to be somewhere.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::director::Director;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(5);

/// Asserts [`balanced`].
///
/// # Panics
/// When the books do not balance, with the status of the director.
pub fn assert_accounts(director: &Director) {
    if let Err(error) = balanced(director) {
        panic!("{error:?}\n{}", director.log());
    }
}

/// Checks that what came in went out, was passed to the kernel, or was dropped under a reason,
/// and that no frame is lost. Waits a while for packets that are under way.
///
/// # Errors
/// When the books do not balance, with the status of the director.
pub fn balanced(director: &Director) -> Result<()> {
    wait::until("the director's books to balance", PATIENCE, || {
        let status = director.api().get("/v1/status")?;
        check_packets(&status)
            .and_then(|()| check_frames(&status))
            .with_context(|| format!("{status:#}"))
    })
}

/// Received = sent + dropped for the workers, by the sum of the reasons.
fn check_packets(status: &Value) -> Result<()> {
    let workers = list(status, "workers")?;
    let received = sum(workers, "received")?;
    let sent = sum(workers, "sent")?;
    let dropped = sum(workers, "dropped")?;
    ensure!(
        received == sent + dropped,
        "received {received} != sent {sent} + dropped {dropped}"
    );
    let interfaces = list(status, "interfaces")?;
    let (rx, passed) = (sum(interfaces, "rx")?, sum(interfaces, "passed")?);
    let (redirected, lost) = (sum(interfaces, "redirected")?, sum(interfaces, "dropped")?);
    ensure!(
        rx == passed + redirected + lost,
        "rx {rx} != passed {passed} + redirected {redirected} + dropped {lost}"
    );
    ensure!(
        redirected == received,
        "redirected {redirected} by the gate, {received} received by workers"
    );
    let reasons: u64 = status["drops"]
        .as_object()
        .context("no drops")?
        .values()
        .filter_map(Value::as_u64)
        .sum();
    ensure!(
        reasons == dropped + lost,
        "reasons add up to {reasons}, not to {dropped} + {lost}"
    );
    Ok(())
}

/// Every frame of a worker is free, waiting for the NIC to fill it, or being sent.
fn check_frames(status: &Value) -> Result<()> {
    for worker in list(status, "workers")? {
        let frames = &worker["frames"];
        let part = |name: &str| {
            frames[name]
                .as_u64()
                .with_context(|| format!("no {name} frames"))
        };
        let (total, accounted) = (
            part("total")?,
            part("free")? + part("filling")? + part("sending")?,
        );
        ensure!(
            total == accounted,
            "{accounted} of {total} frames are accounted for"
        );
    }
    Ok(())
}

fn list<'a>(status: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    status[name]
        .as_array()
        .with_context(|| format!("the status has no {name}"))
}

fn sum(rows: &[Value], column: &str) -> Result<u64> {
    rows.iter()
        .map(|row| row[column].as_u64().with_context(|| format!("no {column}")))
        .sum()
}
