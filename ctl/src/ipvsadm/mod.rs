//! ipvsadm: the grammar, what it asks of a director, and how the answers look.
//!
//! ```text
//! args -> popt -> parse -> check -> request -> execute -> print, save
//!          |        |        |         |
//!        switches  values  rules   what the director can do
//! ```

mod address;
mod check;
mod execute;
mod failure;
mod grammar;
mod help;
mod names;
mod parse;
mod popt;
mod print;
mod request;
mod save;
mod sort;
mod value;

#[cfg(test)]
mod tests;

use std::io::{BufRead, Write};

use crate::director::{Director, DirectorError};
use failure::Failure;
use grammar::Command;

pub(crate) use names::SystemNames;
pub(crate) use parse::{Context, Dialect};

/// Where a command reads and writes.
pub(crate) struct Streams<'a> {
    /// Standard input, for `-R`.
    pub(crate) input: &'a mut dyn BufRead,
    /// Standard output.
    pub(crate) out: &'a mut dyn Write,
    /// Standard error.
    pub(crate) err: &'a mut dyn Write,
}

/// Runs the line `args` (without the program's name) and returns the exit status. `find` finds
/// the director, given what `--api` said; a line that is wrong by itself never asks for one.
pub(crate) async fn run<D: Director>(
    args: &[String],
    context: Context<'_>,
    find: impl FnOnce(Option<&str>) -> Result<D, DirectorError>,
    streams: Streams<'_>,
) -> u8 {
    let Streams { input, out, err } = streams;
    let done = dispatch(args, context, find, input, out, err).await;
    let flushed = out.flush().map_err(Failure::from);
    match done.and_then(|status| flushed.map(|()| status)) {
        Ok(status) => status,
        Err(failure) => report(&failure, context.dialect, err),
    }
}

async fn dispatch<D: Director>(
    args: &[String],
    context: Context<'_>,
    find: impl FnOnce(Option<&str>) -> Result<D, DirectorError>,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    let line = parse::parse(args, &context)?;
    match line.command {
        Command::Help | Command::Version => inform(line.command, &context, out)?,
        Command::Restore => {
            check::check(&line)?;
            let director = find(line.api.as_deref()).map_err(Failure::Director)?;
            return restore(&director, context, input, out, err).await;
        }
        _ => {
            check::check(&line)?;
            let request = request::request(&line)?;
            let director = find(line.api.as_deref()).map_err(Failure::Director)?;
            execute::execute(request, &director, context.names, out).await?;
        }
    }
    Ok(0)
}

fn inform(command: Command, context: &Context<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let text = match command {
        Command::Help => help::text(context),
        _ => help::version(context.dialect).to_owned(),
    };
    Ok(out.write_all(text.as_bytes())?)
}

/// `-R`: every line of `input` is a command line. Ends at the first that can't be read, goes on
/// after one that the director refuses; `-h` and `-v` end it too. The status is that of the last line.
async fn restore<D: Director>(
    director: &D,
    context: Context<'_>,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    let context = Context {
        dialect: Dialect::Ipvsadm,
        ..context
    };
    let mut status = 0;
    let mut text = Vec::new();
    while input.read_until(b'\n', &mut text)? > 0 {
        let line = String::from_utf8_lossy(&text).into_owned();
        text.clear();
        let mut words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        if words.first().is_some_and(|word| word == "ipvsadm") {
            words.remove(0);
        }
        if words.is_empty() {
            continue;
        }
        let line = match parse::parse(&words, &context) {
            Ok(line) if matches!(line.command, Command::Help | Command::Version) => {
                inform(line.command, &context, out)?;
                return Ok(0);
            }
            line => line,
        };
        let done = match line {
            Ok(line) => restore_line(&line, director, context, out).await,
            Err(failure) => Err(failure),
        };
        status = match done {
            Ok(()) => 0,
            Err(failure) if failure.ends_restore() => return Err(failure),
            Err(failure) => report(&failure, context.dialect, err),
        };
    }
    Ok(status)
}

async fn restore_line<D: Director>(
    line: &parse::Line,
    director: &D,
    context: Context<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    check::check(line)?;
    if line.command == Command::Restore {
        return Err(context.try_help());
    }
    let request = request::request(line)?;
    execute::execute(request, director, context.names, out).await
}

/// What ipvsadm says when the kernel finds no room, or an operation invalid.
const NO_MEMORY: &str = "Memory allocation problem";
const INVALID: &str = "Invalid operation.  Possibly wrong module version, address not unicast, ...";

/// Says on `err` what went wrong; the exit status.
fn report(failure: &Failure, dialect: Dialect, err: &mut dyn Write) -> u8 {
    use DirectorError::*;
    let (text, status) = match (failure, dialect) {
        (Failure::Closed, _) => return failure.status(),
        (Failure::Director(Full(_)), Dialect::Ipvsadm) => (NO_MEMORY.to_owned(), 255),
        (Failure::Director(Refused(_)), Dialect::Ipvsadm) => (INVALID.to_owned(), 255),
        (
            Failure::Director(NotRunning(_) | NoPermission(_) | TimedOut(_) | BadAddress(_)),
            Dialect::Ipvsadm,
        ) => (format!("Can't initialize ipvs: {failure}"), 2),
        _ => (failure.to_string(), failure.status()),
    };
    // If standard error is gone there is nobody left to tell.
    let _ = writeln!(err, "{text}");
    status
}
