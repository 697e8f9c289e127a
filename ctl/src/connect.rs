//! Finds the director: `--api`, else `BULWARK_API`, else the default socket.

use std::ffi::OsString;
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
    let variable = |name| given(name, std::env::var_os(name));
    let address = address(place.api.as_deref(), variable)?;
    let mut client = Client::connect(&address)?.with_trust(trust(place, variable)?);
    if let Some(seconds) = variable("BULWARK_TIMEOUT")? {
        client = client.with_patience(patience(&seconds)?);
    }
    Ok(match variable("BULWARK_TOKEN")? {
        Some(token) => client.with_token(&line(token)?),
        None => client,
    })
}

/// Whom to believe, and the client's own certificate if there is one.
fn trust(
    place: &Place,
    variable: impl Fn(&'static str) -> Result<Option<String>>,
) -> Result<Trust> {
    let ca = match &place.ca {
        Some(ca) => Some(ca.clone()),
        None => variable("BULWARK_CA")?,
    };
    let identity = variable("BULWARK_CERTIFICATE")?.zip(variable("BULWARK_KEY")?);
    Ok(Trust {
        ca: ca.map(Into::into),
        identity: identity.map(|(certificate, key)| (certificate.into(), key.into())),
    })
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

/// A token that a header can carry.
fn line(token: String) -> Result<String> {
    match token.contains(char::is_control) {
        false => Ok(token),
        true => Err(DirectorError::BadAddress(
            "BULWARK_TOKEN: there is a line end or another control character in it; \
             write the token and nothing else"
                .to_owned(),
        )),
    }
}

/// The text of a variable. An empty one is as good as none.
fn given(name: &str, value: Option<OsString>) -> Result<Option<String>> {
    let text = value.map(OsString::into_string).transpose();
    let text = text.map_err(|value| {
        let value = value.to_string_lossy();
        DirectorError::BadAddress(format!("{name}={value}: write it in UTF-8"))
    });
    Ok(text?.filter(|text| !text.is_empty()))
}

fn address(
    flag: Option<&str>,
    variable: impl Fn(&'static str) -> Result<Option<String>>,
) -> Result<String> {
    let address = match flag {
        Some(address) => Some(address.to_owned()),
        None => variable("BULWARK_API")?,
    };
    Ok(address.unwrap_or_else(|| format!("unix:{}", adminapi::DEFAULT_SOCKET)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

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
            let found = address(flag, |name| given(name, variable.map(OsString::from)));
            assert_eq!(found.unwrap(), want);
        }
    }

    #[test]
    fn what_is_no_text_is_not_passed_over() {
        let variable = |name| given(name, Some(OsString::from_vec(b"unix:/\xff".to_vec())));
        let error = address(None, variable).unwrap_err();
        assert!(error.to_string().starts_with("BULWARK_API="), "{error}");
        assert_eq!(error.status(), 2);
        assert_eq!(address(Some("unix:/a"), variable).unwrap(), "unix:/a");
    }

    #[test]
    fn a_token_is_one_line() {
        assert_eq!(line("bulwark_0".to_owned()).unwrap(), "bulwark_0");
        for token in ["bulwark_0\n", "\rbulwark_0", "bulwark\0_0"] {
            let error = line(token.to_owned()).unwrap_err();
            assert!(error.to_string().starts_with("BULWARK_TOKEN: "), "{error}");
            assert_eq!(error.status(), 2);
        }
    }

    #[test]
    fn the_environment_says_whom_to_believe_and_who_asks() {
        let variable = |name| {
            Ok(match name {
                "BULWARK_CA" => Some("/ca".to_owned()),
                "BULWARK_CERTIFICATE" => Some("/crt".to_owned()),
                "BULWARK_KEY" => Some("/key".to_owned()),
                _ => None,
            })
        };
        let place = |ca: Option<&str>| Place {
            api: None,
            ca: ca.map(str::to_owned),
        };
        let found = trust(&place(None), variable).unwrap();
        assert_eq!(found.ca, Some("/ca".into()));
        assert_eq!(found.identity, Some(("/crt".into(), "/key".into())));
        let told = trust(&place(Some("/x")), variable).unwrap();
        assert_eq!(told.ca, Some("/x".into()));
        let empty = |name| given(name, Some(OsString::new()));
        let nothing = trust(&place(None), empty).unwrap();
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
