//! `-R`: the lines of standard input as command lines.

use std::io::{self, BufRead};
use std::ops::ControlFlow;

use adminapi::model::Change;

use super::difference::difference;
use super::draft::Draft;
use super::failure::Failure;
use super::grammar::{Command, Own};
use super::parse::{Context, Line, parse_restored};
use super::pointed::About;
use super::request::Request;
use super::switches::Dialect;
use super::{Streams, check, execute, inform, report, request};
use crate::director::Director;

/// Changes that are made in one request at most.
const MOST: usize = 4096;

/// What begins the lines of a script that are restored.
const IPVSADM: &str = "ipvsadm";

/// Runs the lines, once the director has been seen: ipvsadm too fails without its kernel when there is
/// no line. Ends at the first that can't be read and goes on after one that the director refuses; `-h`
/// and `-v` end it too. The status is that of the last line.
pub(super) async fn restore<D: Director>(
    director: &D,
    context: Context<'_>,
    streams: &mut Streams<'_>,
) -> Result<u8, Failure> {
    director.timeouts().await.map_err(Failure::Director)?;
    let mut restore = Restore {
        director,
        waiting: Vec::new(),
        status: 0,
    };
    let mut bytes = Vec::new();
    while streams.input.read_until(b'\n', &mut bytes)? > 0 {
        let words = words(&String::from_utf8_lossy(&bytes));
        bytes.clear();
        if !words.is_empty() && restore.line(&words, context, streams).await?.is_break() {
            return Ok(0);
        }
    }
    restore.make_waiting(context, streams).await?;
    Ok(restore.status)
}

/// Lines under way.
struct Restore<'d, D> {
    director: &'d D,
    /// Changes of the lines before that have not been made yet: one request makes many.
    waiting: Vec<Change>,
    /// Of the last line that was run.
    status: u8,
}

