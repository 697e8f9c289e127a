//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write};

/// Its media type.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// What is exposed.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// Begins a metric. Its samples follow.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        // Writing into a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}");
        let _ = writeln!(self.0, "# TYPE {name} {}", kind.name());
        Family { page: self, name }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A metric.
#[derive(Debug)]
pub(super) struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

impl Family<'_> {
    /// Adds a sample.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let text = &mut self.page.0;
        text.push_str(self.name);
        for (index, (name, value)) in labels.iter().enumerate() {
            let begin = if index == 0 { '{' } else { ',' };
            let _ = write!(text, "{begin}{name}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_what_they_mean() {
        let mut page = Page::default();
        page.family(Kind::Gauge, "up", "Whether it is up.")
            .sample(&[], 1);
        let mut family = page.family(Kind::Counter, "seen_total", "What was seen.");
        family.sample(&[("name", "a\"b\\c\nd"), ("kind", "x")], 0.5);
        assert_eq!(
            page.finish(),
            "# HELP up Whether it is up.\n# TYPE up gauge\nup 1\n\
             # HELP seen_total What was seen.\n# TYPE seen_total counter\n\
             seen_total{name=\"a\\\"b\\\\c\\nd\",kind=\"x\"} 0.5\n"
        );
    }
}
