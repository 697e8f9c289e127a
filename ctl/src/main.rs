//! The command line of Bulwark: ipvsadm's options, or a word. Called by the name `ipvsadm` it
//! knows the options only, and by those of the scripts beside ipvsadm it does what they do.

mod command;
mod connect;
mod director;
mod ipvsadm;

use std::ffi::OsString;
use std::io::{self, BufRead, BufWriter, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use ipvsadm::{Context, Dialect, Streams, SystemNames};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
    let program = args.next().unwrap_or_else(|| "bulwark".to_owned());
    let args: Vec<String> = args.collect();
    let status = match called(&program) {
        Called::Bulwark if command::has_word(&args) => run_word(&program, &args).await,
        called => run(called, &program, &args).await,
    };
    ExitCode::from(status)
}

/// Runs a line of options.
async fn run(called: Called, program: &str, args: &[String]) -> u8 {
    let input = &mut io::stdin().lock();
    match called {
        Called::Bulwark => run_options(program, Dialect::Bulwark, args, input).await,
        Called::Ipvsadm => run_options(program, Dialect::Ipvsadm, args, input).await,
        Called::Save => run_ipvsadm("-S", args, input).await,
        Called::Restore if args.is_empty() => restore_anew(input).await,
        Called::Restore => run_ipvsadm("-R", args, input).await,
    }
}

/// As what the program is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    Bulwark,
    Ipvsadm,
    /// The script `ipvsadm-save`.
    Save,
    /// The script `ipvsadm-restore`.
    Restore,
}

fn called(program: &str) -> Called {
    let name = Path::new(program).file_name().unwrap_or_default();
    match name.to_str() {
        Some("ipvsadm") => Called::Ipvsadm,
        Some("ipvsadm-save") => Called::Save,
        Some("ipvsadm-restore") => Called::Restore,
        _ => Called::Bulwark,
    }
}

/// What a script does that calls `ipvsadm` with a command and its own arguments.
async fn run_ipvsadm(command: &str, args: &[String], input: &mut dyn BufRead) -> u8 {
    let mut line = vec![command.to_owned()];
    line.extend_from_slice(args);
    run_options("ipvsadm", Dialect::Ipvsadm, &line, input).await
}

/// Removes all services when all lines have come, and runs them, without those that begin with `#`.
async fn restore_anew(input: &mut dyn BufRead) -> u8 {
    let mut text = Vec::new();
    if let Err(error) = input.read_to_end(&mut text) {
        return ipvsadm::unwritten(error, &mut io::stderr().lock());
    }
    let cleared = run_ipvsadm("-C", &[], &mut io::empty()).await;
    if cleared != 0 {
        return cleared;
    }
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let lines: Vec<_> = lines.filter(|line| !line.starts_with(b"#")).collect();
    run_ipvsadm("-R", &[], &mut lines.concat().as_slice()).await
}

async fn run_options(
    program: &str,
    dialect: Dialect,
    args: &[String],
    input: &mut dyn BufRead,
) -> u8 {
    let context = Context {
        program,
        dialect,
        names: &SystemNames::default(),
        settings: command::settings,
    };
    let streams = Streams {
        input,
        out: &mut BufWriter::new(io::stdout().lock()),
        err: &mut io::stderr().lock(),
        on_terminal: io::stdout().is_terminal(),
    };
    ipvsadm::run(args, context, connect::find, streams).await
}

async fn run_word(program: &str, args: &[String]) -> u8 {
    let line = std::iter::once(program).chain(args.iter().map(String::as_str));
    // Boxed, or every listing would move through a stack that is large enough for all words.
    Box::pin(command::run(line.map(OsString::from))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_to_be() {
        for (program, want) in [
            ("bulwark", Called::Bulwark),
            ("/usr/sbin/ipvsadm", Called::Ipvsadm),
            ("ipvsadm", Called::Ipvsadm),
            ("ipvsadm-save", Called::Save),
            ("/sbin/ipvsadm-restore", Called::Restore),
            ("ipvsadm-other", Called::Bulwark),
            ("", Called::Bulwark),
        ] {
            assert_eq!(called(program), want, "{program}");
        }
    }
}
