//! Whole lines, against a director in memory.

mod listings;
mod memory;
mod properties;
mod refusals;
mod restoring;
mod transcripts;

use std::future::Future;
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use super::names::fake::FakeNames;
use super::{Context, Dialect, NO_MODULE, Streams, run};
use crate::command;
use crate::connect::Place;
use crate::director::{DirectorError, Result};
use memory::MemoryDirector;

/// What a command said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    out: String,
    err: String,
    status: u8,
}

fn say(director: &MemoryDirector, dialect: Dialect, args: &[String], input: &[u8]) -> Said {
    say_to(dialect, args, input, |_| Ok(director))
}

fn say_to<'a>(
    dialect: Dialect,
    args: &[String],
    mut input: &[u8],
    find: impl FnOnce(&Place) -> Result<&'a MemoryDirector>,
) -> Said {
    let context = Context {
        program: match dialect {
            Dialect::Bulwark => "bulwark",
            Dialect::Ipvsadm => "ipvsadm",
        },
        dialect,
        names: &FakeNames,
        settings: command::settings,
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = {
        let streams = Streams {
            input: &mut input,
            out: &mut out,
            err: &mut err,
            on_terminal: false,
        };
        let future = pin!(run(args, context, find, streams));
        match future.poll(&mut TaskContext::from_waker(Waker::noop())) {
            Poll::Ready(status) => status,
            Poll::Pending => panic!("the director in memory never waits"),
        }
    };
    Said {
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
        status,
    }
}

fn ipvsadm(director: &MemoryDirector, line: &str) -> Said {
    say(director, Dialect::Ipvsadm, &words(line), b"")
}

fn bulwark(director: &MemoryDirector, line: &str) -> Said {
    say(director, Dialect::Bulwark, &words(line), b"")
}

/// Splits as a shell does, quotes included.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn the_own_switches_are_unknown_to_ipvsadm() {
    let director = MemoryDirector::default();
    let said = ipvsadm(&director, "-L --json");
    assert_eq!(
        (said.err.as_str(), said.status),
        ("--json: unknown option\n", 255)
    );
    assert_eq!(ipvsadm(&director, "--api x -L").status, 255);
    let said = bulwark(&director, "-S --json");
    let refused = "Illegal 'json' option with the 'save' command\n";
    assert_eq!((said.err.as_str(), said.status), (refused, 2));
    assert_eq!(bulwark(&director, "--api unix:/x -L -n").status, 0);
}

#[test]
fn errors_of_the_director_have_their_own_status() {
    let fail = |dialect, error| {
        let said = say_to(dialect, &words("-L"), b"", |_| Err(error));
        (said.err, said.status)
    };
    for (error, status) in [
        (DirectorError::BadAddress("down".into()), 2),
        (DirectorError::NotRunning("down".into()), 3),
        (DirectorError::NoPermission("down".into()), 4),
        (DirectorError::TimedOut("down".into()), 5),
        (DirectorError::Fault("down".into()), 6),
        (DirectorError::NotTrusted("down".into()), 7),
    ] {
        assert_eq!(
            fail(Dialect::Ipvsadm, error.clone()),
            (format!("Can't initialize ipvs: down\n{NO_MODULE}\n"), 2)
        );
        assert_eq!(fail(Dialect::Bulwark, error), ("down\n".to_owned(), status));
    }
}

#[test]
fn help_and_version_need_no_director() {
    let director = MemoryDirector::default();
    assert_eq!(
        ipvsadm(&director, "-v").out,
        "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n"
    );
    assert!(bulwark(&director, "--version").out.starts_with("bulwark "));
    let help = bulwark(&director, "-h").out;
    for switch in super::switches::SWITCHES
        .iter()
        .chain(super::switches::OWN_SWITCHES)
    {
        let name = format!("--{}", switch.long);
        assert!(help.contains(&name) || switch.long == "sort", "{name}");
    }
    assert!(!ipvsadm(&director, "-h").out.contains("--json"));
}
