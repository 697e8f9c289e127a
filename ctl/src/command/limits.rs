//! `bulwark limits`: how much there is room for.

use std::fmt::Write as _;

use adminapi::model::{Limits, Use};

/// The limits for people.
pub(super) fn text(limits: &Limits) -> String {
    let mut text = format!("{:<12} {:>12} {:>12}\n", "what", "used", "limit");
    for (name, of) in [
        ("connections", limits.connections),
        ("half-open", limits.half_open),
        ("templates", limits.templates),
        ("marks", limits.marks),
    ] {
        let Use { used, limit } = of;
        // Writing to a string can't fail.
        let _ = writeln!(text, "{name:<12} {used:>12} {limit:>12}{}", share(of));
    }
    let mebibytes = limits.table_bytes as f64 / f64::from(1 << 20);
    let _ = writeln!(
        text,
        "the connection table takes {mebibytes:.1} MiB when it is full"
    );
    text
}

fn share(Use { used, limit }: Use) -> String {
    match limit {
        0 => String::new(),
        limit => format!(" {:>3.0} %", used as f64 / limit as f64 * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_like_this() {
        let of = |used, limit| Use { used, limit };
        let limits = Limits {
            connections: of(250_000, 1_000_000),
            half_open: of(1, 250_000),
            templates: of(0, 0),
            marks: of(2, 64),
            table_bytes: 163_577_856,
        };
        assert_eq!(
            text(&limits),
            "\
what                 used        limit
connections        250000      1000000  25 %
half-open               1       250000   0 %
templates               0            0
marks                   2           64   3 %
the connection table takes 156.0 MiB when it is full
"
        );
    }
}
