//! The file of tokens: one a line, `NAME ROLE sha256:HASH`. The tokens themselves are not in it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use super::{Digest, Role};

/// Those of the mode that let everybody in.
const EVERYBODY: u32 = 0o007;

/// The largest file that is read: some 10,000 tokens.
const LARGEST: u64 = 1 << 20;

/// The longest name.
const LONGEST_NAME: usize = 64;

/// A token that the director knows.
#[derive(Clone, Debug)]
pub struct NamedToken {
    /// What the audit calls it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Its hash.
    pub digest: Digest,
}

impl NamedToken {
    /// Its line in the file.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.name, self.role.name(), self.digest)
    }

    /// Whether a token can have this name.
    pub fn is_name(name: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed)
    }

    fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, role, digest] = words[..] else {
            return Err("is not NAME ROLE sha256:HASH".to_owned());
        };
        if !Self::is_name(name) {
            return Err(format!(
                "{name:?} is no name; use up to {LONGEST_NAME} letters, digits and -_.@"
            ));
        }
        let role = Role::named(role).ok_or_else(|| {
            // It may be the secret, put into the wrong place.
            "the second word is no role; write read or admin".to_owned()
        })?;
        Ok(Self {
            name: name.to_owned(),
            role,
            digest: digest.parse()?,
        })
    }
}

/// Why a file of tokens is not taken: every reason, with its line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTokens(String);

/// The tokens that the director knows.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<NamedToken>);

impl Tokens {
    /// Reads the file at `path`, which not everybody may read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(path: &Path) -> Result<Self, BadTokens> {
        let name = path.display();
        let text = private_text(path).map_err(|why| BadTokens(format!("{name}: {why}")))?;
        Self::parse(&text, &name.to_string())
    }

    /// Reads `text`, which errors call `file`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, file: &str) -> Result<Self, BadTokens> {
        let (mut tokens, mut wrong) = (Vec::<NamedToken>::new(), String::new());
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let known = |token: &NamedToken| match tokens.iter().any(|old| old.name == token.name) {
                true => Err(format!("there is a token {} already", token.name)),
                false => Ok(()),
            };
            match NamedToken::parse(line).and_then(|token| known(&token).map(|()| token)) {
                Ok(token) => tokens.push(token),
                Err(why) => {
                    let _ = writeln!(wrong, "{file}:{}: {why}", index + 1);
                }
            }
        }
        match wrong.is_empty() {
            true => Ok(Self(tokens)),
            false => Err(BadTokens(wrong.trim_end().to_owned())),
        }
    }

    /// The token of which `sent` is the hash, if the director knows it. How long this takes does not
    /// depend on how much of it is right, nor on which one it is.
    pub fn find(&self, sent: &Digest) -> Option<&NamedToken> {
        let none = self.0.len() as u64;
        let mut place = none;
        for (index, token) in (0..).zip(&self.0) {
            place.conditional_assign(&index, token.digest.ct_eq(sent));
        }
        self.0.get(usize::try_from(place).ok()?)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is in a file that has secrets, or what is wrong with it.
pub(crate) fn private_text(path: &Path) -> Result<String, String> {
    let file = open_file(path)?;
    let about = file.metadata();
    let about = about.map_err(|error| format!("cannot be read: {error}"))?;
    if about.permissions().mode() & EVERYBODY != 0 {
        return Err(format!(
            "everybody on this host may use it; chmod o-rwx {}",
            path.display()
        ));
    }
    let mut text = String::new();
    let read = file.take(LARGEST + 1).read_to_string(&mut text);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    match text.len() as u64 {
        ..=LARGEST => Ok(text),
        _ => Err(format!("is larger than {LARGEST} bytes")),
    }
}

/// A file, opened to be read; nothing that could keep its reader waiting, as a pipe does.
fn open_file(path: &Path) -> Result<File, String> {
    let failed = |error| format!("cannot be read: {error}");
    match std::fs::metadata(path).map_err(failed)?.is_file() {
        true => File::open(path).map_err(failed),
        false => Err("is no file".to_owned()),
    }
}
