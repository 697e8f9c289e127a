//! A datagram that has to be answered.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use adminapi::model::{Check, Octets};
use tokio::net::UdpSocket;

use super::{Verdict, contains};
use crate::health::Words;

/// No datagram is longer.
const LONGEST: usize = 65_535;

/// A UDP check.
#[derive(Debug)]
pub(in crate::health) struct Udp {
    to: SocketAddr,
    send: Octets,
    expect: Octets,
}

impl Udp {
    pub(super) fn new(check: &Check, to: SocketAddr) -> Self {
        Self {
            to,
            send: check.send.clone().unwrap_or_default(),
            expect: check.expect.clone().unwrap_or_default(),
        }
    }

    /// From a new port each time: an answer that comes late is not taken for that of the next
    /// question.
    pub(super) async fn ask(&self) -> Verdict {
        match self.talk().await {
            Ok(()) => Ok(Words::Borrowed("answered as expected")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Err("port unreachable".into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn talk(&self) -> io::Result<()> {
        let any: IpAddr = match self.to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
        socket.connect(self.to).await?;
        socket.send(&self.send.0).await?;
        let mut heard = vec![0; LONGEST];
        loop {
            let length = socket.recv(&mut heard).await?;
            let answer = heard.get(..length).unwrap_or_default();
            if contains(answer, &self.expect.0) {
                return Ok(());
            }
        }
    }
}
