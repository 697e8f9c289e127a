//! `-R`: the lines of standard input as command lines.

use super::difference::difference;
use super::draft::Draft;
use super::failure::Failure;
use super::grammar::{Command, Own};
use super::parse::{Context, Dialect, Line, parse};
use super::request::Request;
use super::{Streams, check, execute, inform, report, request};
use crate::director::Director;

/// Runs the lines. Ends at the first that can't be read and goes on after one that the director
/// refuses; `-h` and `-v` end it too. The status is that of the last line.
pub(super) async fn restore<D: Director>(
    director: &D,
    context: Context<'_>,
    streams: &mut Streams<'_>,
) -> Result<u8, Failure> {
    let mut status = 0;
    let mut bytes = Vec::new();
    while streams.input.read_until(b'\n', &mut bytes)? > 0 {
        let words = words(&String::from_utf8_lossy(&bytes));
        bytes.clear();
        if words.is_empty() {
            continue;
        }
        status = match run_line(&words, director, context, streams).await {
            Ok(Command::Help | Command::Version) => return Ok(0),
            Ok(_) => 0,
            Err(failure) if failure.ends_restore() => return Err(failure),
            Err(failure) => report(&failure, context.dialect, streams.err),
        };
    }
    Ok(status)
}

/// Makes the director look as the lines say, all of them or none: services that they do not name
/// go, what they do not set stays. Says first what that changes.
pub(super) async fn restore_atomically<D: Director>(
    line: &Line,
    director: &D,
    context: Context<'_>,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    let present = director.config().await.map_err(Failure::Director)?;
    let draft = Draft::starting(present.timeouts);
    let (mut number, mut bytes) = (0, Vec::new());
    while streams.input.read_until(b'\n', &mut bytes)? > 0 {
        number += 1;
        let words = words(&String::from_utf8_lossy(&bytes));
        bytes.clear();
        if !words.is_empty() {
            let done = draft_line(&words, &draft, context).await;
            done.map_err(|failure| failure.at_line(number))?;
        }
    }
    let wanted = draft.finished(&present);
    streams
        .out
        .write_all(difference(&present, &wanted).as_bytes())?;
    match line.own.contains(&Own::DryRun) {
        true => director.check_config(&wanted).await,
        false => director.put_config(&wanted).await,
    }
    .map_err(Failure::Director)
}

async fn draft_line(words: &[String], draft: &Draft, context: Context<'_>) -> Result<(), Failure> {
    let line = read(words, context)?;
    let name = line.command.rule().name;
    let lists = || Failure::argument(format!("'{name}' is no part of a configuration"));
    if matches!(
        line.command,
        Command::Restore | Command::Help | Command::Version
    ) {
        return Err(lists());
    }
    match request::request(&line, context.dialect)? {
        Request::Change(change) => execute::change(change, draft).await,
        _ => Err(lists()),
    }
}

/// No quotes, no comments; a leading `ipvsadm` says nothing.
fn words(line: &str) -> Vec<String> {
    let words = line.split_ascii_whitespace().map(str::to_owned);
    let named = line.split_ascii_whitespace().next() == Some("ipvsadm");
    words.skip(usize::from(named)).collect()
}

/// Runs a line and says what its command was.
async fn run_line<D: Director>(
    words: &[String],
    director: &D,
    context: Context<'_>,
    streams: &mut Streams<'_>,
) -> Result<Command, Failure> {
    let line = read(words, context)?;
    match line.command {
        Command::Restore => return Err(context.try_help()),
        Command::Help | Command::Version => inform(line.command, &context, streams.out)?,
        _ => {
            let request = request::request(&line, context.dialect)?;
            execute::execute(request, director, context.names, streams.out).await?;
        }
    }
    Ok(line.command)
}

/// What `bulwark` has beyond ipvsadm is for its own command line only.
fn read(words: &[String], context: Context<'_>) -> Result<Line, Failure> {
    let context = Context {
        dialect: Dialect::Ipvsadm,
        ..context
    };
    let line = parse(words, &context)?;
    check::check(&line)?;
    Ok(line)
}
