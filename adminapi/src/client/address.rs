//! Where a director is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::error::BadAddress;

/// `unix:/path`, `https://host:port` or `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A host.
    Host {
        /// Whether TLS is spoken, or plain HTTP.
        scheme: Scheme,
        /// A name, an IPv4 address or an IPv6 address without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    const ALL: [Self; 2] = [Self::Http, Self::Https];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return path
                .is_absolute()
                .then_some(Self::Unix(path))
                .ok_or_else(bad);
        }
        let (scheme, authority) = (Scheme::ALL.into_iter())
            .find_map(|scheme| Some((scheme, text.strip_prefix(scheme.prefix())?)))
            .ok_or_else(bad)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').ok_or_else(bad)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|v6| v6.contains(':')),
            None => Some(host).filter(|name| !name.contains(':')),
        };
        let plain = |host: &&str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
            !host.is_empty() && host.bytes().all(allowed)
        };
        let host = host.filter(plain).ok_or_else(bad)?.to_owned();
        match port.parse() {
            Ok(0) | Err(_) => Err(bad()),
            Ok(port) => Ok(Self::Host { scheme, host, port }),
        }
    }
}

impl Address {
    /// The `Host` header of a request to it (RFC 9112, section 3.2).
    pub(super) fn host_header(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Host { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Host { host, port, .. } => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Host { scheme, .. } => write!(f, "{}{}", scheme.prefix(), self.host_header()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_their_text() {
        for text in [
            "unix:/run/bulwark/api.sock",
            "http://127.0.0.1:7070",
            "http://[::1]:7070",
            "http://director-1.example:80",
            "https://director-1.example:443",
            "https://[2001:db8::1]:7070",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for text in [
            "",
            "/run/bulwark/api.sock",
            "unix:",
            "unix:api.sock",
            "ftp://127.0.0.1:7070",
            "http://127.0.0.1",
            "https://",
            "http://127.0.0.1:0",
            "http://:7070",
            "http://::1:7070",
            "http://[::1:7070",
            "http://[name]:7070",
            "http://a b:7070",
            "http://host:7070/v1",
        ] {
            assert_eq!(
                text.parse::<Address>(),
                Err(BadAddress(text.to_owned())),
                "{text}"
            );
        }
    }
}
