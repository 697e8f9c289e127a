//! The task that keeps the mirror true: dump first, then follow, publish, dump again where
//! the kernel does not tell.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::ask::{Asker, Resolver};
use super::candidate::Placement;
use super::dump::{Scope, refresh};
use super::events::Events;
use super::fib::{Fib, Link};
use super::ports::Ports;
use super::table::{Change, Tables};
use crate::wire::Addr;

/// Shortest time between two snapshots: what changes within it is published together.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(10);

/// After a snapshot or a dump, this many times what it took passes before the next.
const REST: u32 = 4;

/// Pause between an event and the dump that it calls for: the kernel tells of a link that
/// goes down before it drops the routes.
const SETTLE: Duration = Duration::from_millis(30);

/// For so long events that go on can put it off.
const PUT_OFF: Duration = Duration::from_millis(300);

/// Pause before sockets that failed are opened again.
const REOPEN: Duration = Duration::from_secs(1);

/// Snapshots that workers may still hold, kept so that the last to let go is not a worker.
const RETIRED: usize = 64;

/// The host's network as the kernel sees it, followed live. Dropping it ends the tasks.
pub struct Neighbourhood {
    fib: Arc<ArcSwap<Fib>>,
    addresses: watch::Receiver<Arc<[Addr]>>,
    links: watch::Receiver<Arc<[Link]>>,
    asker: Asker,
    keep: watch::Sender<Arc<[Addr]>>,
    tasks: Vec<AbortHandle>,
}

impl Neighbourhood {
    /// Follows the network of the process's own namespace for a director that drives the
    /// interfaces `ports`, in the order of the datapath's interface list. When this returns
    /// the first snapshot stands.
    ///
    /// # Errors
    /// When netlink sockets cannot be opened, or the kernel refuses a dump.
    pub async fn follow<S: AsRef<str>>(ports: &[S]) -> io::Result<Self> {
        let events = Events::open()?;
        let mut tables = reload(Tables::new(ports), Scope::All).await?;
        let first = tables.snapshot();
        let (tell_addresses, addresses) = watch::channel(Arc::clone(first.local_addresses()));
        let (tell_links, links) = watch::channel(Arc::clone(first.links()));
        let fib = Arc::new(ArcSwap::from_pointee(first));
        let mirror = Mirror {
            ports: tables.ports().clone(),
            fib: Arc::clone(&fib),
            addresses: tell_addresses,
            links: tell_links,
            retired: Vec::new(),
        };
        let (keep, kept) = watch::channel(Arc::default());
        let (resolver, asker) = Resolver::open(Arc::clone(&fib), kept)?;
        let tasks = vec![
            tokio::spawn(mirror.run(tables, events)).abort_handle(),
            tokio::spawn(resolver.run()).abort_handle(),
        ];
        Ok(Self {
            fib,
            addresses,
            links,
            asker,
            keep,
            tasks,
        })
    }

    /// The snapshots; a worker reads them through an [`arc_swap::Cache`].
    pub fn fib(&self) -> &Arc<ArcSwap<Fib>> {
        &self.fib
    }

    /// The host's own addresses, sorted, each time they change.
    pub fn addresses(&self) -> watch::Receiver<Arc<[Addr]>> {
        self.addresses.clone()
    }

    /// The host's interfaces, each time one comes, goes or changes.
    pub fn links(&self) -> watch::Receiver<Arc<[Link]>> {
        self.links.clone()
    }

    /// A worker's way to have neighbours resolved.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// Sets the addresses (real servers) whose neighbours are resolved ahead of traffic and
    /// kept fresh. Gateways of the routes that the director can use are kept by themselves.
    pub fn keep(&self, addrs: impl Into<Arc<[Addr]>>) {
        self.keep.send_replace(addrs.into());
    }
}

impl Drop for Neighbourhood {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Dumps `scope` on a thread that may block.
async fn reload(mut tables: Tables, scope: Scope) -> io::Result<Tables> {
    let dumped = tokio::task::spawn_blocking(move || refresh(&mut tables, scope).map(|()| tables));
    dumped.await.map_err(io::Error::other)?
}

/// A dump that has to be made, and when.
#[derive(Default)]
struct Dump {
    wanted: Option<Scope>,
    /// Since when.
    since: Option<Instant>,
    not_before: Option<Instant>,
}

impl Dump {
    /// Asks for a dump of `scope`, after the kernel has had time to finish what it told of.
    fn want(&mut self, scope: Scope, now: Instant) {
        self.wanted = self.wanted.max(Some(scope));
        let longest = *self.since.get_or_insert(now) + PUT_OFF;
        let settled = longest.min(now + SETTLE);
        self.not_before = self.not_before.max(Some(settled));
    }

    /// When a dump that is wanted can be made.
    fn due(&self) -> Option<Instant> {
        self.wanted.and(self.not_before)
    }

