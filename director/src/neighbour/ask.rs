//! Makes the kernel resolve neighbours: those that a worker missed, and, ahead of traffic,
//! those that are in use.
//!
//! The kernel does not see the director's packets, so it would let their neighbours go stale
//! and never notice that one has a new Ethernet address. An `RTM_NEWNEIGH` with `NTF_USE`
//! (`ip neigh add ADDR dev DEV use`) tells it that an entry is in use, as a packet of its own
//! would: it resolves what is not resolved and probes what is stale.

use std::hash::BuildHasher;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::Handle;
use rustc_hash::{FxBuildHasher, FxHashMap};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::fib::{Ask, Fib};
use crate::time::{Tick, Ticks};
use crate::wire::Addr;

/// Questions that may wait for the resolver; more are dropped, and asked again by later packets.
const QUEUE: usize = 1024;

/// Questions that a worker remembers to have asked.
const REMEMBERED: usize = 256;

/// Shortest time between two requests for one neighbour.
const PER_NEIGHBOUR: Duration = Duration::from_secs(1);

/// Most requests a second for neighbours that workers missed, so that a flood to addresses
/// that nobody has cannot fill the kernel's neighbour table (`gc_thresh3`, 1024 by default).
const PER_SECOND: usize = 256;

/// How often a resolved neighbour that is in use is validated again.
const REFRESH: Duration = Duration::from_secs(15);

/// A worker's way to the resolver: never blocks, and a flood to one unresolved neighbour
/// costs it one look at a small array a packet.
#[derive(Debug)]
pub struct Asker {
    queue: mpsc::Sender<Ask>,
    recent: Box<[Option<(Ask, Tick)>; REMEMBERED]>,
}

impl Clone for Asker {
    /// Another worker's: it remembers nothing yet.
    fn clone(&self) -> Self {
        Self::new(self.queue.clone())
    }
}

impl Asker {
    fn new(queue: mpsc::Sender<Ask>) -> Self {
        let recent = Box::new([None; REMEMBERED]);
        Self { queue, recent }
    }

    /// One that nobody listens to, for measurements without a kernel.
    pub fn deaf() -> Self {
        Self::new(mpsc::channel(1).0)
    }

    /// Has the neighbour resolved. False when nothing was sent: this worker asked for the same
    /// less than a second ago, or too many questions wait.
    #[inline]
    pub fn ask(&mut self, ask: Ask, now: Tick) -> bool {
        let at = FxBuildHasher.hash_one(ask) as usize % REMEMBERED;
        let slot = &mut self.recent[at];
        let is_recent =
            |(asked, when): &(Ask, Tick)| *asked == ask && when.until(now) < Ticks::seconds(1);
        if slot.as_ref().is_some_and(is_recent) {
            return false;
        }
        *slot = Some((ask, now));
        self.queue.try_send(ask).is_ok()
    }
}

/// The task that hands questions to the kernel.
pub(super) struct Resolver {
    kernel: Kernel,
    queue: mpsc::Receiver<Ask>,
    fib: Arc<ArcSwap<Fib>>,
    kept: watch::Receiver<Arc<[Addr]>>,
    pace: Pace,
}

impl Resolver {
    /// A resolver that also keeps the neighbours of `kept` and all gateways of `fib` fresh.
    pub(super) fn open(
        fib: Arc<ArcSwap<Fib>>,
        kept: watch::Receiver<Arc<[Addr]>>,
    ) -> io::Result<(Self, Asker)> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let resolver = Self {
            kernel: Kernel::open()?,
            queue,
            fib,
            kept,
            pace: Pace::default(),
        };
        Ok((resolver, Asker::new(sender)))
    }

    /// Works until all who could ask are gone.
    pub(super) async fn run(mut self) {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ask = self.queue.recv() => match ask {
                    Some(ask) => self.missed(ask).await,
                    None => return,
                },
                changed = self.kept.changed() => match changed {
                    Ok(()) => self.keep().await,
                    Err(_) => return,
                },
                _ = second.tick() => {
                    self.pace.next_second(Instant::now());
                    self.keep().await;
                }
            }
        }
    }

    async fn missed(&mut self, ask: Ask) {
        let known = self.fib.load().neighbour(ask.ifindex, ask.addr).is_some();
        if !known && self.pace.admits(ask, Instant::now()) {
            self.kernel.touch(ask).await;
        }
    }

    async fn keep(&mut self) {
        let kept = Arc::clone(&self.kept.borrow_and_update());
        let fib = self.fib.load_full();
        for ask in self.pace.due(&fib, &kept, Instant::now()) {
            self.kernel.touch(ask).await;
        }
    }
}

/// When what may be asked.
#[derive(Default)]
struct Pace {
    asked: FxHashMap<Ask, Instant>,
    this_second: usize,
}

impl Pace {
    /// Forgets what no longer holds anything back.
    fn next_second(&mut self, now: Instant) {
        self.this_second = 0;
        self.asked.retain(|_, when| now - *when < REFRESH);
    }

    /// Whether a neighbour that a worker missed may be asked for.
    fn admits(&mut self, ask: Ask, now: Instant) -> bool {
        let recent = self.waits(ask, PER_NEIGHBOUR, now);
        if recent || self.this_second == PER_SECOND {
            return false;
        }
        self.this_second += 1;
        self.asked.insert(ask, now);
        true
    }

    /// Neighbours in use that are to be asked for now: gateways, and what `kept` is behind.
    fn due(&mut self, fib: &Fib, kept: &[Addr], now: Instant) -> Vec<Ask> {
        let on_link = kept.iter().flat_map(|dst| fib.on_link(*dst));
        let mut list: Vec<Ask> = fib.gateways().chain(on_link).collect();
        list.retain(|ask| self.keeps(fib, *ask, now));
        list
    }

