//! `bulwark close`: ends connections of a client by hand.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use adminapi::Client;
use adminapi::model::{Connection, ConnectionId, ConnectionQuery};
use clap::Args;

use super::said::{Form, Said, json};
use super::selector::Named;
use crate::director::DirectorError;

/// Whose connections.
#[derive(Debug, Args)]
pub(super) struct Line {
    #[command(flatten)]
    service: Named,
    /// The client; without a port all of its connections to the service.
    #[arg(long, value_name = "IP[:PORT]")]
    from: Ends,
}

/// The end of one connection, or that of all of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    address: IpAddr,
    port: Option<u16>,
}

impl FromStr for Ends {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text.parse::<SocketAddr>().map(|end| Self {
            address: end.ip(),
            port: Some(end.port()),
        });
        let bare = || {
            text.parse().map(|address| Self {
                address,
                port: None,
            })
        };
        whole.or_else(|_| bare()).map_err(|_| {
            format!(
                "{text:?} is not an address as in 192.0.2.7, 192.0.2.7:40112 or [2001:db8::7]:40112"
            )
        })
    }
}

impl Ends {
    fn has(self, connection: &Connection) -> bool {
        self.port
            .is_none_or(|port| port == connection.client.port())
    }
}

/// Closes them, and says which.
pub(super) async fn run(line: &Line, director: &Client, form: Form) -> Result<Said, DirectorError> {
    let service = line.service.there(director).await?;
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
        let meant = page.connections.iter().filter(|c| line.from.has(c));
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
    fn ends_are_read_with_and_without_a_port() {
        for (text, address, port) in [
            ("192.0.2.7", "192.0.2.7", None),
            ("192.0.2.7:40112", "192.0.2.7", Some(40112)),
            ("2001:db8::7", "2001:db8::7", None),
            ("[2001:db8::7]:40112", "2001:db8::7", Some(40112)),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(text.parse(), Ok(Ends { address, port }), "{text}");
        }
        assert!("example.org".parse::<Ends>().is_err());
    }

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
