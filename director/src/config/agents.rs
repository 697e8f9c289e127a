//! `[agents]` and `[cookies]`: where agents of real servers come in, and how long keys are used.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::identity;
use super::read::{Expected, Section};
use crate::channel::Identity;
use crate::cookie::Secret;
use crate::time::Ticks;

/// Where agents come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agents {
    /// Address and port.
    pub listen: SocketAddr,
    /// Who the director is, and whom it believes.
    pub identity: Identity,
}

/// How cookies are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookies {
    /// How long a key makes them.
    pub rotation: Ticks,
    /// What other directors make the same keys of.
    pub secret: Option<Secret>,
}

impl Cookies {
    const ROTATION: u32 = 30;
}

impl Default for Cookies {
    fn default() -> Self {
        Self {
            rotation: Ticks::seconds(Self::ROTATION),
            secret: None,
        }
    }
}

/// `None` when something of it is missing, which is reported then.
pub(super) fn read(mut section: Section<'_>) -> Option<Agents> {
    let expected = Expected::Text("an address with a port, as in \"10.0.2.254:7071\"");
    let mend = "set the address and port that agents come in by";
    let listen = section.required("listen", &expected, mend);
    let identity = identity::read(&mut section, "client_ca");
    section.finish();
    Some(Agents {
        listen: listen?,
        identity: identity?,
    })
}

pub(super) fn read_cookies(mut section: Section<'_>) -> Cookies {
    let seconds = Expected::Number(1..=3600);
    let rotation = section.or("rotation", &seconds, Cookies::ROTATION);
    let secret = read_secret(&mut section);
    section.finish();
    Cookies {
        rotation: Ticks::seconds(rotation),
        secret,
    }
}

fn read_secret(section: &mut Section<'_>) -> Option<Secret> {
    let path = Expected::Text("the path of a file");
    let path = PathBuf::from(section.optional::<String>("secret_file", &path)?);
    match Secret::read(&path) {
        Ok(secret) => Some(secret),
        Err(error) => {
            let message = format!("{}: {error}", path.display());
            let mend = "make it with `(umask 077; openssl rand -hex 32 > FILE)`";
            section.refuse("secret_file", message, mend);
            None
        }
    }
}
