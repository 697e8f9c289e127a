//! Values in a line with a word: addresses, numbers, times. One that cannot be read is answered by
//! what to write. Addresses with a port are read as in a line of options, names of both included.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use adminapi::model::{Protocol, ServiceId, span};

use crate::director::DirectorError;
use crate::ipvsadm::{SystemNames, read_address};

/// An address, and a port if one was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The address.
    pub(super) address: IpAddr,
    port: Option<Port>,
}

/// A port of a service whose protocol is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Number(u16),
    /// What its name means with each protocol, in the order of [`Protocol::ALL`].
    Named([Option<u16>; Protocol::ALL.len()]),
}

impl End {
    /// The port, if one was given, of an end of `service`.
    ///
    /// # Errors
    /// The protocol of the service knows no port of that name.
    pub(super) fn port_of(self, service: ServiceId) -> Result<Option<u16>, DirectorError> {
        let named = match self.port {
            None => return Ok(None),
            Some(Port::Number(port)) => return Ok(Some(port)),
            Some(Port::Named(named)) => named,
        };
        let place = |one: Protocol| Protocol::ALL.iter().position(|known| *known == one);
        let port = service.protocol().and_then(place).and_then(|at| named[at]);
        let unknown = || DirectorError::BadValue(format!("no port of {service} has that name"));
        port.map(Some).ok_or_else(unknown)
    }

    /// The end of `service`, with this port if none was given.
    ///
    /// # Errors
    /// As [`End::port_of`].
    pub(super) fn or_port(
        self,
        service: ServiceId,
        port: u16,
    ) -> Result<SocketAddr, DirectorError> {
        let own = self.port_of(service)?;
        Ok(SocketAddr::new(self.address, own.unwrap_or(port)))
    }
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = SystemNames::default();
        let numbered = read_address(text, None, &names).map(|at| Self {
            address: at.address,
            port: at.port.map(Port::Number),
        });
        let named = || {
            let (_, name) = text.rsplit_once(':')?;
            let is_name = name.contains(|c: char| !c.is_ascii_digit());
            let read = |protocol| read_address(text, Some(protocol), &names);
            let read = Protocol::ALL.map(|protocol| is_name.then(|| read(protocol)).flatten());
            Some(Self {
                address: read.iter().flatten().next()?.address,
                port: Some(Port::Named(read.map(|at| at?.port))),
            })
        };
        numbered.or_else(named).ok_or_else(|| {
            "write an address, with a port or without, as in 192.0.2.7, 192.0.2.7:80 or \
             [2001:db8::7]:80"
                .to_owned()
        })
    }
}

/// Reads IP:PORT.
pub(super) fn endpoint(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| written())
}

/// Reads VIP:PORT of TCP.
pub(super) fn tcp(text: &str) -> Result<SocketAddr, String> {
    vip(Protocol::Tcp, text)
}

/// Reads VIP:PORT of UDP.
pub(super) fn udp(text: &str) -> Result<SocketAddr, String> {
    vip(Protocol::Udp, text)
}

/// Reads VIP:PORT of SCTP.
pub(super) fn sctp(text: &str) -> Result<SocketAddr, String> {
    vip(Protocol::Sctp, text)
}

/// Reads the id of a service, in which the port may have a name.
pub(super) fn service(text: &str) -> Result<ServiceId, String> {
    text.parse::<ServiceId>().or_else(|bad| {
        let (kind, at) = text.split_once(':').ok_or_else(|| bad.to_string())?;
        let mut all = Protocol::ALL.into_iter();
        let protocol = all.find(|protocol| protocol.name() == kind);
        let vip = protocol.and_then(|protocol| Some((protocol, vip(protocol, at).ok()?)));
        let id = vip.map(|(protocol, vip)| ServiceId::at(protocol, vip));
        id.ok_or_else(|| bad.to_string())
    })
}

fn vip(protocol: Protocol, text: &str) -> Result<SocketAddr, String> {
    let at = read_address(text, Some(protocol), &SystemNames::default());
    at.and_then(|at| Some(SocketAddr::new(at.address, at.port?)))
        .ok_or_else(written)
}

fn written() -> String {
    "write an address and a port, as in 192.0.2.7:80 or [2001:db8::7]:80".to_owned()
}

/// Reads IP.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| "write an address, as in 192.0.2.7 or 2001:db8::7".to_owned())
}

/// Reads a time.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    span(text).ok_or_else(|| format!("{text:?} is not a time as in 90s, 15m or 2h, up to 31d"))
}

