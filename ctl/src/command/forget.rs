//! `bulwark forget`: has a persistent service forget its clients.

use std::net::IpAddr;

use adminapi::Client;
use adminapi::model::{Forgotten, TemplateQuery};
use clap::Args;

use super::said::{Form, Said, json};
use super::selector::{Named, port};
use super::value::{End, address};
use crate::director::DirectorError;

/// Which clients.
#[derive(Debug, Args)]
pub(super) struct Line {
    #[command(flatten)]
    service: Named,
    /// Only this client, with those that count as one with it.
    #[arg(long, value_name = "IP", value_parser = address)]
    from: Option<IpAddr>,
    /// Only clients of this real server; without a port it has the service's.
    #[arg(short = 'r', long, value_name = "RIP[:PORT]")]
    real_server: Option<End>,
}

/// Forgets them, and says how many.
pub(super) async fn run(line: &Line, director: &Client, form: Form) -> Result<Said, DirectorError> {
    let service = line.service.there(director).await?;
    let real = (line.real_server).map(|real| real.or_port(service, port(service)));
    let query = TemplateQuery {
        service: Some(service),
        real: real.transpose()?,
        client: line.from,
    };
    let forgotten = director.forget_templates(&query).await?;
    Ok(told(forgotten, form))
}

fn told(forgotten: Forgotten, form: Form) -> Said {
    let mut said = Said::default();
    if forgotten.forgotten == 0 {
        said.fail("no such client sticks");
    }
    match (form, forgotten.forgotten) {
        (Form::Json, _) => said.out = json(&forgotten),
        (Form::Text, 0) => {}
        (Form::Text, 1) => said.out = "1 client forgotten\n".to_owned(),
        (Form::Text, many) => said.out = format!("{many} clients forgotten\n"),
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
            let said = told(Forgotten { forgotten }, Form::Text);
            assert_eq!(
                (said.out.as_str(), said.err.as_str(), said.status),
                (out, err, status)
            );
        }
        let none = told(Forgotten::default(), Form::Json);
        assert_eq!(
            (none.out.contains("\"forgotten\": 0"), none.status),
            (true, 1)
        );
    }
}
