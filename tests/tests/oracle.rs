//! Every capture of what the kernel's IPVS does, replayed against the director.

mod capture_table;

use std::path::Path;
use std::sync::Mutex;
use std::thread;

use anyhow::Result;
use capture_table::{CAPTURES, KNOWLEDGE};
use testbed::oracle::case::Case;
use testbed::oracle::lab::Lab;
use testbed::oracle::replay::replay;
use testbed::oracle::standing::{Results, Table, read_all};
use testbed::{oracle, require};

/// Captures that are replayed at the same time.
const LANES: usize = 3;

#[test]
fn the_director_does_what_the_kernel_does() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let Some(directory) = oracle::directory() else {
        return Ok(());
    };
    let cases = read_all(&directory.join("cases/traffic"))?;
    let table = Table(&CAPTURES);
    table.covers(&cases)?;
    // The last first: they are the longest.
    let results = replay_all(table.wanted(&cases), &directory.join("etc"))?;
    table.judge(&results)
}

fn replay_all(cases: Vec<&Case>, names: &Path) -> Result<Results> {
    let (queue, results) = (Mutex::new(cases), Mutex::new(Results::new()));
    thread::scope(|scope| {
        let lane = || replay_lane(&queue, &results, names);
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().try_for_each(|lane| {
            lane.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok(results.into_inner().unwrap_or_default())
}

fn replay_lane(queue: &Mutex<Vec<&Case>>, results: &Mutex<Results>, names: &Path) -> Result<()> {
    let next = || queue.lock().ok().and_then(|mut cases| cases.pop());
    let mut lab = None;
    while let Some(case) = next() {
        let own = match lab.take() {
            Some(lab) => lab,
            None => Lab::build(names)?,
        };
        let result = replay(&own, case, KNOWLEDGE);
        if let Ok(mut results) = results.lock() {
            results.insert(case.number.clone(), result);
        }
        lab = is_clean(case).then_some(own);
    }
    Ok(())
}

/// Whether a case leaves the namespaces as they were.
fn is_clean(case: &Case) -> bool {
    case.commands().all(|command| {
        let asks = ["ipvsadm", "cat ", "sysctl"];
        command.namespace.is_none() && asks.iter().any(|word| command.line.starts_with(word))
    })
}
