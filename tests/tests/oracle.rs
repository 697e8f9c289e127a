//! Every capture of what the kernel's IPVS does, replayed against the director.

mod capture_table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, ensure};
use capture_table::{CAPTURES, KNOWLEDGE, Standing};
use testbed::oracle::case::Case;
use testbed::oracle::lab::Lab;
use testbed::oracle::replay::replay;
use testbed::{oracle, require};

/// Captures that are replayed at the same time.
const LANES: usize = 3;
/// Set it to numbers, parted by commas, to replay only those.
const ONLY: &str = "BULWARK_ORACLE_ONLY";

type Results = BTreeMap<String, Result<()>>;

#[test]
fn the_director_does_what_the_kernel_does() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let Some(directory) = oracle::directory() else {
        let why = "the captures of IPVS are not part of this tree, and not beside it";
        let variable = oracle::VARIABLE;
        writeln!(std::io::stderr(), "SKIPPED: {why} ({variable} names them)")?;
        return Ok(());
    };
    let cases = read_all(&directory.join("cases/traffic"))?;
    all_are_in_the_table(&cases)?;
    let wanted = wanted(&cases);
    let results = replay_all(wanted, &directory.join("etc"))?;
    judge(&results)
}

/// Every case of a directory, by its number.
fn read_all(directory: &Path) -> Result<BTreeMap<String, Case>> {
    let mut cases = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "case") {
            let case = Case::read(&path).with_context(|| path.display().to_string())?;
            cases.insert(case.number.clone(), case);
        }
    }
    Ok(cases)
}

/// A capture that nobody has judged is an error, and so is a judgement of none.
fn all_are_in_the_table(cases: &BTreeMap<String, Case>) -> Result<()> {
    let there: BTreeSet<&str> = cases.keys().map(String::as_str).collect();
    let judged: BTreeSet<&str> = CAPTURES.iter().map(|(number, _)| *number).collect();
    ensure!(
        there == judged,
        "the table lacks {:?} and has no capture for {:?}",
        there.difference(&judged),
        judged.difference(&there)
    );
    Ok(())
}

fn standing(number: &str) -> Option<Standing> {
    let row = CAPTURES.iter().find(|(own, _)| *own == number);
    row.map(|(_, standing)| *standing)
}

/// The cases to replay, the last first: they are the longest.
fn wanted(cases: &BTreeMap<String, Case>) -> Vec<&Case> {
    let only = std::env::var(ONLY).ok();
    let is_wanted = |case: &&Case| {
        let asked = only
            .as_ref()
            .is_none_or(|only| only.split(',').any(|number| number == case.number));
        asked && !matches!(standing(&case.number), Some(Standing::Apart(_)))
    };
    cases.values().filter(is_wanted).collect()
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

/// Holds the results against the table.
fn judge(results: &Results) -> Result<()> {
    let mut wrong = Vec::new();
    for (number, result) in results {
        match (standing(number), result) {
            (Some(Standing::Replayed), Err(error)) => wrong.push(format!("{number}: {error:#}")),
            (Some(Standing::NotYet(want)), Ok(())) => wrong.push(format!(
                "{number} holds now: it does not want for {want} any more, tell the table"
            )),
            (Some(Standing::NotYet(want)), Err(error)) => {
                let error = format!("{error:#}");
                println!("{number} does not hold yet, for want of {want}:\n{error}\n");
            }
            _ => {}
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}
