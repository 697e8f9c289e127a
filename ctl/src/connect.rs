//! Finds the director: `--api`, else `BULWARK_API`, else the default socket.

use std::time::Duration;

use adminapi::Client;
use adminapi::client::Trust;
use clap::Args;

use crate::director::{DirectorError, Result};

/// Where a line says that the director is, and whom to believe that it is he.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Place {
    /// Where the director is: unix:/PATH, https://HOST:PORT or http://HOST:PORT
    /// [default: $BULWARK_API, else unix:/run/bulwark/api.sock].
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub(crate) api: Option<String>,
    /// Who signs the director's certificate, for https (PEM)
    /// [default: $BULWARK_CA, else whom the system believes].
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) ca: Option<String>,
}

impl Place {
    /// The name of an option that says something of it.
    pub(crate) fn option(&self) -> Option<&'static str> {
        let given = |option: &Option<String>, name| option.as_ref().map(|_| name);
        given(&self.api, "api").or_else(|| given(&self.ca, "ca"))
    }
}

/// A client of the director that `place` or the environment names, with the token of
/// `BULWARK_TOKEN` and the patience of `BULWARK_TIMEOUT`. Sends nothing yet.
pub(crate) fn find(place: &Place) -> Result<Client> {
    let variable = |name| std::env::var(name).ok();
    let address = address(place.api.as_deref(), variable("BULWARK_API").as_deref());
    let mut client = Client::connect(&address)?.with_trust(trust(place, variable));
    if let Some(seconds) = given(variable("BULWARK_TIMEOUT").as_deref()) {
        client = client.with_patience(patience(seconds)?);
    }
    Ok(match given(variable("BULWARK_TOKEN").as_deref()) {
        Some(token) => client.with_token(token),
        None => client,
    })
}

/// Whom to believe, and the client's own certificate if there is one.
fn trust(place: &Place, variable: impl Fn(&'static str) -> Option<String>) -> Trust {
    let set = |name| variable(name).filter(|text| !text.is_empty());
    let ca = place.ca.clone().or_else(|| set("BULWARK_CA"));
    let identity = set("BULWARK_CERTIFICATE").zip(set("BULWARK_KEY"));
    Trust {
        ca: ca.map(Into::into),
        identity: identity.map(|(certificate, key)| (certificate.into(), key.into())),
    }
}

/// Seconds that a call may take.
fn patience(text: &str) -> Result<Duration> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (1..=3600).contains(seconds));
    let bad =
        || DirectorError::BadAddress(format!("BULWARK_TIMEOUT={text}: write 1 to 3600 seconds"));
    seconds.map(Duration::from_secs).ok_or_else(bad)
}

/// An empty variable is as good as none.
fn given(variable: Option<&str>) -> Option<&str> {
    variable.filter(|text| !text.is_empty())
}

fn address(flag: Option<&str>, variable: Option<&str>) -> String {
    match flag.or(given(variable)) {
        Some(address) => address.to_owned(),
        None => format!("unix:{}", adminapi::DEFAULT_SOCKET),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment() {
        for (flag, variable, want) in [
            (Some("unix:/a"), Some("unix:/b"), "unix:/a"),
            (None, Some("unix:/b"), "unix:/b"),
            (None, Some(""), "unix:/run/bulwark/api.sock"),
            (None, None, "unix:/run/bulwark/api.sock"),
            (Some(""), Some("unix:/b"), ""),
        ] {
            assert_eq!(address(flag, variable), want);
        }
    }

    #[test]
    fn the_environment_says_whom_to_believe_and_who_asks() {
        let variable = |name| match name {
            "BULWARK_CA" => Some("/ca".to_owned()),
            "BULWARK_CERTIFICATE" => Some("/crt".to_owned()),
            "BULWARK_KEY" => Some("/key".to_owned()),
            _ => None,
        };
        let place = |ca: Option<&str>| Place {
            api: None,
            ca: ca.map(str::to_owned),
        };
        let found = trust(&place(None), variable);
        assert_eq!(found.ca, Some("/ca".into()));
        assert_eq!(found.identity, Some(("/crt".into(), "/key".into())));
        assert_eq!(trust(&place(Some("/x")), variable).ca, Some("/x".into()));
        let nothing = trust(&place(None), |_| Some(String::new()));
        assert!(nothing.ca.is_none() && nothing.identity.is_none());
    }

    #[test]
    fn a_bad_address_is_an_argument_error() {
        let place = Place {
            api: Some("/run/bulwark/api.sock".to_owned()),
            ca: None,
        };
        let error = find(&place).unwrap_err();
        assert_eq!(error.status(), 2);
    }
}
