//! Finds the director: `--api`, else `BULWARK_API`, else the default socket.

use std::time::Duration;

use adminapi::Client;

use crate::director::{DirectorError, Result};

/// A client of the director that `flag`, the value of `--api`, or the environment names, with the
/// token of `BULWARK_TOKEN` and the patience of `BULWARK_TIMEOUT`. Sends nothing yet.
pub(crate) fn find(flag: Option<&str>) -> Result<Client> {
    let variable = |name| std::env::var(name).ok();
    let address = address(flag, variable("BULWARK_API").as_deref());
    let mut client = Client::connect(&address)?;
    if let Some(seconds) = given(variable("BULWARK_TIMEOUT").as_deref()) {
        client = client.with_patience(patience(seconds)?);
    }
    Ok(match given(variable("BULWARK_TOKEN").as_deref()) {
        Some(token) => client.with_token(token),
        None => client,
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
    fn a_bad_address_is_an_argument_error() {
        let error = find(Some("/run/bulwark/api.sock")).unwrap_err();
        assert_eq!(error.status(), 2);
    }
}
