//! What a command said, held against the capture: to the byte, except for fields that differ from
//! run to run.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// The kernel's remaining times are read up to this much late, and ours too.
const READING: i64 = 2;

/// The captures' web servers and clients took so many seconds.
const WEB: i64 = 5;

/// What may differ between the capture's run and ours.
#[derive(Clone, Debug, Default)]
pub struct Leeway {
    /// By how much less time has passed here.
    pub behind: Duration,
    /// By how much more.
    pub late: Duration,
    /// Whether packets and bytes depend on web servers.
    pub web: bool,
    /// Segments of real servers that the capture has not sent, by service and real server (none:
    /// those of the service) as `--stats` names them: packets of 40 bytes.
    pub extra: BTreeMap<(String, String), u64>,
}

impl Leeway {
    /// Compares the lines that the command `line` said.
    ///
    /// # Errors
    /// With the first difference.
    pub fn check(&self, line: &str, expected: &[String], got: &[String]) -> Result<()> {
        match Listing::of(line) {
            Listing::Connections => self.connections(expected, got),
            Listing::Counters => self.counters(expected, got),
            Listing::Rates => shapes(expected, got),
            Listing::Plain => lines(expected, got),
        }
    }

    /// The rows of `-c` in any order.
    fn connections(&self, expected: &[String], got: &[String]) -> Result<()> {
        let (titles, rows) = expected.split_at(expected.len().min(2));
        lines(titles, &got[..got.len().min(2)])?;
        let (mut expected, mut got) = (by_ends(rows), by_ends(got.get(2..).unwrap_or_default()));
        expected.sort();
        got.sort();
        let ends = |rows: &[Row]| rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>();
        lines(&ends(&expected), &ends(&got))?;
        expected
            .iter()
            .zip(&got)
            .try_for_each(|(expected, got)| self.remaining(expected, got))
    }

    /// One row of `-c`.
    ///
    /// # Errors
    /// With the difference.
    pub fn connection(&self, expected: &str, got: &str) -> Result<()> {
        let rows = by_ends(&[expected.to_owned(), got.to_owned()]);
        ensure!(
            rows[0].0 == rows[1].0,
            "expected {expected}\n     got {got}"
        );
        self.remaining(&rows[0], &rows[1])
    }

    fn remaining(&self, expected: &Row, got: &Row) -> Result<()> {
        let web = if self.web { WEB } else { 0 };
        let most = expected.1 + READING + web + self.behind.as_secs_f64().ceil() as i64;
        let least = expected.1 - READING - self.late.as_secs() as i64;
        ensure!(
            (least..=most).contains(&got.1),
            "{}: expected to live {} s, got {} s",
            expected.0,
            expected.1,
            got.1
        );
        Ok(())
    }

    /// `--stats`: exact, but for what depends on web servers.
    fn counters(&self, expected: &[String], got: &[String]) -> Result<()> {
        if self.web {
            return shapes(&first_counters(expected), &first_counters(got));
        }
        let mut service = String::new();
        let expected: Vec<String> = expected
            .iter()
            .map(|row| self.with_extra(row, &mut service))
            .collect();
        lines(&words(&expected), &words(got))
    }

    /// A row of `--stats` with what was sent here and not in the capture.
    fn with_extra(&self, row: &str, service: &mut String) -> String {
        let mut fields: Vec<String> = row.split_whitespace().map(str::to_owned).collect();
        let Some(name) = fields.get(1).cloned() else {
            return row.to_owned();
        };
        let is_real = fields[0] == "->";
        if !is_real {
            service.clone_from(&name);
        }
        let real = if is_real { name } else { String::new() };
        let extra = self.extra.get(&(service.clone(), real)).unwrap_or(&0);
        for (at, size) in [(4, 1), (6, 40)] {
            if let Some(value) = fields.get(at).and_then(|text| text.parse::<u64>().ok()) {
                fields[at] = (value + extra * size).to_string();
            }
        }
        fields.join(" ")
    }
}

enum Listing {
    Connections,
    Counters,
    Rates,
    Plain,
}

impl Listing {
    fn of(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["ipvsadm", "-Lnc" | "-Lc", ..] => Self::Connections,
            ["ipvsadm", .., "--stats"] => Self::Counters,
            ["ipvsadm", rest @ ..] if rest.contains(&"--stats") => Self::Counters,
            ["ipvsadm", rest @ ..] if rest.contains(&"--rate") => Self::Rates,
            _ => Self::Plain,
        }
    }
}

