//! The multicast groups that tell of changes, on one socket.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use rtnetlink::constants::{
    RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE, RTMGRP_LINK,
    RTMGRP_NEIGH,
};
use rtnetlink::sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout_at};

use super::decode;
use super::table::Change;

const GROUPS: u32 = RTMGRP_LINK
    | RTMGRP_NEIGH
    | RTMGRP_IPV4_IFADDR
    | RTMGRP_IPV6_IFADDR
    | RTMGRP_IPV4_ROUTE
    | RTMGRP_IPV6_ROUTE;

/// Receive buffer, bytes; the kernel cuts it to `net.core.rmem_max`.
const RECEIVE_BUFFER: i32 = 4 << 20;

/// Room for a datagram, bytes; dumps come in at most half of it (`netlink_dump`,
/// net/netlink/af_netlink.c).
pub(super) const DATAGRAM: usize = 64 * 1024;

/// Most datagrams taken in at once.
const BATCH: usize = 65_536;

/// A socket that hears of every change of links, addresses, routes, nexthop objects and neighbours.
pub(super) struct Events {
    socket: TokioSocket,
    /// What was received and not yet taken in.
    datagram: Vec<u8>,
    lost: bool,
}

impl Events {
    pub(super) fn open() -> io::Result<Self> {
        let mut events = Self {
            socket: TokioSocket::new(NETLINK_ROUTE)?,
            datagram: Vec::with_capacity(DATAGRAM),
            lost: false,
        };
        let socket = events.socket.socket_mut();
        socket.set_rx_buf_sz(RECEIVE_BUFFER)?;
        socket.bind(&SocketAddr::new(0, GROUPS))?;
        // Before Linux 5.3 there are neither nexthop objects nor news of them.
        if let Err(error) = socket.add_membership(libc::RTNLGRP_NEXTHOP) {
            tracing::debug!(%error, "no news of nexthop objects");
        }
        Ok(events)
    }

    /// Waits until there is something to [`Self::drain`], no longer than `until`.
    pub(super) async fn ready(&mut self, until: Option<Instant>) -> io::Result<()> {
        let received = poll_fn(|context| self.poll_receive(context));
        match until {
            Some(until) => timeout_at(until, received).await.unwrap_or(Ok(())),
            None => received.await,
        }
    }

    /// Takes in what has come. True when events were lost before (`ENOBUFS`) and the socket
    /// is empty now: not until then does the kernel report another loss
    /// (`netlink_rcv_wake`), so a dump made earlier could miss changes for good.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Change)) -> io::Result<bool> {
        for _ in 0..BATCH {
            decode::changes(&self.datagram).for_each(&mut each);
            self.datagram.clear();
            // Without the runtime's budget, which would make a full socket look empty.
            let received = unconstrained(poll_fn(|context| self.poll_receive(context)));
            match received.now_or_never() {
                Some(received) => received?,
                None => return Ok(std::mem::take(&mut self.lost)),
            }
        }
        Ok(false)
    }

    /// Receives a datagram, or the news that some were lost; nothing while one waits.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.datagram.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let received = ready!(self.socket.poll_recv_from(context, &mut self.datagram));
        Poll::Ready(match received {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.lost = true;
                Ok(())
            }
            Err(error) => Err(error),
        })
    }
}
