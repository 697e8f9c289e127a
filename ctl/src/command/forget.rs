//! `bulwark forget`: has a persistent service forget its clients.

use std::net::{IpAddr, SocketAddr};

use adminapi::Client;
use adminapi::model::{Forgotten, TemplateQuery};
use clap::Args;

use super::selector::Selector;
use super::{Said, json};
use crate::director::DirectorError;

/// Which clients.
#[derive(Debug, Args)]
#[command(mut_group("service", |service| service.required(true)))]
pub(super) struct Line {
    #[command(flatten)]
    service: Selector,
    /// Only this client, with those that count as one with it.
    #[arg(long, value_name = "IP")]
    from: Option<IpAddr>,
    /// Only clients of this real server.
    #[arg(short = 'r', long, value_name = "RIP:PORT")]
    real_server: Option<SocketAddr>,
}

/// Forgets them, and says how many.
pub(super) async fn run(
    line: &Line,
    director: &Client,
    as_json: bool,
) -> Result<Said, DirectorError> {
    let service = line.service.named()?;
    // A service that is not there remembers nobody, which would say less.
    director.service(service).await?;
    let query = TemplateQuery {
        service: Some(service),
        real: line.real_server,
        client: line.from,
    };
    let forgotten = director.forget_templates(&query).await?;
    Ok(told(forgotten, as_json))
}

fn told(forgotten: Forgotten, as_json: bool) -> Said {
    let mut said = Said::default();
    match (as_json, forgotten.forgotten) {
        (true, _) => said.out = json(&forgotten),
        (false, 0) => said.fail("no such client sticks"),
        (false, 1) => said.out = "1 client forgotten\n".to_owned(),
        (false, many) => said.out = format!("{many} clients forgotten\n"),
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_is_told() {
        for (forgotten, out, err, status) in [
            (0, "", "no such client sticks\n", 1),
            (1, "1 client forgotten\n", "", 0),
            (7, "7 clients forgotten\n", "", 0),
        ] {
            let said = told(Forgotten { forgotten }, false);
            assert_eq!(
                (said.out.as_str(), said.err.as_str(), said.status),
                (out, err, status)
            );
        }
        let none = told(Forgotten::default(), true);
        assert_eq!(
            (none.out.contains("\"forgotten\": 0"), none.status),
            (true, 0)
        );
    }
}