    /// What to dump, if that is due at `now`; it is no longer wanted then.
    fn start(&mut self, now: Instant) -> Option<Scope> {
        let due = self.due()?;
        let scope = self.wanted.take_if(|_| due <= now)?;
        self.since = None;
        Some(scope)
    }

    /// After a dump that took `time`, rests.
    fn rest(&mut self, time: Duration) {
        self.not_before = Some(Instant::now() + time * REST);
    }
}

/// Those who read the tables, and what they last got.
struct Mirror {
    /// As they were when the director began.
    ports: Ports,
    fib: Arc<ArcSwap<Fib>>,
    addresses: watch::Sender<Arc<[Addr]>>,
    links: watch::Sender<Arc<[Link]>>,
    retired: Vec<Arc<Fib>>,
}

impl Mirror {
    async fn run(mut self, mut tables: Tables, mut events: Events) {
        loop {
            if let Err(error) = self.follow(tables, events).await {
                tracing::warn!(%error, "lost sight of routes and neighbours; starting again");
            }
            (tables, events) = self.reopen().await;
            self.publish(&mut tables);
        }
    }

    /// Takes events in until the socket fails.
    async fn follow(&mut self, mut tables: Tables, mut events: Events) -> io::Result<()> {
        let mut dump = Dump::default();
        let mut publish_at = Instant::now();
        loop {
            events.ready(dump.due()).await?;
            sleep_until(publish_at).await;
            let began = Instant::now();
            let lost = events.drain(|change| take(&mut tables, change, &mut dump))?;
            if lost {
                tracing::info!("netlink events were lost");
                dump.want(Scope::All, began);
            }
            self.publish(&mut tables);
            publish_at = Instant::now() + PUBLISH_INTERVAL.max(began.elapsed() * REST);
            if let Some(scope) = dump.start(Instant::now()) {
                let began = Instant::now();
                tables = reload(tables, scope).await?;
                dump.rest(began.elapsed());
                self.publish(&mut tables);
            }
        }
    }

    async fn reopen(&self) -> (Tables, Events) {
        loop {
            sleep(REOPEN).await;
            let opened = async {
                let events = Events::open()?;
                let tables = reload(Tables::of(self.ports.clone()), Scope::All).await?;
                io::Result::Ok((tables, events))
            };
            match opened.await {
                Ok(opened) => return opened,
                Err(error) => tracing::warn!(%error, "cannot read routes and neighbours"),
            }
        }
    }

    fn publish(&mut self, tables: &mut Tables) {
        let fib = Arc::new(tables.snapshot());
        tell(&self.addresses, fib.local_addresses());
        tell(&self.links, fib.links());
        self.retired.push(self.fib.swap(fib));
        self.retired.retain(|old| Arc::strong_count(old) > 1);
        if self.retired.len() > RETIRED {
            self.retired.remove(0);
        }
    }
}

fn tell<T: PartialEq>(channel: &watch::Sender<Arc<[T]>>, now: &Arc<[T]>) {
    channel.send_if_modified(|told| {
        let changed = told != now;
        if changed {
            told.clone_from(now);
        }
        changed
    });
}

fn take(tables: &mut Tables, change: Change, dump: &mut Dump) {
    if leaves_routes_open(tables, &change) {
        dump.want(Scope::Routes, Instant::now());
    }
    tables.apply(change);
}

/// Whether IPv4 routes may have gone or come back without a message of their own: those of a
/// link that went down or up, those that prefer a source address that is no more
/// (`fib_sync_down_dev`, `fib_sync_up`, `fib_sync_down_addr`, net/ipv4/fib_semantics.c), and those by
/// nexthop objects (`__remove_nexthop`, net/ipv4/nexthop.c). Or an IPv6 route has replaced one of several.
fn leaves_routes_open(tables: &Tables, change: &Change) -> bool {
    match change {
        Change::Link(link) => tables.flips(link),
        Change::LinkGone(_) | Change::Nexthops => true,
        Change::AddressGone(_, addr) => addr.is_v4(),
        Change::Route(route, Placement::Replace) => tables.may_replace_others(route),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_that_go_on_put_a_dump_off_for_a_while_only() {
        let (mut dump, begin) = (Dump::default(), Instant::now());
        let news = (0..100).map(|n| begin + n * SETTLE / 2);
        let dumps: Vec<_> = news
            .filter(|now| {
                dump.want(Scope::Routes, *now);
                dump.start(*now).is_some()
            })
            .collect();
        assert!(dumps[0] == begin + PUT_OFF, "{:?}", dumps[0] - begin);
        assert!((4..=5).contains(&dumps.len()), "{}", dumps.len());
        assert_eq!(dump.start(begin + 100 * SETTLE), Some(Scope::Routes));
        assert_eq!(dump.due(), None);
    }
}
