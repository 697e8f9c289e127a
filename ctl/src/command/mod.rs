//! The words: what `bulwark` can do that ipvsadm has no option for. One word a file.

mod close;
mod defense;
mod drain;
mod explain;
mod filter;
mod forget;
mod generate;
mod health;
mod limits;
mod mark;
mod option;
mod said;
mod selector;
mod sources;
mod status;
mod sysctl;
mod token;
mod top;
mod value;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use adminapi::Client;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::connect;
use crate::director::{DirectorError, Setting};
use crate::ipvsadm::{self, proc};
use said::{Form, Said};

#[derive(Debug, Parser)]
#[command(
    name = "bulwark",
    version,
    about = "Drives a Bulwark director",
    after_help = "ipvsadm's options work too, without a word: bulwark -Ln. `bulwark -h` lists them."
)]
struct Line {
    #[command(flatten)]
    place: connect::Place,
    /// Answers as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    word: Word,
}

impl Line {
    const fn form(&self) -> Form {
        match self.json {
            true => Form::Json,
            false => Form::Text,
        }
    }

    /// Reads a line, the program's name first. `--json` is global, so the grammar lets it stand with
    /// every word.
    fn read(args: &[OsString]) -> Result<Self, clap::Error> {
        let line = Self::try_parse_from(args)?;
        match line.word.own_form().filter(|_| line.json) {
            Some(why) => Err(Self::command().error(
                ErrorKind::ArgumentConflict,
                format!("there is no JSON of this: {why}"),
            )),
            None => Ok(line),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Word {
    #[command(flatten)]
    Question(Question),
    /// Makes tokens for the API.
    #[command(subcommand)]
    Token(token::Line),
    /// Prints the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Writes a man page for each word.
    #[command(hide = true)]
    Man {
        /// Where to.
        directory: PathBuf,
    },
}

impl Word {
    /// What is shown that has a form of its own.
    const fn own_form(&self) -> Option<&'static str> {
        match self {
            Self::Question(Question::Proc { .. }) => Some("proc prints the kernel's format"),
            Self::Question(Question::Top) => Some("top fills the screen"),
            Self::Completions { .. } => Some("completions are a script"),
            _ => None,
        }
    }
}

/// What a director is asked.
#[derive(Debug, Subcommand)]
enum Question {
    /// Shows how the real servers are that are watched, and why.
    Health(health::Line),
    /// Shows the level of defence and why it is that, or sets it.
    Defense(defense::Line),
    /// Shows what has happened lately: changes of level, of real servers and services.
    Events(defense::EventsLine),
    /// Takes a real server out of service when its connections have ended, or at a deadline.
    Drain(drain::Line),
    /// Ends connections of a client to a service.
    Close(close::Line),
    /// Forgets where clients of a persistent service stick; their next connections are scheduled anew.
    Forget(forget::Line),
    /// Shows how many connections, templates and rules there are, and how many there could be.
    Limits,
    /// Shows and changes whose packets are taken: lists of networks, bogons, limits.
    Filter(Box<filter::Line>),
    /// Takes nothing of a network any more, and ends its connections.
    Ban(filter::Network),
    /// Takes packets of a network again.
    Unban(filter::Unban),
    /// Shows and changes the rules that mark packets for services of `-f`.
    Mark(mark::Line),
    /// Shows how the director does: interfaces, workers, connections, drops.
    Status,
    /// Says what the director would do with a packet, and why. Nothing is sent or changed.
    Explain(explain::Line),
    /// Has the director read its configuration file again: all of it or nothing.
    Reload,
    /// Shows who sends most.
    Sources(sources::Line),
    /// Shows rates of services and real servers, the level of defence and who sends most, live.
    Top,
    /// Prints what IPVS has under /proc/net, in the kernel's format.
    Proc {
        /// Which file.
        file: proc::File,
    },
    /// Shows and writes the sysctls of IPVS, net.ipv4.vs.*, as sysctl(8) does.
    Sysctl(sysctl::Line),
}

/// Whether the line is a word and not options. `--api`, `--ca` and `--json` may stand
/// before either.
pub(crate) fn has_word(args: &[String]) -> bool {
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "--json" => {}
            "--api" | "--ca" => drop(args.next()),
            _ if arg.starts_with("--api=") || arg.starts_with("--ca=") => {}
            _ => return !arg.starts_with('-'),
        }
    }
    false
}

