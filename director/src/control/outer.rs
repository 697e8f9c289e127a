//! What routers and real servers say of the director's own outer datagrams. They say it to the host, and
//! so it is heard there, beside the kernel: a raw socket gets a copy of each ICMP message.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tracing::debug;

use super::Director;
use crate::forward::Tunnel;
use crate::pool::Pool;
use crate::returned::Returned;
use crate::service::Method;
use crate::wire::icmp::Report;
use crate::wire::{Addr, Version, ipv4};

/// Messages that are read together, and how long a rest follows: 640 a second at most, so that a
/// flood of them takes no time from others.
const BURST: usize = 64;
const REST: Duration = Duration::from_millis(100);

/// As long as any error that quotes may be (RFC 4443 §2.4 c).
const LONGEST: usize = 1280;

impl Director {
    /// Takes in what was said of a packet, if it was of a tunnel to a real server.
    fn hear(&self, report: &Report<'_>) {
        let pool = self.shared.pool.load();
        let Some(tunnel) = self.tunnel_of(&pool, report) else {
            return;
        };
        match report.mtu {
            Some(mtu) => self.narrow(&pool, report.dst, mtu),
            None => self.hand_back(report, tunnel),
        }
    }

    /// The tunnel of the director's own that the packet was of.
    fn tunnel_of(&self, pool: &Pool, report: &Report<'_>) -> Option<Tunnel> {
        let locals = self.neighbourhood.addresses();
        if !locals.borrow().contains(&report.src) {
            return None;
        }
        pool.reals().find_map(|real| match real.method {
            Method::Tun(tunnel) if real.endpoint.addr == report.dst => tunnel
                .makes(report.protocol, report.payload)
                .then_some(tunnel),
            _ => None,
        })
    }

    /// Takes in that no packet to `real` may be longer than `mtu`.
    fn narrow(&self, pool: &Pool, real: Addr, mtu: u32) {
        let now = self.facts.clock.now();
        let known = self.shared.path_mtus.load();
        if let Some(next) = known.learn(real, mtu, now) {
            let is_narrower = next.to(real, now) < known.to(real, now);
            self.shared.path_mtus.store(Arc::new(next));
            if is_narrower {
                debug!(%real, mtu, "a tunnel's way is narrower");
                self.look_anew(pool, real);
            }
        }
    }

    /// Has a worker tell the client whose packet was in there, if enough of that is quoted.
    fn hand_back(&self, report: &Report<'_>, tunnel: Tunnel) {
        let returned = Returned::of(report, tunnel, self.facts.clock.now());
        if let Some(returned) = returned {
            self.shared.returns.add(returned);
        }
    }

    /// Has all flows to the real servers at an address looked at anew.
    fn look_anew(&self, pool: &Pool, addr: Addr) {
        if let Some(fast) = &self.shared.fast {
            let there = pool.reals().filter(|real| real.endpoint.addr == addr);
            let there: Vec<_> = there.map(|real| real.id).collect();
            fast.renew_reals(&there);
        }
    }
}

/// Hears of packets in tunnels that were too long or have not arrived. Never ends, but with an error.
///
/// # Errors
/// What socket(2) says.
pub async fn listen(director: &Director, version: Version) -> io::Result<()> {
    let (domain, protocol) = match version {
        Version::V4 => (Domain::IPV4, Protocol::ICMPV4),
        Version::V6 => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::from(libc::SOCK_RAW), Some(protocol))?;
    socket.set_nonblocking(true)?;
    // To tokio one datagram socket is as good as another.
    let socket = UdpSocket::from_std(socket.into())?;
    let mut buffer = [0; LONGEST];
    loop {
        for _ in 0..BURST {
            let Ok(length) = socket.recv(&mut buffer).await else {
                break;
            };
            let message = buffer
                .get(..length)
                .and_then(|bytes| message_in(version, bytes));
            if let Some(report) = message.and_then(|bytes| Report::read(version, bytes)) {
                director.hear(&report);
            }
        }
        tokio::time::sleep(REST).await;
    }
}

/// The ICMP message in what a raw socket gives: that of IPv4 has the IP header before it (raw(7)).
fn message_in(version: Version, bytes: &[u8]) -> Option<&[u8]> {
    match version {
        Version::V4 => bytes.get(ipv4::header(bytes)?.header_len().ok()?..),
        Version::V6 => Some(bytes),
    }
}
