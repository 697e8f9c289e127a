//! What persistent services remember of their clients: how it is named, and forgotten. It is shown as
//! a [`Connection`].

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::text::{AddressText, EndpointText};
use super::{Connection, ConnectionQuery, Cursor, ServiceId};

/// What names a template: `tcp:192.0.2.10:80-203.0.113.7`, the service and the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateId {
    /// Who remembers.
    pub service: ServiceId,
    /// Who is remembered.
    pub client: IpAddr,
}

impl fmt::Display for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.service, self.client)
    }
}

/// A text that names no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no template; write tcp:192.0.2.10:80-203.0.113.7")]
pub struct BadTemplateId(String);

impl FromStr for TemplateId {
    type Err = BadTemplateId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (service, client) = text.split_once('-')?;
            Some(Self {
                service: service.parse().ok()?,
                client: client.parse().ok()?,
            })
        };
        parse().ok_or_else(|| BadTemplateId(text.to_owned()))
    }
}

/// Which templates: those that match everything that is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TemplateQuery {
    /// Only of this virtual service.
    #[serde(default)]
    pub service: Option<ServiceId>,
    /// Only with this real server.
    #[serde(default)]
    #[param(value_type = Option<EndpointText>)]
    pub real: Option<SocketAddr>,
    /// Only of this client, and of those that count as one with it.
    #[serde(default)]
    #[param(value_type = Option<AddressText>)]
    pub client: Option<IpAddr>,
}

impl TemplateQuery {
    /// True when `template` is asked for, which stands for all clients that `masked` makes the
    /// same.
    pub fn matches(&self, template: &Connection, masked: impl Fn(IpAddr) -> IpAddr) -> bool {
        let client = template.client.ip();
        self.service.is_none_or(|id| id == template.service)
            && self.real.is_none_or(|real| real == template.real)
            && self.client.is_none_or(|asked| masked(asked) == client)
    }
}

impl From<TemplateId> for TemplateQuery {
    fn from(id: TemplateId) -> Self {
        Self {
            service: Some(id.service),
            client: Some(id.client),
            ..Self::default()
        }
    }
}

impl From<&ConnectionQuery> for TemplateQuery {
    fn from(query: &ConnectionQuery) -> Self {
        Self {
            service: query.service,
            real: query.real,
            client: query.client,
        }
    }
}

/// A page of templates: of those that match everything that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TemplatePageQuery {
    /// Only of this virtual service.
    #[serde(default)]
    pub service: Option<ServiceId>,
    /// Only with this real server.
    #[serde(default)]
    #[param(value_type = Option<EndpointText>)]
    pub real: Option<SocketAddr>,
    /// Only of this client, and of those that count as one with it.
    #[serde(default)]
    #[param(value_type = Option<AddressText>)]
    pub client: Option<IpAddr>,
    /// At most this many, 1 to [`ConnectionQuery::MAX_LIMIT`].
    #[serde(default = "super::connection::default_limit")]
    #[param(minimum = 1, maximum = 10_000)]
    pub limit: u32,
    /// Go on from here; from the start when left out.
    #[serde(default)]
    pub cursor: Option<Cursor>,
}

impl From<TemplatePageQuery> for ConnectionQuery {
    fn from(query: TemplatePageQuery) -> Self {
        Self {
            service: query.service,
            real: query.real,
            client: query.client,
            template: Some(true),
            limit: query.limit,
            cursor: query.cursor,
        }
    }
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"forgotten": 3}))]
pub struct Forgotten {
    /// So many templates.
    pub forgotten: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_service_and_a_client() {
        for text in [
            "tcp:192.0.2.10:80-203.0.113.7",
            "udp:[2001:db8::10]:53-2001:db8:1::7",
            "fwm:7-203.0.113.0",
        ] {
            assert_eq!(text.parse::<TemplateId>().unwrap().to_string(), text);
        }
        for text in ["", "-", "tcp:192.0.2.10:80", "203.0.113.7-fwm:7"] {
            assert!(text.parse::<TemplateId>().is_err(), "{text}");
        }
    }
}
