//! Checks: how a real server is asked whether it does its work.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::AddressText;
use super::{Millis, Octets, StatusSet};

/// What a real server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckKind {
    /// Nothing: it counts as well.
    None,
    /// A TCP connection; with `send` and `expect` a few words, too.
    Tcp,
    /// An HTTP/1.1 request.
    Http,
    /// The same over TLS.
    Https,
    /// A datagram that has to be answered.
    Udp,
    /// `grpc.health.v1.Health/Check` over HTTP/2 in clear text.
    Grpc,
    /// The same over TLS.
    Grpcs,
    /// A command: status 0 says that the real server is up.
    Exec,
}

impl CheckKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Tcp,
        Self::Http,
        Self::Https,
        Self::Udp,
        Self::Grpc,
        Self::Grpcs,
        Self::Exec,
    ];

    /// Its name on the wire and in the configuration file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Udp => "udp",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
            Self::Exec => "exec",
        }
    }

    /// Whether it speaks HTTP/1.1.
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Whether it asks by gRPC.
    pub const fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::Grpcs)
    }

    /// Whether it speaks TLS.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Grpcs)
    }
}

/// How often something is asked, and how many answers in a row make an opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pace {
    /// From one check to the next.
    pub interval: Millis,
    /// How long one may take.
    pub timeout: Millis,
    /// Successes in a row that bring a real server back.
    pub rise: u32,
    /// Failures in a row that take it out.
    pub fall: u32,
    /// How far an interval may be off, in percent.
    pub jitter: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval: Millis::seconds(2),
            timeout: Millis::seconds(1),
            rise: 2,
            fall: 3,
            jitter: 10,
        }
    }
}

/// How a real server is checked. Which of the fields that may be left out go with which kind:
/// [`Check::misplaced`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What it is asked.
    #[serde(rename = "type")]
    pub kind: CheckKind,
    /// From one check to the next; 2 s when left out.
    #[serde(default = "interval")]
    pub interval: Millis,
    /// How long one may take; 1 s when left out.
    #[serde(default = "timeout")]
    pub timeout: Millis,
    /// Successes in a row that bring it back; 2 when left out.
    #[serde(default = "rise")]
    pub rise: u32,
    /// Failures in a row that take it out; 3 when left out.
    #[serde(default = "fall")]
    pub fall: u32,
    /// How far an interval may be off, in percent, so that checks do not march in step; 10 when
    /// left out.
    #[serde(default = "jitter")]
    pub jitter: u32,
    /// Where it is asked; the RIP when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AddressText>)]
    pub address: Option<IpAddr>,
    /// At which port; the real server's when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// HTTP: the method; `GET` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// HTTP: the path, with a query if there is one; `/` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// HTTP and gRPC: the name of the host that is asked for, over TLS the server's name (SNI),
    /// too; the address when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// HTTP: the status codes that count as success; 200 to 399 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusSet>,
    /// HTTP: what the body has to contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// HTTP: a regular expression that has to match somewhere in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_regex: Option<String>,
    /// TLS: whether the certificate is verified; it is when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<bool>,
    /// TLS: a file of the authorities (PEM) that certificates are verified against; those of the
    /// host when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// TCP and UDP: what is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Octets>,
    /// TCP and UDP: what the answer has to contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Octets>,
    /// gRPC: the service that is asked for; the whole server when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Exec: the program, by its whole path, and its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

fn interval() -> Millis {
    Pace::default().interval
}

fn timeout() -> Millis {
    Pace::default().timeout
}

fn rise() -> u32 {
    Pace::default().rise
}

fn fall() -> u32 {
    Pace::default().fall
}

fn jitter() -> u32 {
    Pace::default().jitter
}

impl Check {
    /// A check of this kind that leaves out all else.
    pub fn new(kind: CheckKind) -> Self {
        Self::paced(kind, Pace::default())
    }

    /// The same at another pace.
    pub const fn paced(kind: CheckKind, pace: Pace) -> Self {
        let Pace {
            interval,
            timeout,
            rise,
            fall,
            jitter,
        } = pace;
        Self {
            kind,
            interval,
            timeout,
            rise,
            fall,
            jitter,
            address: None,
            port: None,
            method: None,
            path: None,
            host: None,
            status: None,
            body: None,
            body_regex: None,
            verify: None,
            ca: None,
            send: None,
            expect: None,
            service: None,
            command: Vec::new(),
        }
    }

    /// How often it is made.
    pub const fn pace(&self) -> Pace {
        Pace {
            interval: self.interval,
            timeout: self.timeout,
            rise: self.rise,
            fall: self.fall,
            jitter: self.jitter,
        }
    }

    /// The fields that are set and mean nothing to its kind.
    pub fn misplaced(&self) -> impl Iterator<Item = &'static str> {
        let kind = self.kind;
        let (http, grpc, tls) = (kind.is_http(), kind.is_grpc(), kind.is_tls());
        let words = matches!(kind, CheckKind::Tcp | CheckKind::Udp);
        let exec = kind == CheckKind::Exec;
        let nowhere = exec || kind == CheckKind::None;
        [
            ("address", self.address.is_some(), !nowhere),
            ("port", self.port.is_some(), !nowhere),
            ("method", self.method.is_some(), http),
            ("path", self.path.is_some(), http),
            ("host", self.host.is_some(), http || grpc),
            ("status", self.status.is_some(), http),
            ("body", self.body.is_some(), http),
            ("body_regex", self.body_regex.is_some(), http),
            ("verify", self.verify.is_some(), tls),
            ("ca", self.ca.is_some(), tls),
            ("send", self.send.is_some(), words),
            ("expect", self.expect.is_some(), words),
            ("service", self.service.is_some(), grpc),
            ("command", !self.command.is_empty(), exec),
        ]
        .into_iter()
        .filter(|(_, is_set, means)| *is_set && !means)
        .map(|(field, ..)| field)
    }
}