impl<D: Director> Restore<'_, D> {
    async fn line(
        &mut self,
        words: &[String],
        context: Context<'_>,
        streams: &mut Streams<'_>,
    ) -> Result<ControlFlow<()>, Failure> {
        let doings = match read(words, context) {
            Ok(doings) => doings,
            Err(failure) => {
                self.make_waiting(context, streams).await?;
                self.note(Err(failure), context, streams)?;
                return Ok(ControlFlow::Continue(()));
            }
        };
        for doing in doings {
            match doing {
                Doing::Request(Request::Change(change)) if !execute::stands_alone(&change) => {
                    self.waiting.push(change);
                    if self.waiting.len() >= MOST {
                        self.make_waiting(context, streams).await?;
                    }
                }
                Doing::Request(request) => {
                    self.make_waiting(context, streams).await?;
                    let director = self.director;
                    let done = execute::execute(request, director, context.names, streams.out);
                    let done = done.await;
                    self.note(done, context, streams)?;
                }
                Doing::Inform(command) => {
                    self.make_waiting(context, streams).await?;
                    inform(command, &context, streams.out)?;
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn make_waiting(
        &mut self,
        context: Context<'_>,
        streams: &mut Streams<'_>,
    ) -> Result<(), Failure> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let came = execute::change_all(waiting, self.director).await?;
        came.into_iter()
            .try_for_each(|came| self.note(came, context, streams))
    }

    /// What came of a line: a failure is reported, unless it ends the run.
    fn note(
        &mut self,
        came: Result<(), Failure>,
        context: Context<'_>,
        streams: &mut Streams<'_>,
    ) -> Result<(), Failure> {
        self.status = match came {
            Ok(()) => 0,
            Err(failure) if failure.ends_restore() => return Err(failure),
            Err(failure) => report(&failure, context.dialect, streams.err),
        };
        Ok(())
    }
}

/// Makes the director look as the lines say, all of them or none: services that they do not name
/// go, what they do not set stays. Says first what that changes. What others change while the lines
/// come is seen, and nothing is done if it changes afterwards.
pub(super) async fn restore_atomically<D: Director>(
    line: &Line,
    director: &D,
    context: Context<'_>,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    director.timeouts().await.map_err(Failure::Director)?;
    let lines = lines(streams.input)?;
    let present = director.config().await.map_err(Failure::Director)?;
    let draft = Draft::starting(&present.value);
    for (number, words) in lines {
        let done = draft_line(&words, &draft, context).await;
        done.map_err(|failure| failure.at_line(number))?;
    }
    let wanted = draft.finished();
    streams
        .out
        .write_all(difference(&present.value, &wanted).as_bytes())?;
    match line.own.contains(&Own::DryRun) {
        true => director.check_config(&wanted).await,
        false => director.put_config(&wanted, &present.tag).await,
    }
    .map_err(|error| Failure::Director(About::Whole(&wanted).named(error)))
}

/// The words of the lines that have some, with their numbers.
fn lines(input: &mut dyn BufRead) -> io::Result<Vec<(u64, Vec<String>)>> {
    let (mut lines, mut bytes) = (Vec::new(), Vec::new());
    let mut number = 0;
    while input.read_until(b'\n', &mut bytes)? > 0 {
        number += 1;
        let words = words(&String::from_utf8_lossy(&bytes));
        bytes.clear();
        if !words.is_empty() {
            lines.push((number, words));
        }
    }
    Ok(lines)
}

async fn draft_line(
    words: &[String],
    draft: &Draft<'_>,
    context: Context<'_>,
) -> Result<(), Failure> {
    for doing in read(words, context)? {
        match doing {
            Doing::Request(Request::Change(change)) => execute::change(change, draft).await?,
            Doing::Request(Request::Refused {
                service,
                there,
                missing,
            }) => return Err(execute::refusal(service, [there, missing], draft).await?),
            Doing::Request(Request::Set(setting)) => execute::set(setting, draft).await?,
            Doing::Request(_) | Doing::Inform(_) => {
                let line = words.join(" ");
                let text = format!("'{line}' is no part of a configuration");
                return Err(Failure::argument(text));
            }
        }
    }
    Ok(())
}

/// No quotes, no comments. A word ends with what C takes for its end; `ipvsadm` says nothing, wherever
/// it stands in a line with options.
fn words(line: &str) -> Vec<String> {
    let words = line
        .split([' ', '\t', '\r', '\n'])
        .filter(|word| !word.is_empty())
        .map(|word| word.split('\0').next().unwrap_or_default());
    let mut words: Vec<_> = words.skip_while(|word| *word == IPVSADM).collect();
    if words.first().is_some_and(|word| word.starts_with('-')) {
        words.retain(|word| *word != IPVSADM);
    }
    words.into_iter().map(str::to_owned).collect()
}

/// What a line asks for.
#[allow(clippy::large_enum_variant)] // one a line, never kept
enum Doing {
    /// This of the director.
    Request(Request),
    /// `-h` and `-v`.
    Inform(Command),
}

/// A line with options asks for one thing; one with a word, which only `bulwark` has, may set several.
fn read(words: &[String], context: Context<'_>) -> Result<Vec<Doing>, Failure> {
    let has_word = words.first().is_some_and(|word| !word.starts_with('-'));
    if has_word && context.dialect == Dialect::Bulwark {
        let settings = (context.settings)(words).map_err(Failure::argument)?;
        let set = |setting| Doing::Request(Request::Set(setting));
        return Ok(settings.into_iter().map(set).collect());
    }
    let line = parse_restored(words, &context)?;
    unless_own(&line)?;
    check::check(&line)?;
    Ok(vec![match line.command {
        Command::Restore => return Err(context.try_help()),
        Command::Help | Command::Version => Doing::Inform(line.command),
        _ => Doing::Request(request::request(&line, context.dialect)?),
    }])
}

/// What `bulwark` has beyond ipvsadm to say how it goes about things is for its own command line
/// only. What it says of a service is saved, and restored.
fn unless_own(line: &Line) -> Result<(), Failure> {
    let mut own = line.own.iter().filter(|own| **own != Own::Helper);
    let name = own.next().map(|own| own.name());
    match name.or_else(|| line.place.option()) {
        Some(name) => Err(Failure::unknown_option(format!("--{name}"))),
        None => Ok(()),
    }
}
