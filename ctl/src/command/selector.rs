//! A service in a line with a word: the options that name it are ipvsadm's.

use std::num::NonZeroU32;

use adminapi::Client;
use adminapi::model::{Family, Protocol, ServiceId};
use clap::{ArgGroup, Args};

use super::value;
use crate::director::DirectorError;

/// A service.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("service").multiple(false))]
#[group(skip)]
pub(super) struct Selector {
    /// A TCP service, VIP:PORT.
    #[arg(short = 't', long, value_name = "VIP:PORT", value_parser = tcp, group = "service", global = true)]
    tcp_service: Option<ServiceId>,
    /// A UDP service, VIP:PORT.
    #[arg(short = 'u', long, value_name = "VIP:PORT", value_parser = udp, group = "service", global = true)]
    udp_service: Option<ServiceId>,
    /// An SCTP service, VIP:PORT.
    #[arg(long, value_name = "VIP:PORT", value_parser = sctp, group = "service", global = true)]
    sctp_service: Option<ServiceId>,
    /// The service of a mark.
    #[arg(
        short = 'f',
        long,
        value_name = "MARK",
        value_parser = mark,
        group = "service",
        global = true
    )]
    fwmark_service: Option<NonZeroU32>,
    /// Of a mark: that for IPv6 packets.
    #[arg(short = '6', long, requires = "fwmark_service", global = true)]
    ipv6: bool,
}

impl Selector {
    /// The service that was named.
    pub(super) fn id(&self) -> Option<ServiceId> {
        let family = match self.ipv6 {
            true => Family::Ipv6,
            false => Family::Ipv4,
        };
        let marked = self.fwmark_service.map(|mark| ServiceId::Mark {
            mark: mark.get(),
            family,
        });
        let addressed = self.tcp_service.or(self.udp_service).or(self.sctp_service);
        addressed.or(marked)
    }
}

/// A service that a line has to name.
#[derive(Debug, Args)]
#[command(mut_group("service", |service| service.required(true)))]
#[group(skip)]
pub(super) struct Named {
    #[command(flatten)]
    service: Selector,
}

impl Named {
    /// The service.
    pub(super) fn id(&self) -> Result<ServiceId, DirectorError> {
        self.service.id().ok_or(DirectorError::NoService)
    }

    /// The same, if `director` has it: what is not there has no clients and no connections either,
    /// which would say less.
    pub(super) async fn there(&self, director: &Client) -> Result<ServiceId, DirectorError> {
        let id = self.id()?;
        director.service(id).await?;
        Ok(id)
    }
}

/// The port that a real server of a service has where none is named: the service's, and 0 with a mark,
/// as in ipvsadm.
pub(super) const fn port(service: ServiceId) -> u16 {
    match service {
        ServiceId::Address { vip, .. } => vip.port(),
        ServiceId::Mark { .. } => 0,
    }
}

fn mark(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .map_err(|_| "write a mark, 1 to 4294967295".to_owned())
}

fn tcp(address: &str) -> Result<ServiceId, String> {
    value::tcp(address).map(|vip| ServiceId::at(Protocol::Tcp, vip))
}

fn udp(address: &str) -> Result<ServiceId, String> {
    value::udp(address).map(|vip| ServiceId::at(Protocol::Udp, vip))
}

fn sctp(address: &str) -> Result<ServiceId, String> {
    value::sctp(address).map(|vip| ServiceId::at(Protocol::Sctp, vip))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        selector: Selector,
    }

    fn read(line: &str) -> Option<Option<String>> {
        let words = std::iter::once("bulwark").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).ok()?;
        Some(line.selector.id().map(|id| id.to_string()))
    }

    #[test]
    fn a_service_is_named_as_ipvsadm_names_it() {
        for (line, id) in [
            ("", None),
            ("-t 10.0.0.1:80", Some("tcp:10.0.0.1:80")),
            ("-u [2001:db8::1]:53", Some("udp:[2001:db8::1]:53")),
            ("--sctp-service 10.0.0.1:80", Some("sctp:10.0.0.1:80")),
            ("-f 7", Some("fwm:7")),
            ("-f 7 -6", Some("fwm6:7")),
        ] {
            assert_eq!(read(line), Some(id.map(str::to_owned)), "{line}");
        }
        for bad in [
            "-t 10.0.0.1",
            "-t web.invalid:80",
            "-t 10.0.0.1:80:1",
            "-f 0",
            "-6",
            "-t 10.0.0.1:80 -f 7",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_real_server_without_a_port_has_the_service_s() {
        for (service, want) in [
            ("tcp:10.0.0.1:80", 80),
            ("udp:[2001:db8::1]:53", 53),
            ("tcp:10.0.0.1:0", 0),
            ("fwm:7", 0),
        ] {
            assert_eq!(port(service.parse().unwrap()), want, "{service}");
        }
    }
}