/// What a line of `-R` with a word sets, the word first.
pub(crate) fn settings(words: &[String]) -> Result<Vec<Setting>, String> {
    let args = std::iter::once("bulwark").chain(words.iter().map(String::as_str));
    let line = Line::try_parse_from(args).map_err(|error| in_short(&error))?;
    let settings = match &line.word {
        Word::Question(Question::Defense(defense)) => defense.setting().map(|one| vec![one]),
        Word::Question(Question::Mark(mark)) => mark.setting().map(|one| vec![one]),
        Word::Question(Question::Sysctl(sysctl)) => sysctl.settings(),
        _ => None,
    };
    settings.ok_or_else(|| format!("'{}' sets nothing", words.join(" ")))
}

/// What is wrong with a line among many, without what helps with a single one.
fn in_short(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.split("\n\n").next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs a line with a word, the program's name first; the exit status.
pub(crate) async fn run(line: impl Iterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = line.collect();
    let line = match Line::read(&args) {
        Ok(line) => line,
        Err(error) => return tell(&error),
    };
    match answer(&line).await {
        Ok(said) => {
            let written = io::stdout().lock().write_all(said.out.as_bytes());
            let _ = io::stderr().lock().write_all(said.err.as_bytes());
            match written {
                Ok(()) => said.status,
                Err(error) => ipvsadm::unwritten(error, &mut io::stderr()),
            }
        }
        Err(error) => {
            let error = option::named(error, Line::command(), &args);
            let _ = writeln!(io::stderr(), "{error}");
            error.status()
        }
    }
}

/// Prints help, or what is wrong with a line; the exit status.
fn tell(error: &clap::Error) -> u8 {
    match error.print() {
        Err(failed) if !error.use_stderr() => ipvsadm::unwritten(failed, &mut io::stderr()),
        // If standard error is gone there is nobody left to tell.
        _ => error.exit_code().try_into().unwrap_or(2),
    }
}

async fn answer(line: &Line) -> Result<Said, DirectorError> {
    match &line.word {
        Word::Question(question) => {
            let director = connect::find(&line.place)?;
            ask(question, &director, line.form()).await
        }
        Word::Token(token) => Ok(token::run(token, line.form())),
        Word::Completions { shell } => Ok(generate::completions(*shell).into()),
        Word::Man { directory } => Ok(man(directory)),
    }
}

async fn ask(question: &Question, director: &Client, form: Form) -> Result<Said, DirectorError> {
    match question {
        Question::Status => {
            let status = director.status().await?;
            let defense = director.defense(None).await?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.unwrap_or_default().as_secs();
            Ok(form
                .show(&status, |status| status::text(status, &defense, now))
                .into())
        }
        Question::Health(health) => health::run(health, director, form).await,
        Question::Defense(defense) => defense::run(defense, director, form).await,
        Question::Events(events) => defense::events(events, director, form).await,
        Question::Drain(drain) => drain::run(drain, director, form).await,
        Question::Close(line) => close::run(line, director, form).await,
        Question::Forget(line) => forget::run(line, director, form).await,
        Question::Limits => {
            let limits = director.limits().await?;
            Ok(form.show(&limits, limits::text).into())
        }
        Question::Explain(packet) => {
            let Some(query) = packet.query() else {
                return Ok(Said::default());
            };
            let found = director.explain(&query).await?;
            Ok(form
                .show(&found, |found| explain::text(&query, found))
                .into())
        }
        Question::Sources(line) => {
            let found = director.sources(line.query()).await?;
            Ok(form.show(&found, sources::text).into())
        }
        Question::Top => match top::run(director).await {
            Ok(()) => Ok(Said::default()),
            Err(top::Error::Director(error)) => Err(error),
            Err(error) => {
                let mut said = Said::default();
                said.fail(&error.to_string());
                Ok(said)
            }
        },
        Question::Reload => {
            let notes = director.reload().await?.notes;
            Ok(Said {
                err: notes.iter().map(|note| format!("{note}\n")).collect(),
                ..Said::default()
            })
        }
        Question::Filter(filter) => filter::run(filter, director, form).await,
        Question::Ban(network) => filter::ban(network, director).await,
        Question::Unban(network) => filter::unban(network, director).await,
        Question::Mark(mark) => mark::run(mark, director, form).await,
        Question::Proc { file } => Ok(proc::text(*file, director).await?.into()),
        Question::Sysctl(sysctl) => sysctl::run(sysctl, director, form).await,
    }
}

fn man(directory: &Path) -> Said {
    let mut said = Said::default();
    if let Err(error) = generate::man_pages(directory) {
        said.fail(&format!("{}: {error}", directory.display()));
    }
    said
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn args(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_grammar_is_sound() {
        Line::command().debug_assert();
    }

    #[test]
    fn words_and_options_are_told_apart() {
        for (line, word) in [
            ("status", true),
            ("--json status", true),
            ("--api unix:/x status", true),
            ("--api=unix:/x status -h", true),
            ("--api https://x:1 --ca /ca status", true),
            ("--ca=/ca -L", false),
            ("-L", false),
            ("--api unix:/x -L", false),
            ("--json", false),
            ("--help", false),
            ("--version", false),
        ] {
            assert_eq!(has_word(&args(line)), word, "{line}");
        }
        assert!(!has_word(&[]));
    }

    #[test]
    fn a_line_among_many_is_told_in_a_line_what_is_wrong_with_it() {
        for (line, want) in [
            ("foo bar", "unrecognized subcommand 'foo'"),
            (
                "defense level 3",
                "invalid value '3' for '<LEVEL>' [possible values: 0, 1, 2]",
            ),
            (
                "defense level",
                "the following required arguments were not provided: <LEVEL>",
            ),
            ("status", "'status' sets nothing"),
        ] {
            assert_eq!(settings(&args(line)).unwrap_err(), want, "{line}");
        }
    }

    #[test]
    fn what_has_a_form_of_its_own_is_not_asked_for_as_json() {
        let read = |line: &str| {
            let words = std::iter::once("bulwark").chain(line.split(' '));
            Line::read(&words.map(OsString::from).collect::<Vec<_>>())
        };
        for line in ["proc ip_vs", "top", "completions bash"] {
            assert!(read(line).is_ok(), "{line}");
            for line in [format!("--json {line}"), format!("{line} --json")] {
                let error = read(&line).unwrap_err();
                assert_eq!(error.exit_code(), 2, "{line}");
                let told = error.to_string();
                assert!(told.contains("there is no JSON of this"), "{told}");
            }
        }
        assert!(read("status --json").is_ok());
    }

    #[test]
    fn an_unknown_word_gets_a_hint() {
        let error = Line::try_parse_from(["bulwark", "statsu"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSubcommand);
        assert_eq!(error.exit_code(), 2);
        assert!(
            error
                .to_string()
                .contains("similar subcommand exists: 'status'")
        );
    }

    #[test]
    fn nobody_is_banned_to_the_list_of_the_allowed() {
        for (start, option) in [
            (
                "limit a --of syns --per source --rate 5 --ban-over 1 --ban-within 1s --ban-for 1s",
                "--ban-list",
            ),
            ("region a --continents EU", "--list"),
        ] {
            let on = |list| {
                let words = start.split(' ').chain([option, list]);
                Line::try_parse_from(["bulwark", "filter"].into_iter().chain(words))
            };
            assert!(on("deny").is_ok() && on("black-hole").is_ok(), "{option}");
            let error = on("allow").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidValue, "{option}");
        }
    }
}