/// Reads a number.
pub(super) fn number<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let read = text.parse::<u64>();
    let number = read.map_err(|_| "write a number, as in 100".to_owned())?;
    T::try_from(number).map_err(|_| format!("{number} is too large"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::command::Line;
    use crate::ipvsadm::Names as _;

    #[test]
    fn ends_are_read_with_and_without_a_port() {
        let service: ServiceId = "tcp:192.0.2.10:80".parse().unwrap();
        for (text, address, port) in [
            ("192.0.2.7", "192.0.2.7", None),
            ("192.0.2.7:40112", "192.0.2.7", Some(40112)),
            ("2001:db8::7", "2001:db8::7", None),
            ("[2001:db8::7]:40112", "2001:db8::7", Some(40112)),
        ] {
            let end: End = text.parse().unwrap();
            let address = address.parse().unwrap();
            assert_eq!((end.address, end.port_of(service)), (address, Ok(port)));
            let whole = SocketAddr::new(address, port.unwrap_or(80));
            assert_eq!(end.or_port(service, 80), Ok(whole), "{text}");
        }
        assert!("name.invalid".parse::<End>().is_err());
        assert!("192.0.2.7:no-such-port".parse::<End>().is_err());
    }

    #[test]
    fn the_name_of_a_port_is_that_of_the_service_s_protocol() {
        let end = End {
            address: "192.0.2.7".parse().unwrap(),
            port: Some(Port::Named([Some(80), Some(8080), None])),
        };
        for (service, want) in [
            ("tcp:192.0.2.10:1", Some(80)),
            ("udp:192.0.2.10:1", Some(8080)),
            ("sctp:192.0.2.10:1", None),
            ("fwm:7", None),
        ] {
            let port = end.port_of(service.parse().unwrap());
            assert_eq!(port.ok().flatten(), want, "{service}");
        }
    }

    /// As in a line of options, and whatever takes an address with a port.
    #[test]
    fn ports_have_the_names_that_the_system_knows() {
        if SystemNames::default().port("http", Protocol::Tcp) != Some(80) {
            eprintln!("SKIPPED: the system does not know the port http");
            return;
        }
        let http: ServiceId = "tcp:192.0.2.10:80".parse().unwrap();
        assert_eq!(service("tcp:192.0.2.10:http"), Ok(http));
        assert_eq!(service("tcp:192.0.2.10:80"), Ok(http));
        assert!(service("tcp:192.0.2.10:no-such-port").is_err());
        assert!(service("icmp:192.0.2.10:http").is_err());
        let end: End = "[2001:db8::7]:http".parse().unwrap();
        assert_eq!(end.port_of(http), Ok(Some(80)));
        for line in [
            "drain -t 192.0.2.10:http -r 10.0.0.5:http",
            "forget -t 192.0.2.10:http -r 10.0.0.5:http",
            "close -t 192.0.2.10:http --from 10.9.9.9",
            "health -t 192.0.2.10:http",
            "defense cookies always -t 192.0.2.10:http",
            "explain -t 192.0.2.10:http --from 10.9.9.9:1",
            "explain -u 192.0.2.10:domain --from 10.9.9.9:1",
            "filter connections a --most 5 --service tcp:192.0.2.10:http",
        ] {
            let words = std::iter::once("bulwark").chain(line.split(' '));
            assert!(Line::try_parse_from(words).is_ok(), "{line}");
        }
    }

    /// clap's own text for a value that it cannot read says what failed, not what to write.
    #[test]
    fn what_cannot_be_read_is_answered_by_what_to_write() {
        let endpoint = "write an address and a port, as in 192.0.2.7:80";
        let end = "write an address, with a port or without, as in 192.0.2.7";
        let address = "write an address, as in 192.0.2.7";
        let number = "write a number, as in 100";
        let limit = "filter limit a --of syns --per source --rate";
        for (line, want) in [
            ("drain -t 192.0.2.10 -r 10.0.0.5", endpoint),
            ("drain -t 192.0.2.10:no-port -r 10.0.0.5:80", endpoint),
            ("drain -t 192.0.2.10:80 -r web.invalid", end),
            ("drain -t 192.0.2.10:80 -r 10.0.0.5:no-port", end),
            ("drain -f x -r 10.0.0.5", "write a mark, 1 to 4294967295"),
            ("drain -f 0 -r 10.0.0.5", "write a mark, 1 to 4294967295"),
            ("forget -t 192.0.2.10:80 -r web.invalid", end),
            ("forget -t 192.0.2.10:80 --from foo", address),
            ("close -t 192.0.2.10:80 --from foo.invalid", end),
            ("explain -t 192.0.2.10:no-port --from 10.9.9.9:1", endpoint),
            ("explain -u 192.0.2.10 --from 10.9.9.9:1", endpoint),
            (
                "explain --sctp-service x.invalid --from 10.9.9.9:1",
                endpoint,
            ),
            ("explain -t 192.0.2.10:80 --from 10.9.9.9", endpoint),
            (
                "explain -t 192.0.2.10:80 --from 10.9.9.9:1 --flags x",
                "write none, or some of syn, fin,",
            ),
            ("events --since x", number),
            ("sources --limit x", number),
            ("sources --limit 4294967296", "4294967296 is too large"),
            ("mark add x", number),
            ("mark remove x", number),
            (&format!("{limit} x"), number),
            (&format!("{limit} 5 --burst x"), number),
            (&format!("{limit} 5 --prefix-v4 x"), number),
            (&format!("{limit} 5 --prefix-v6 256"), "256 is too large"),
            (&format!("{limit} 5 --ban-over x"), number),
            ("filter connections a --most x", number),
            ("filter region a --asns x", number),
        ] {
            let words = std::iter::once("bulwark").chain(line.split(' '));
            let told = Line::try_parse_from(words).unwrap_err().to_string();
            assert!(told.contains(&format!("': {want}")), "{line}: {told}");
        }
    }
}
