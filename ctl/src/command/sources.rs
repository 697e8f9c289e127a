//! `bulwark sources`.

use std::fmt::Write as _;

use adminapi::model::{SourceQuery, Sources};
use clap::Args;

use super::value::number;

/// Which sources.
#[derive(Debug, Args)]
pub(super) struct Line {
    /// So many at most.
    #[arg(long, value_name = "NUMBER", default_value_t = SourceQuery::DEFAULT_LIMIT, value_parser = number::<u32>)]
    limit: u32,
}

impl Line {
    /// What the director is asked.
    pub(super) const fn query(&self) -> SourceQuery {
        SourceQuery { limit: self.limit }
    }
}

/// Names of the columns.
pub(super) const COLUMNS: [&str; 7] = [
    "source", "PPS", "of all", "stopped", "SYN/s", "BPS", "margin",
];

/// A row for each network and source.
pub(super) fn rows(found: &Sources) -> Vec<[String; 7]> {
    let share = |packets: u64| match found.packets {
        0 => String::new(),
        all => format!("{:.1} %", packets as f64 / all as f64 * 100.0),
    };
    let row = |of: &adminapi::model::Source| {
        [
            of.source.to_string(),
            of.packets.to_string(),
            share(of.packets),
            of.stopped.to_string(),
            of.opens.to_string(),
            of.bytes.to_string(),
            of.margin.to_string(),
        ]
    };
    found.rows().iter().map(row).collect()
}

/// The sources for people.
pub(super) fn text(found: &Sources) -> String {
    let mut text = format!("{} packets of clients a second\n", found.packets);
    if found.rows().is_empty() {
        return text + &rest(found).unwrap_or_default();
    }
    let title = COLUMNS.map(str::to_owned);
    for [source, packets, share, stopped, opens, bytes, margin] in
        std::iter::once(title).chain(rows(found))
    {
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{source:<24} {packets:>10} {share:>8} {stopped:>10} {opens:>10} {bytes:>12} {margin:>8}"
        );
    }
    text + &rest(found).unwrap_or_default()
}

/// What comes from nobody who is shown, where that is most: who sends a little by chance is not who
/// floods.
fn rest(found: &Sources) -> Option<String> {
    let shown: u64 = found.sources.iter().map(|source| source.packets).sum();
    let rest = found.packets.checked_sub(shown)?;
    let is_most = found.networks.is_empty() && 2 * rest > found.packets;
    let share = rest as f64 / found.packets as f64 * 100.0;
    is_most.then(|| {
        format!("{share:.1} % come from sources that are not shown: they send less, or their addresses are forged.\n")
    })
}

#[cfg(test)]
mod tests {
    use adminapi::model::Source;

    use super::*;

    #[test]
    fn sources_read_like_this() {
        let source = |name: &str, packets| Source {
            source: name.parse().unwrap(),
            packets,
            margin: 2,
            bytes: packets * 60,
            opens: packets,
            stopped: packets / 2,
        };
        let found = Sources {
            packets: 2000,
            sources: vec![source("192.0.2.1", 900), source("2001:db8::/64", 50)],
            networks: vec![source("198.51.100.0/24", 1000)],
        };
        assert_eq!(
            text(&found),
            "\
2000 packets of clients a second
source                          PPS   of all    stopped      SYN/s          BPS   margin
198.51.100.0/24                1000   50.0 %        500       1000        60000        2
192.0.2.1                       900   45.0 %        450        900        54000        2
2001:db8::/64                    50    2.5 %         25         50         3000        2
"
        );
        let scattered = Sources {
            networks: Vec::new(),
            ..found
        };
        assert!(text(&scattered).ends_with(
            "\n52.5 % come from sources that are not shown: they send less, or their addresses are forged.\n"
        ));
        assert_eq!(text(&Sources::default()), "0 packets of clients a second\n");
    }
}
