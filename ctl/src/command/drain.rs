//! `bulwark drain`: has a real server drained, and watches until it is gone.

use std::net::SocketAddr;
use std::time::Duration;

use adminapi::Client;
use adminapi::model::{RealPatch, RealView, ServiceId};
use clap::Args;
use serde::Serialize;

use super::said::{Form, Said, json};
use super::selector::{Named, port};
use super::value::{End, seconds};
use crate::director::DirectorError;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct Line {
    #[command(flatten)]
    service: Named,
    /// The real server; without a port it has the service's.
    #[arg(short = 'r', long, value_name = "RIP[:PORT]")]
    real_server: End,
    /// When it is removed with the connections that are left: 90s, 15m, 2h.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = seconds)]
    deadline: u32,
    /// Does not wait for the end.
    #[arg(long)]
    no_wait: bool,
}

/// What came of a drain, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Drained {
    service: ServiceId,
    real: SocketAddr,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It is gone.
    Removed,
    /// Somebody has added it again.
    InService,
}

/// Begins the drain and tells of its progress on standard error. To end this ends no drain.
pub(super) async fn run(line: &Line, director: &Client, form: Form) -> Result<Said, DirectorError> {
    let service = line.service.id()?;
    let at = line.real_server.or_port(service, port(service))?;
    let patch = RealPatch::drain(line.deadline);
    let begun = director.change_real(service, at, patch).await;
    let mut real = begun.map_err(|error| named(error.into(), service, at))?;
    if line.no_wait {
        let text = |real: &RealView| format!("{}\n", left(real));
        return Ok(form.show(&real, text).into());
    }
    let ended = |outcome| {
        let drained = Drained {
            service,
            real: at,
            outcome,
        };
        drained.told(form)
    };
    let mut told = String::new();
    loop {
        if real.draining.is_none() {
            return Ok(ended(Outcome::InService));
        }
        let now = left(&real);
        if now != told {
            eprintln!("{now}");
            told = now;
        }
        tokio::time::sleep(INTERVAL).await;
        real = match director
            .real(service, at)
            .await
            .map_err(DirectorError::from)
        {
            Ok(real) => real,
            Err(DirectorError::NoReal | DirectorError::NoService) => {
                return Ok(ended(Outcome::Removed));
            }
            Err(error) => return Err(error),
        };
    }
}

impl Drained {
    fn told(&self, form: Form) -> Said {
        let mut said = Said::default();
        let at = self.real;
        if self.outcome == Outcome::InService {
            said.fail(&format!("{at} is in service again"));
        }
        match (form, self.outcome) {
            (Form::Json, _) => said.out = json(self),
            (Form::Text, Outcome::Removed) => said.out = format!("{at} is removed\n"),
            (Form::Text, Outcome::InService) => {}
        }
        said
    }
}

/// Which one there is not, and where those are found that there are.
fn named(error: DirectorError, service: ServiceId, at: SocketAddr) -> DirectorError {
    match error {
        DirectorError::NoService => DirectorError::Refused(format!(
            "there is no service {service}; `bulwark -L -n` lists all"
        )),
        DirectorError::NoReal => DirectorError::Refused(format!(
            "the service {service} has no real server {at}; `bulwark -L -n` lists those that it has, with \
             their ports"
        )),
        error => error,
    }
}

fn left(real: &RealView) -> String {
    let connections = real.draining.map_or(0, |draining| draining.connections);
    format!("{}: {connections} connections left", real.endpoint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named() {
        let (service, at) = ("tcp:192.0.2.10:80", "10.0.0.12:8080");
        let told = |error| named(error, service.parse().unwrap(), at.parse().unwrap());
        for (missing, names) in [
            (DirectorError::NoService, &[service][..]),
            (DirectorError::NoReal, &[service, at]),
        ] {
            let status = missing.status();
            let error = told(missing);
            let text = error.to_string();
            assert!(names.iter().all(|name| text.contains(name)), "{text}");
            assert!(text.contains("bulwark -L -n"), "{text}");
            assert_eq!(error.status(), status);
        }
        assert_eq!(told(DirectorError::Changed), DirectorError::Changed);
    }

    #[test]
    fn the_end_is_told_in_both_forms() {
        let end = |outcome, form| {
            let drained = Drained {
                service: "tcp:192.0.2.10:80".parse().unwrap(),
                real: "10.0.0.12:80".parse().unwrap(),
                outcome,
            };
            let said = drained.told(form);
            (said.out, said.err, said.status)
        };
        let again = "10.0.0.12:80 is in service again\n";
        for (outcome, name, out, err, status) in [
            (
                Outcome::Removed,
                "removed",
                "10.0.0.12:80 is removed\n",
                "",
                0,
            ),
            (Outcome::InService, "in_service", "", again, 1),
        ] {
            let want = |out: String| (out, err.to_owned(), status);
            assert_eq!(end(outcome, Form::Text), want(out.to_owned()));
            let json = format!(
                "{{\n  \"service\": \"tcp:192.0.2.10:80\",\n  \"real\": \"10.0.0.12:80\",\n  \
                 \"outcome\": \"{name}\"\n}}\n"
            );
            assert_eq!(end(outcome, Form::Json), want(json));
        }
    }
}
