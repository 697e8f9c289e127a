//! `bulwark token`: makes tokens for the API. The director is not asked: it reads their hashes
//! from the file under `token_file` of its configuration.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use adminapi::auth::{NamedToken, Role, Token, Tokens};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::said::{Form, Said, json};

/// For the owner and the group of the director, which reads it.
const MODE: u32 = 0o640;

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Line {
    /// Makes a token and shows it, this once, with the line for the file.
    New(New),
}

#[derive(Debug, Args)]
pub(super) struct New {
    /// What the audit calls it.
    #[arg(long)]
    name: String,
    /// What it may do: `read` everything, or `admin` change it too.
    #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::name)))]
    role: String,
    /// Adds the line to this file, which is made when it is missing; only the token is shown then.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// As `--json` shows it.
#[derive(Serialize)]
struct Made<'a> {
    token: &'a str,
    line: &'a str,
}

pub(super) fn run(line: &Line, form: Form) -> Said {
    let Line::New(new) = line;
    match make(new, form) {
        Ok(text) => text.into(),
        Err(why) => {
            let mut said = Said::default();
            said.fail(&why);
            said
        }
    }
}

fn make(new: &New, form: Form) -> Result<String, String> {
    if !NamedToken::is_name(&new.name) {
        return Err(format!(
            "{:?} is no name of a token; use letters, digits and -_.@",
            new.name
        ));
    }
    let role = Role::named(&new.role).ok_or("the role is read or admin")?;
    let token = Token::generate().map_err(|error| format!("no randomness: {error}"))?;
    let digest = token.digest();
    let name = new.name.clone();
    let line = NamedToken { name, role, digest }.line();
    if let Some(file) = &new.file {
        add(&line, file)?;
    }
    let secret = token.reveal();
    Ok(match (form, &new.file) {
        (Form::Json, _) => json(&Made {
            token: secret,
            line: &line,
        }),
        (Form::Text, Some(_)) => format!("{secret}\n"),
        (Form::Text, None) => format!("token: {secret}\nline:  {line}\n"),
    })
}

/// Adds a line to a file of tokens, which has to be good before and after.
fn add(line: &str, path: &Path) -> Result<(), String> {
    let name = path.display().to_string();
    let failed = |error: io::Error| format!("{name}: {error}");
    let before = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let gap = if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let added = format!("{gap}{line}\n");
    Tokens::parse(&format!("{before}{added}"), &name).map_err(|bad| bad.to_string())?;
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(MODE).open(path);
    file.and_then(|mut file| file.write_all(added.as_bytes()))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use adminapi::auth::Digest;

    use super::*;

    fn new(name: &str, file: Option<&Path>) -> New {
        New {
            name: name.to_owned(),
            role: "read".to_owned(),
            file: file.map(Path::to_owned),
        }
    }

    #[test]
    fn a_token_and_its_line_belong_together() {
        let text = make(&new("ci", None), Form::Text).unwrap();
        let (token, line) = text.split_once('\n').unwrap();
        let token = token.strip_prefix("token: ").unwrap();
        let line = line.strip_prefix("line:  ").unwrap();
        let tokens = Tokens::parse(line, "f").unwrap();
        assert_eq!(tokens.find(&Digest::of(token)).unwrap().name, "ci");
        assert!(!line.contains(token));
        assert!(make(&new("c i", None), Form::Text).is_err());
    }

    #[test]
    fn a_file_gets_the_line_and_keeps_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let one = make(&new("one", Some(&path)), Form::Text).unwrap();
        let two = make(&new("two", Some(&path)), Form::Text).unwrap();
        let tokens = Tokens::load(&path).unwrap();
        assert_eq!(tokens.find(&Digest::of(one.trim())).unwrap().name, "one");
        assert_eq!(tokens.find(&Digest::of(two.trim())).unwrap().name, "two");
        let twice = make(&new("two", Some(&path)), Form::Text).unwrap_err();
        assert!(
            twice.contains(":3: there is a token two already"),
            "{twice}"
        );
        assert_eq!(Tokens::load(&path).unwrap().len(), 2);
    }
}
