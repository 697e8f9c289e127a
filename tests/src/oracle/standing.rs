//! A table of all captures of a directory: whether each holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::case::Case;

/// Set it to numbers, parted by commas, to replay only those.
const ONLY: &str = "BULWARK_ORACLE_ONLY";

/// How a capture stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds.
    Replayed,
    /// It cannot hold, because of this.
    Apart(&'static str),
}

/// What came of each capture, by its number.
pub type Results = BTreeMap<String, Result<()>>;

/// Every capture of a directory, by its number.
pub type Cases = BTreeMap<String, Case>;

/// Every case of a directory.
///
/// # Errors
/// When one is not in the format.
pub fn read_all(directory: &Path) -> Result<Cases> {
    let mut cases = Cases::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "case") {
            let case = Case::read(&path).with_context(|| path.display().to_string())?;
            cases.insert(case.number.clone(), case);
        }
    }
    Ok(cases)
}

/// The number of each capture, and how it stands.
#[derive(Clone, Copy, Debug)]
pub struct Table(pub &'static [(&'static str, Standing)]);

impl Table {
    /// A capture that nobody has judged is an error, and so is a judgement of none.
    ///
    /// # Errors
    /// With their numbers.
    pub fn covers(self, cases: &Cases) -> Result<()> {
        let there: BTreeSet<&str> = cases.keys().map(String::as_str).collect();
        let judged: BTreeSet<&str> = self.0.iter().map(|(number, _)| *number).collect();
        ensure!(
            there == judged,
            "the table lacks {:?} and has no capture for {:?}",
            there.difference(&judged),
            judged.difference(&there)
        );
        Ok(())
    }

    fn standing(self, number: &str) -> Option<Standing> {
        let row = self.0.iter().find(|(own, _)| *own == number);
        row.map(|(_, standing)| *standing)
    }

    /// The cases to replay.
    pub fn wanted(self, cases: &Cases) -> Vec<&Case> {
        let only = std::env::var(ONLY).ok();
        let is_wanted = |case: &&Case| {
            let asked = only
                .as_ref()
                .is_none_or(|only| only.split(',').any(|number| number == case.number));
            asked && !matches!(self.standing(&case.number), Some(Standing::Apart(_)))
        };
        cases.values().filter(is_wanted).collect()
    }

    /// Holds the results against the table.
    ///
    /// # Errors
    /// With every capture that should hold and does not.
    pub fn judge(self, results: &Results) -> Result<()> {
        let is_bound = |number: &str| self.standing(number) == Some(Standing::Replayed);
        let wrong: Vec<String> = results
            .iter()
            .filter(|(number, _)| is_bound(number))
            .filter_map(|(number, result)| Some((number, result.as_ref().err()?)))
            .map(|(number, error)| format!("{number}: {error:#}"))
            .collect();
        ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        Ok(())
    }
}
