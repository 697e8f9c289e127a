//! The director's books: every packet and every frame has to be somewhere.

use std::time::Duration;

use adminapi::model::{Stats, Status};
use anyhow::{Context, Result, ensure};

use crate::director::Director;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(20);

/// Asserts [`balanced`].
///
/// # Panics
/// When the books do not balance.
pub fn assert_accounts(director: &Director) {
    if let Err(error) = balanced(director) {
        panic!("{error:#}");
    }
}

/// Checks that what came in went out, was passed to the kernel, or was dropped under a reason,
/// and that no frame is lost. Waits a while for packets that are under way.
///
/// # Errors
/// When the books do not balance, with all of them.
pub fn balanced(director: &Director) -> Result<()> {
    wait::until("the director's books to balance", PATIENCE, || {
        let stats = director.api().stats()?;
        let status = director.api().status()?;
        check_packets(&stats)
            .and_then(|()| check_frames(&status))
            .with_context(|| format!("{stats:#?}\n{status:#?}"))
    })
}

/// Received = sent + passed + answered + the sum of the drops, in total and as far as each part sees it.
fn check_packets(stats: &Stats) -> Result<()> {
    let total = stats.total;
    ensure!(
        total.received == total.sent + total.passed + total.answered + total.dropped,
        "received {} != sent {} + passed {} + answered {} + dropped {}",
        total.received,
        total.sent,
        total.passed,
        total.answered,
        total.dropped
    );
    let reasons: u64 = stats.drops.values().sum();
    ensure!(
        reasons == total.dropped,
        "reasons add up to {reasons}, dropped {}",
        total.dropped
    );
    for interface in &stats.interfaces {
        let taken = interface.redirected + interface.answered;
        ensure!(
            interface.rx == interface.passed + taken + interface.forwarded + interface.dropped,
            "the gate of {} lost packets",
            interface.name
        );
    }
    for worker in &stats.workers {
        ensure!(
            worker.received == worker.sent + worker.dropped,
            "worker {} lost packets",
            worker.id
        );
    }
    let forwarded: u64 = stats.interfaces.iter().map(|i| i.forwarded).sum();
    let sent: u64 = stats.workers.iter().map(|w| w.sent).sum();
    ensure!(
        total.sent == sent + forwarded,
        "sent {} != by workers {sent} + by the gate {forwarded}",
        total.sent
    );
    let redirected: u64 = stats.interfaces.iter().map(|i| i.redirected).sum();
    let taken = stats.workers.iter();
    let taken: u64 = taken.map(|w| w.received - w.from_host + w.missed).sum();
    ensure!(
        redirected == taken,
        "the gate handed over {redirected}, the workers took or missed {taken}"
    );
    Ok(())
}

/// Every frame of a worker is free, waiting to be received into, or being sent.
fn check_frames(status: &Status) -> Result<()> {
    for worker in &status.workers {
        let frames = worker.frames;
        let accounted = frames.free + frames.filling + frames.sending;
        ensure!(
            frames.total == accounted,
            "worker {} accounts for {accounted} of {} frames",
            worker.id,
            frames.total
        );
    }
    Ok(())
}
