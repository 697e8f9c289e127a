//! What a run has measured: printed for people, kept as JSON for programs and as an SVG for both.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::chart;

/// The figures of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// A word; the files have it as their name.
    pub name: &'static str,
    /// Where it was measured.
    pub machine: Machine,
    /// How it was measured.
    pub method: String,
    /// What was measured.
    pub tables: Vec<Table>,
}

/// What of a machine decides about figures.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model of the processor, as the kernel has it.
    pub processor: String,
    /// CPUs that may be used.
    pub cpus: usize,
    /// Release of the kernel.
    pub kernel: String,
}

/// Peers, and the figures of each.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// What it is about.
    pub title: String,
    /// What the figures are; the first column is the one that is drawn.
    pub columns: Vec<Column>,
    /// One a peer.
    pub rows: Vec<Row>,
}

/// A kind of figure.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// Its unit, or what it is a ratio to.
    pub name: String,
    /// Digits behind the point.
    pub decimals: usize,
}

/// The figures of a peer; none where there is nothing to measure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Who.
    pub name: String,
    /// As many as there are columns.
    pub values: Vec<Option<f64>>,
}

impl Report {
    /// Of this machine, without figures yet.
    pub fn new(name: &'static str, method: impl Into<String>) -> Self {
        Self {
            name,
            machine: Machine::here(),
            method: method.into(),
            tables: Vec::new(),
        }
    }

    /// Prints it, and leaves `NAME.json` and `NAME.svg` in `directory`.
    ///
    /// # Errors
    /// When these cannot be written.
    pub fn publish(&self, directory: &Path) -> Result<()> {
        let Machine {
            processor,
            cpus,
            kernel,
        } = &self.machine;
        println!("{processor}, {cpus} CPUs, kernel {kernel}\n{}", self.method);
        for table in &self.tables {
            print!("\n{}", table.text());
        }
        fs::create_dir_all(directory)?;
        let file = |kind: &str| directory.join(format!("{}.{kind}", self.name));
        fs::write(file("json"), serde_json::to_string_pretty(self)? + "\n")?;
        fs::write(file("svg"), chart::draw(self))?;
        Ok(())
    }
}

impl Machine {
    fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(": "));
        Self {
            processor: model.map_or("?", |(_, name)| name.trim()).to_owned(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

impl Table {
    /// With these columns, a name and digits behind the point each, and no rows yet.
    pub fn new(title: impl Into<String>, columns: &[(&str, usize)]) -> Self {
        let columns = columns.iter().map(|&(name, decimals)| Column {
            name: name.to_owned(),
            decimals,
        });
        Self {
            title: title.into(),
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a peer.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<Option<f64>>>,
    ) {
        self.rows.push(Row {
            name: name.into(),
            values: values.into_iter().map(Into::into).collect(),
        });
    }

    fn text(&self) -> String {
        let names = self.rows.iter().map(|row| row.name.len());
        let wide = names.chain([self.title.len()]).max().unwrap_or(0);
        let mut text = format!("{:wide$}", self.title);
        for column in &self.columns {
            let _ = write!(text, "  {:>8}", column.name);
        }
        text.push('\n');
        for row in &self.rows {
            let _ = write!(text, "{:wide$}", row.name);
            for (column, value) in self.columns.iter().zip(&row.values) {
                let width = column.name.len().max(8);
                let _ = write!(text, "  {:>width$}", column.show(*value));
            }
            text.push('\n');
        }
        text
    }
}

impl Column {
    /// A figure as people read it.
    pub fn show(&self, value: Option<f64>) -> String {
        value.map_or("-".to_owned(), |value| format!("{value:.*}", self.decimals))
    }
}

/// The value in the middle; 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// One as a share of another that is there.
pub fn ratio(one: f64, other: f64) -> Option<f64> {
    (one > 0.0 && other > 0.0).then(|| one / other)
}

#[cfg(test)]
mod tests {
    use super::{Table, median, ratio};

    #[test]
    fn a_table_shows_what_was_not_measured() {
        let mut table = Table::new("UDP", &[("Mpps", 3), ("of the limit", 2)]);
        table.add("limit", [1.5, 1.0]);
        table.add("nobody", [None, None]);
        let text = "UDP         Mpps  of the limit\n\
                    limit      1.500          1.00\n\
                    nobody         -             -\n";
        assert_eq!(table.text(), text);
    }

    #[test]
    fn the_median_is_a_value_of_them() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([]), 0.0);
        assert_eq!(ratio(1.0, 2.0), Some(0.5));
        assert_eq!(ratio(1.0, 0.0), None);
    }
}
