//! `bulwark drain`: has a real server drained, and watches until it is gone.

use std::time::Duration;

use adminapi::Client;
use adminapi::model::{RealPatch, RealView};
use clap::Args;

use super::said::{Form, Said};
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

/// Begins the drain and tells of its progress on standard error. To end this ends no drain.
pub(super) async fn run(line: &Line, director: &Client, form: Form) -> Result<Said, DirectorError> {
    let service = line.service.id()?;
    let at = line.real_server.or_port(port(service));
    let patch = RealPatch::drain(line.deadline);
    let mut real = director.change_real(service, at, patch).await?;
    if line.no_wait {
        let text = |real: &RealView| format!("{}\n", left(real));
        return Ok(form.show(&real, text).into());
    }
    let mut told = String::new();
    loop {
        if real.draining.is_none() {
            let mut said = Said::default();
            said.fail(&format!("{at} is in service again"));
            return Ok(said);
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
                return Ok(format!("{at} is removed\n").into());
            }
            Err(error) => return Err(error),
        };
    }
}

fn left(real: &RealView) -> String {
    let connections = real.draining.map_or(0, |draining| draining.connections);
    format!("{}: {connections} connections left", real.endpoint())
}