/// A row of `-c` without its time, and that in seconds.
type Row = (String, i64);

fn by_ends(rows: &[String]) -> Vec<Row> {
    rows.iter()
        .map(|row| match row.split_once(' ') {
            Some((protocol, rest)) => {
                let (time, ends) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
                match seconds(time) {
                    Ok(seconds) => (format!("{protocol} {}", ends.trim_start()), seconds),
                    Err(_) => (row.clone(), 0),
                }
            }
            None => (row.clone(), 0),
        })
        .collect()
}

/// `MM:SS`.
fn seconds(time: &str) -> Result<i64> {
    let (minutes, seconds) = time.split_once(':').context("not a time")?;
    Ok(minutes.parse::<i64>()? * 60 + seconds.parse::<i64>()?)
}

fn words(rows: &[String]) -> Vec<String> {
    rows.iter()
        .map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// Rows of `--stats` up to the connections.
fn first_counters(rows: &[String]) -> Vec<String> {
    rows.iter()
        .map(|row| row.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
        .collect()
}

/// The same words, but for numbers in columns after the second.
fn shapes(expected: &[String], got: &[String]) -> Result<()> {
    let shape = |rows: &[String]| {
        rows.iter()
            .map(|row| {
                let words = row.split_whitespace().enumerate();
                words
                    .map(|(at, word)| match word.parse::<u64>() {
                        Ok(_) if at > 1 => "N",
                        _ => word,
                    })
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect::<Vec<_>>()
    };
    lines(&shape(expected), &shape(got))
}

/// The same lines.
///
/// # Errors
/// With all lines, those that differ marked.
pub fn lines(expected: &[String], got: &[String]) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    let missing = expected.iter().filter(|line| !got.contains(line));
    let surplus = got.iter().filter(|line| !expected.contains(line));
    let marked: Vec<String> = missing
        .map(|line| format!("  expected |{line}|"))
        .chain(surplus.map(|line| format!("       got |{line}|")))
        .collect();
    let why = if marked.is_empty() {
        "the order differs"
    } else {
        "they differ"
    };
    anyhow::bail!("{why}:\n{}", marked.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::Leeway;

    fn own(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    const TITLES: [&str; 2] = ["IPVS connection entries", "pro expire"];

    fn connections(rows: [&str; 2]) -> Vec<String> {
        own(&[TITLES.as_slice(), rows.as_slice()].concat())
    }

    #[test]
    fn connections_come_in_any_order_and_a_little_later() {
        let expected = connections(["TCP 00:59  SYN_RECV a b c", "TCP 14:59  ESTABLISHED d e f"]);
        let check = |rows| Leeway::default().check("ipvsadm -Lnc", &expected, &connections(rows));
        check(["TCP 14:58  ESTABLISHED d e f", "TCP 01:00  SYN_RECV a b c"]).unwrap();
        for wrong in [
            ["TCP 14:50  ESTABLISHED d e f", "TCP 01:00  SYN_RECV a b c"],
            ["TCP 14:59  FIN_WAIT d e f", "TCP 01:00  SYN_RECV a b c"],
        ] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn counters_are_exact_but_for_what_was_sent_on_top() {
        let row = |out: &str| {
            own(&[
                "TCP  v:80   4  5  0  6  0",
                &format!("  -> r:80  4  5  {out}"),
            ])
        };
        let plain = Leeway::default();
        let line = "ipvsadm -Ln --stats";
        plain.check(line, &row("0 6 0"), &row("0 6 0")).unwrap();
        assert!(plain.check(line, &row("0 6 0"), &row("1 6 40")).is_err());
        let extra = Leeway {
            extra: ["r:80", ""]
                .map(|real| (("v:80".into(), real.into()), 1))
                .into(),
            ..Leeway::default()
        };
        let got = own(&["TCP  v:80   4  5  1  6  40", "  -> r:80  4  5  1 6 40"]);
        extra.check(line, &row("0 6 0"), &got).unwrap();
    }

    #[test]
    fn everything_else_is_compared_to_the_byte() {
        let check = |got| Leeway::default().check("ipvsadm -Ln", &own(&["a "]), &own(&[got]));
        check("a ").unwrap();
        assert!(check("a").is_err());
    }
}
