//! A report as a drawing: a panel for each table, a bar for each peer, as long as its first figure.

use std::fmt::{self, Write};

use super::report::{Machine, Report, Table};

const WIDTH: usize = 760;
const MARGIN: usize = 16;
const LINE: usize = 22;
/// Where bars begin and how long the longest is.
const BAR_AT: usize = 300;
const BAR_MOST: f64 = 360.0;
const STYLE: &str = "text{font:13px sans-serif;fill:#222}.title{font-weight:bold}\
     .small{font-size:11px;fill:#666}rect.bar{fill:#4878a8}rect.page{fill:#fff}";

/// The report as an SVG document.
pub fn draw(report: &Report) -> String {
    let mut body = String::new();
    let mut y = MARGIN;
    for table in &report.tables {
        y = panel(&mut body, table, y);
    }
    let Machine {
        processor,
        cpus,
        kernel,
    } = &report.machine;
    let foot = format!("{processor}, {cpus} CPUs, kernel {kernel}");
    text(&mut body, "small", MARGIN, y + LINE / 2, &foot);
    let height = y + LINE + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n{body}</svg>\n"
    )
}

/// Draws a table from `y` on; gives where the next may begin.
fn panel(body: &mut String, table: &Table, mut y: usize) -> usize {
    let Some(column) = table.columns.first() else {
        return y;
    };
    y += LINE;
    let title = format!("{} ({})", table.title, column.name);
    text(body, "title", MARGIN, y, &title);
    let first = |row: &super::report::Row| row.values.first().copied().flatten();
    let most = table.rows.iter().filter_map(first).fold(0.0, f64::max);
    for row in &table.rows {
        y += LINE;
        text(body, "name", MARGIN, y, &row.name);
        let value = first(row);
        let length = match value {
            Some(value) if most > 0.0 => value / most * BAR_MOST,
            _ => 0.0,
        };
        let _ = writeln!(
            body,
            "<rect class=\"bar\" x=\"{BAR_AT}\" y=\"{}\" width=\"{length:.1}\" height=\"14\"/>",
            y - 11
        );
        let after = BAR_AT + length as usize + 6;
        text(body, "value", after, y, &column.show(value));
    }
    y + LINE / 2
}

fn text(body: &mut String, class: &str, x: usize, y: usize, words: &str) {
    let words = Escaped(words);
    let _ = writeln!(
        body,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>"
    );
}

/// Text as XML has it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            letter => f.write_char(letter),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::bench::report::{Report, Table};

    #[test]
    fn bars_are_as_long_as_their_figures() {
        let mut report = Report::new("test", "none");
        let mut table = Table::new("a < b & c", &[("Mpps", 1), ("ratio", 2)]);
        table.add("whole", [2.0, 1.0]);
        table.add("half", [1.0, 0.5]);
        table.add("none", [None, None]);
        report.tables.push(table);
        let drawn = draw(&report);
        for part in [
            "a &lt; b &amp; c (Mpps)",
            "width=\"360.0\"",
            "width=\"180.0\"",
            ">2.0<",
            ">1.0<",
            ">-<",
        ] {
            assert!(drawn.contains(part), "{part} is missing: {drawn}");
        }
        assert!(drawn.ends_with("</svg>\n"));
    }
}
