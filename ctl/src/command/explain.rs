//! `bulwark explain`.

mod text;

use std::net::SocketAddr;

use adminapi::model::{ExplainQuery, Protocol, TcpFlags};
use clap::Args;

use super::value::{endpoint, sctp, tcp, udp};

pub(super) use text::text;

/// A packet.
#[derive(Debug, Args)]
pub(super) struct Line {
    #[command(flatten)]
    to: To,
    /// Who sends it.
    #[arg(long, value_name = "IP:PORT", value_parser = endpoint)]
    from: SocketAddr,
    /// The interface that it comes in through, for rules that ask; else the director's first.
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// The Call-ID of the SIP message that it is, for services with the persistence engine sip.
    #[arg(long, value_name = "CALL-ID")]
    call_id: Option<String>,
    /// The flags of the TCP segment that it is, as in syn,ack or rst, or none; else syn.
    #[arg(long, value_name = "FLAGS", conflicts_with_all = ["udp_service", "sctp_service"])]
    flags: Option<TcpFlags>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// A TCP segment to VIP:PORT.
    #[arg(short = 't', long, value_name = "VIP:PORT", value_parser = tcp)]
    tcp_service: Option<SocketAddr>,
    /// A UDP datagram to VIP:PORT.
    #[arg(short = 'u', long, value_name = "VIP:PORT", value_parser = udp)]
    udp_service: Option<SocketAddr>,
    /// An SCTP packet to VIP:PORT.
    #[arg(long, value_name = "VIP:PORT", value_parser = sctp)]
    sctp_service: Option<SocketAddr>,
}

impl Line {
    /// What the director is asked.
    pub(super) fn query(&self) -> Option<ExplainQuery> {
        let ends = [
            (Protocol::Tcp, self.to.tcp_service),
            (Protocol::Udp, self.to.udp_service),
            (Protocol::Sctp, self.to.sctp_service),
        ];
        let (protocol, to) = ends.into_iter().find_map(|(p, to)| Some((p, to?)))?;
        Some(ExplainQuery {
            protocol,
            from: self.from,
            to,
            interface: self.interface.clone(),
            call_id: self.call_id.clone(),
            flags: self.flags,
        })
    }
}
