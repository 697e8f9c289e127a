//! The command line of Bulwark: ipvsadm's options, or a word. Called by the name `ipvsadm` it
//! knows the options only.

mod command;
mod connect;
mod director;
mod ipvsadm;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use ipvsadm::{Context, Dialect, Streams, SystemNames};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
    let program = args.next().unwrap_or_else(|| "bulwark".to_owned());
    let args: Vec<String> = args.collect();
    let dialect = dialect(&program);
    let status = match dialect {
        Dialect::Bulwark if command::has_word(&args) => run_word(&program, &args).await,
        _ => run_options(&program, dialect, &args).await,
    };
    ExitCode::from(status)
}

/// Who the program is called as.
fn dialect(program: &str) -> Dialect {
    match Path::new(program).file_name() {
        Some(name) if name == "ipvsadm" => Dialect::Ipvsadm,
        _ => Dialect::Bulwark,
    }
}

async fn run_options(program: &str, dialect: Dialect, args: &[String]) -> u8 {
    let context = Context {
        program,
        dialect,
        names: &SystemNames::default(),
        settings: command::settings,
    };
    let streams = Streams {
        input: &mut io::stdin().lock(),
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
    fn the_name_makes_the_dialect() {
        for (program, want) in [
            ("bulwark", Dialect::Bulwark),
            ("/usr/sbin/ipvsadm", Dialect::Ipvsadm),
            ("ipvsadm", Dialect::Ipvsadm),
            ("ipvsadm-save", Dialect::Bulwark),
            ("", Dialect::Bulwark),
        ] {
            assert_eq!(dialect(program), want, "{program}");
        }
    }
}