    fn keeps(&mut self, fib: &Fib, ask: Ask, now: Instant) -> bool {
        let rest = match fib.neighbour(ask.ifindex, ask.addr) {
            // NTF_USE would make a permanent entry an ordinary one (`__neigh_update`).
            Some(entry) if entry.pinned => return false,
            Some(_) => REFRESH,
            None => PER_NEIGHBOUR,
        };
        let due = !self.waits(ask, rest, now);
        if due {
            self.asked.insert(ask, now);
        }
        due
    }

    fn waits(&self, ask: Ask, rest: Duration, now: Instant) -> bool {
        let asked = self.asked.get(&ask);
        asked.is_some_and(|when| now - *when < rest)
    }
}

/// The socket that requests go through.
struct Kernel {
    handle: Handle,
    reader: AbortHandle,
}

impl Kernel {
    fn open() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let reader = tokio::spawn(connection).abort_handle();
        Ok(Self { handle, reader })
    }

    /// Tells the kernel that a neighbour is in use.
    async fn touch(&mut self, ask: Ask) {
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewNeighbour(in_use(ask)));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
        let Ok(mut answers) = self.handle.request(request) else {
            tracing::warn!("the socket for neighbour requests has failed; opening another");
            match Self::open() {
                Ok(fresh) => *self = fresh,
                Err(error) => tracing::warn!(%error, "cannot ask for neighbours"),
            }
            return;
        };
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload {
                tracing::debug!(%error, ?ask, "the kernel does not resolve a neighbour");
            }
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn in_use(ask: Ask) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    let (family, addr) = match IpAddr::from(ask.addr) {
        IpAddr::V4(v4) => (AddressFamily::Inet, NeighbourAddress::Inet(v4)),
        IpAddr::V6(v6) => (AddressFamily::Inet6, NeighbourAddress::Inet6(v6)),
    };
    message.header.family = family;
    message.header.ifindex = ask.ifindex;
    message.header.state = NeighbourState::None;
    message.header.flags = NeighbourFlags::Use;
    let destination = NeighbourAttribute::Destination(addr);
    message.attributes.push(destination);
    message
}

#[cfg(test)]
mod tests {
    use super::super::{Change, Link, Neighbour, Placement, Prefix, Route, Table, Tables};
    use super::super::{Form, Target, Via};
    use super::*;

    fn host(last: u8) -> Addr {
        Addr::v4([10, 0, 0, last])
    }

    fn ask(last: u8) -> Ask {
        Ask {
            ifindex: 2,
            addr: host(last),
        }
    }

    #[test]
    fn a_worker_asks_once_a_second_and_never_waits() {
        let (sender, mut queue) = mpsc::channel(2);
        let mut asker = Asker::new(sender);
        assert!(asker.ask(ask(1), Tick(100)));
        assert!(!asker.ask(ask(1), Tick(109)));
        assert!(asker.ask(ask(1), Tick(110)));
        assert!(!asker.ask(ask(2), Tick(110)), "the queue is full");
        assert_eq!(queue.try_recv(), Ok(ask(1)));
        assert!(asker.clone().ask(ask(1), Tick(111)), "another worker");
    }

    #[test]
    fn missed_neighbours_are_limited_one_by_one_and_together() {
        let mut pace = Pace::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(pace.admits(ask(1), start));
        assert!(!pace.admits(ask(1), at(999)));
        assert!(pace.admits(ask(1), at(1000)));
        let flood = (0..1000u32).map(|n| Ask {
            ifindex: n,
            addr: host(9),
        });
        let admitted = flood.filter(|ask| pace.admits(*ask, at(1000))).count();
        assert_eq!(admitted, PER_SECOND - 2);
        pace.next_second(at(2000));
        assert!(pace.admits(ask(3), at(2000)));
    }

    /// 10.0.0.0/24 on link, the rest behind 10.0.0.254.
    fn tables() -> Tables {
        let mut tables = Tables::new(&["eth0"]);
        tables.apply(Change::Link(Link {
            ifindex: 2,
            name: "eth0".into(),
            mac: Some([2; 6]),
            mtu: 1500,
            up: true,
            port: None,
        }));
        for (len, gateway) in [(24, None), (0, Some(host(254)))] {
            let via = Via {
                ifindex: 2,
                gateway,
                weight: 1,
                mtu: 0,
            };
            let route = Route {
                prefix: Prefix::new(host(0), len),
                table: Table::Main,
                metric: 0,
                form: Form::Single,
                target: Target::Forward(vec![via]),
            };
            tables.apply(Change::Route(route, Placement::Last));
        }
        tables
    }

    #[test]
    fn what_is_in_use_is_asked_for_at_once_and_refreshed_later() {
        let mut tables = tables();
        let mut learn = |last, pinned| {
            let entry = Neighbour {
                mac: [4; 6],
                pinned,
            };
            tables.apply(Change::Neighbour(2, host(last), entry));
        };
        learn(1, false);
        learn(3, true);
        let fib = tables.snapshot();
        let kept = [host(1), host(2), host(3), Addr::v4([192, 0, 2, 1])];
        let mut pace = Pace::default();
        let start = Instant::now();
        let mut due = |seconds| pace.due(&fib, &kept, start + Duration::from_secs(seconds));
        // The gateway and 10.0.0.2 are unresolved, 10.0.0.1 is resolved, 10.0.0.3 pinned.
        assert_eq!(due(0), [ask(254), ask(1), ask(2)]);
        assert_eq!(due(0), []);
        assert_eq!(due(1), [ask(254), ask(2)]);
        assert_eq!(due(15), [ask(254), ask(1), ask(2)]);
    }
}
