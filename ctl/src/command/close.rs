//! `bulwark close`: ends connections of a client by hand.

use adminapi::Client;
use adminapi::model::{Connection, ConnectionId, ConnectionQuery};
use clap::Args;

use super::said::{Form, Said, json};
use super::selector::Named;
use super::value::End;
use crate::director::DirectorError;

/// Whose connections.
#[derive(Debug, Args)]
pub(super) struct Line {
    #[command(flatten)]
    service: Named,
    /// The client; without a port all of its connections to the service.
    #[arg(long, value_name = "IP[:PORT]")]
    from: End,
}

/// Whether a connection of the client is one of those that are meant.
fn is_meant(port: Option<u16>, connection: &Connection) -> bool {
    port.is_none_or(|port| port == connection.client.port())
}

/// Closes them, and says which.
pub(super) async fn run(line: &Line, director: &Client, form: Form) -> Result<Said, DirectorError> {
    let service = line.service.there(director).await?;
    let port = line.from.port_of(service)?;
    let mut query = ConnectionQuery {
        service: Some(service),
        client: Some(line.from.address),
        template: Some(false),
        limit: ConnectionQuery::MAX_LIMIT,
        ..ConnectionQuery::default()
    };
    let mut closed = Vec::new();
    loop {
        let page = director.connections(&query).await?;
        let meant = page.connections.iter().filter(|c| is_meant(port, c));
        for id in meant.filter_map(id) {
            match director
                .close_connection(id)
                .await
                .map_err(DirectorError::from)
            {
                Ok(()) => closed.push(id),
                // It has ended by itself meanwhile.
                Err(DirectorError::NoConnection) => {}
                Err(error) => return Err(error),
            }
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            return Ok(told(&closed, form));
        }
    }
}

/// What names a connection; templates have no name.
fn id(connection: &Connection) -> Option<ConnectionId> {
    Some(ConnectionId {
        protocol: connection.protocol?,
        client: connection.client,
        vip: connection.vip,
    })
}

fn told(closed: &[ConnectionId], form: Form) -> Said {
    let mut said = Said::default();
    if closed.is_empty() {
        said.fail("no such connection");
    }
    match form {
        Form::Json => {
            let names: Vec<_> = closed.iter().map(ConnectionId::to_string).collect();
            said.out = json(&names);
        }
        Form::Text => {
            let lines = closed.iter().map(|id| format!("{id} closed\n"));
            said.out = lines.collect();
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_closed_is_told() {
        let id: ConnectionId = "tcp:192.0.2.7:40112-192.0.2.10:80".parse().unwrap();
        assert_eq!(
            told(&[id], Form::Text).out,
            "tcp:192.0.2.7:40112-192.0.2.10:80 closed\n"
        );
        let none = told(&[], Form::Text);
        assert_eq!(
            (none.err.as_str(), none.status),
            ("no such connection\n", 1)
        );
        let none = told(&[], Form::Json);
        assert_eq!((none.out.as_str(), none.status), ("[]\n", 1));
    }
}
