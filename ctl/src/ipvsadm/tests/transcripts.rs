//! Transcripts in the form
//!
//! ```text
//! # title
//! $ ipvsadm -Ln          words as a shell splits them; `<<EOF` gives it standard input
//! > a line of its standard output
//! ! a line of its standard error
//! = its exit status
//! ```

use super::memory::MemoryDirector;
use super::{Dialect, Said, say, words};

/// One command of a transcript and what it has to say.
#[derive(Debug)]
struct Step {
    line: String,
    input: String,
    want: Said,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = text.lines();
    while let Some(text) = lines.next() {
        let (mark, rest) = text.split_at_checked(2).unwrap_or((text, ""));
        match (mark, steps.last_mut()) {
            ("$ ", _) => {
                let (line, here) = match rest.strip_suffix(" <<EOF") {
                    Some(line) => (line, true),
                    None => (rest, false),
                };
                let input = lines.by_ref().take_while(|line| here && *line != "EOF");
                let input = if here {
                    input.map(|line| format!("{line}\n")).collect()
                } else {
                    String::new()
                };
                steps.push(Step {
                    line: line.to_owned(),
                    input,
                    want: Said {
                        out: String::new(),
                        err: String::new(),
                        status: 0,
                    },
                });
            }
            ("> ", Some(step)) => step.want.out += &format!("{rest}\n"),
            ("! ", Some(step)) => step.want.err += &format!("{rest}\n"),
            ("= ", Some(step)) => step.want.status = rest.parse().unwrap(),
            ("# ", _) => {}
            _ => panic!("no line of a transcript: {text:?}"),
        }
    }
    steps
}

pub(super) fn replay(text: &str, director: &MemoryDirector) {
    for step in steps(text) {
        let (program, line) = step.line.split_once(' ').unwrap_or((&step.line, ""));
        let dialect = match program {
            "ipvsadm" => Dialect::Ipvsadm,
            _ => Dialect::Bulwark,
        };
        let said = say(director, dialect, &words(line), step.input.as_bytes());
        assert_eq!(said, step.want, "$ {}", step.line);
    }
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let text = include_str!(concat!("../cases/", stringify!($name), ".case"));
            replay(text, &MemoryDirector::default());
        })*
    };
}

transcripts!(arguments order services schedulers reals methods listings restoring atomic daemons engines helpers);
