//! ipvsadm: the grammar, what it asks of a director, and how the answers look.
//!
//! ```text
//! args -> popt -> parse -> check -> request -> execute -> print, save
//!          |        |        |         |
//!        switches  values  rules   what the director can do
//! ```

mod address;
mod called;
mod check;
mod difference;
mod draft;
mod execute;
mod failure;
mod grammar;
mod help;
mod hindsight;
mod indent;
mod inet;
mod listing;
mod names;
mod parse;
mod pointed;
mod popt;
mod print;
pub(crate) mod proc;
mod request;
mod restore;
mod save;
mod spelling;
mod switches;
mod value;

#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Write};
use std::time::Duration;

use crate::connect::Place;
use crate::director::{Director, DirectorError};
use failure::Failure;
use grammar::{Command, Own};
use switches::{OWN_SWITCHES, SWITCHES, Takes};

use request::Request;

pub(crate) use address::parse as read_address;
#[cfg(test)]
pub(crate) use names::Names;
pub(crate) use names::SystemNames;
pub(crate) use parse::Context;
pub(crate) use switches::Dialect;

/// An option, for those who tell of the grammar.
#[derive(Clone, Debug)]
pub(crate) struct SwitchFacts {
    /// After `--`.
    pub(crate) long: &'static str,
    /// After `-`.
    pub(crate) short: Option<char>,
    /// Whether it has, or may have, a value.
    pub(crate) takes_value: bool,
    /// What it is for.
    pub(crate) help: &'static str,
    /// What its value may be, if that is one of a few words.
    pub(crate) words: Vec<&'static str>,
}

/// Every spelling of every option.
pub(crate) fn switches() -> Vec<SwitchFacts> {
    let all = SWITCHES.iter().chain(OWN_SWITCHES);
    all.map(|switch| SwitchFacts {
        long: switch.long,
        short: switch.short,
        takes_value: switch.takes != Takes::Nothing,
        help: help::of(switch.long),
        words: help::words(switch.long),
    })
    .collect()
}

/// Where a command reads and writes.
pub(crate) struct Streams<'a> {
    /// Standard input, for `-R`.
    pub(crate) input: &'a mut dyn BufRead,
    /// Standard output.
    pub(crate) out: &'a mut dyn Write,
    /// Standard error.
    pub(crate) err: &'a mut dyn Write,
    /// Whether standard output is a terminal.
    pub(crate) on_terminal: bool,
}

/// Runs the line `args` (without the program's name) and returns the exit status. `find` finds
/// the director, given where the line says that it is; a line that is wrong by itself never asks for one.
pub(crate) async fn run<D: Director>(
    args: &[String],
    context: Context<'_>,
    find: impl FnOnce(&Place) -> Result<D, DirectorError>,
    mut streams: Streams<'_>,
) -> u8 {
    let done = dispatch(args, context, find, &mut streams).await;
    let flushed = streams.out.flush().map_err(Failure::from);
    match done.and_then(|status| flushed.map(|()| status)) {
        Ok(status) => status,
        Err(failure) => report(&failure, context.dialect, streams.err),
    }
}

async fn dispatch<D: Director>(
    args: &[String],
    context: Context<'_>,
    find: impl FnOnce(&Place) -> Result<D, DirectorError>,
    streams: &mut Streams<'_>,
) -> Result<u8, Failure> {
    let line = parse::parse(args, &context)?;
    let find = || find(&line.place).map_err(Failure::Director);
    match line.command {
        Command::Help | Command::Version => inform(line.command, &context, streams.out)?,
        Command::Restore => {
            check::check(&line)?;
            let director = find()?;
            if line.own.contains(&Own::Atomic) {
                Box::pin(restore::restore_atomically(
                    &line, &director, context, streams,
                ))
                .await?;
            } else {
                return Box::pin(restore::restore(&director, context, streams)).await;
            }
        }
        _ => {
            check::check(&line)?;
            let request = request::request(&line, context.dialect)?;
            let director = find()?;
            if line.own.contains(&Own::Watch) {
                let interval = Duration::from_secs(line.interval);
                let watching = watch(&request, interval, &director, context.names, streams);
                return Box::pin(watching).await;
            }
            execute::execute(request, &director, context.names, streams.out).await?;
        }
    }
    Ok(0)
}

/// Home, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Lists again and again, until it fails.
async fn watch<D: Director>(
    request: &Request,
    interval: Duration,
    director: &D,
    names: &dyn names::Names,
    streams: &mut Streams<'_>,
) -> Result<u8, Failure> {
    loop {
        let mut screen = Vec::new();
        if streams.on_terminal {
            screen.extend_from_slice(CLEAR.as_bytes());
        }
        execute::execute(request.clone(), director, names, &mut screen).await?;
        streams.out.write_all(&screen)?;
        streams.out.flush()?;
        tokio::time::sleep(interval).await;
    }
}

/// `-h` and `-v`.
fn inform(command: Command, context: &Context<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let text = match command {
        Command::Help => help::text(context),
        _ => help::version(context.dialect).to_owned(),
    };
    Ok(out.write_all(text.as_bytes())?)
}

/// What ipvsadm says when the kernel finds no room, or an operation invalid.
const NO_MEMORY: &str = "Memory allocation problem";
const NO_MODULE: &str = "Are you sure that IP Virtual Server is built in the kernel or as module?";
const INVALID: &str = "Invalid operation.  Possibly wrong module version, address not unicast, ...";

/// Says on `err` why an answer could not be written; the exit status.
pub(crate) fn unwritten(error: io::Error, err: &mut dyn Write) -> u8 {
    report(&error.into(), Dialect::Bulwark, err)
}

/// Says on `err` what went wrong; the exit status.
fn report(failure: &Failure, dialect: Dialect, err: &mut dyn Write) -> u8 {
    use DirectorError::*;
    let (text, status) = match (failure, dialect) {
        (Failure::Closed, _) => return failure.status(),
        (Failure::Director(Full(_)), Dialect::Ipvsadm) => (NO_MEMORY.to_owned(), 255),
        (Failure::Director(Refused(_) | BadValues(_)), Dialect::Ipvsadm) => {
            (INVALID.to_owned(), 255)
        }
        (Failure::Director(error), Dialect::Ipvsadm) if !error.is_refusal() => {
            (format!("Can't initialize ipvs: {failure}\n{NO_MODULE}"), 2)
        }
        _ => (failure.to_string(), failure.status()),
    };
    // If standard error is gone there is nobody left to tell.
    let _ = writeln!(err, "{text}");
    status
}
