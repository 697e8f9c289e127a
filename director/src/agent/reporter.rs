//! Talks to the director: takes keys from it, and tells how this real server stands.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adminapi::certificate::Shown;
use adminapi::kept::Kept;
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::{info, warn};

use super::here::Routes;
use super::keyring::Keyring;
use super::{kernel, listeners};
use crate::channel::{self, Lack, Listening, Order, Report, Standing, VERSION};
use crate::config::Source;

/// Between two reports; four of them are a lease.
const PERIOD: Duration = Duration::from_millis(500);

/// How long connecting may take, and how long the director may be silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// After a connection has ended, until the next is tried.
const PAUSE: Duration = Duration::from_secs(1);

/// How long an endpoint is not to be used after the kernel has declined a connection there.
const QUARANTINE: Duration = Duration::from_secs(60);

/// After the last word to the director, until the program goes: what is under way still comes.
const FAREWELL: Duration = Duration::from_millis(1500);

/// What the director knows of this real server.
pub(super) struct Reporter {
    source: Source,
    shown: Arc<Kept<Shown<ClientConfig>>>,
    /// Its number among the directors.
    director: usize,
    keyring: Arc<Mutex<Keyring>>,
    /// The order that is in force, and how long keys live.
    number: u64,
    lease: u32,
    /// The endpoints that the director asks about, whoever has keys for them.
    asked: Vec<SocketAddr>,
    /// Of each endpoint how often it has declined, and until when that counts.
    declined: HashMap<SocketAddr, (u64, Option<Instant>)>,
    leaving: watch::Receiver<bool>,
    attached: watch::Receiver<bool>,
}

impl Reporter {
    /// For the director of `source`, which has this number, until `leaving` says that it is time to go.
    /// `attached` says whether packets come by the program.
    ///
    /// # Errors
    /// What is wrong with the certificates.
    pub(super) fn new(
        source: &Source,
        director: usize,
        keyring: Arc<Mutex<Keyring>>,
        leaving: watch::Receiver<bool>,
        attached: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        Ok(Self {
            source: source.clone(),
            shown: channel::keep_client(&source.identity).map_err(io::Error::other)?,
            director,
            keyring,
            number: 0,
            lease: 0,
            asked: Vec::new(),
            declined: HashMap::new(),
            leaving,
            attached,
        })
    }

    /// Reports until it is to leave. A connection that ends is made again; the keys that are held
    /// live on for their lease.
    pub(super) async fn run(mut self) {
        // It ends with the program, as this does.
        tokio::spawn(Arc::clone(&self.shown).tend());
        let address = self.source.address;
        while !*self.leaving.borrow() {
            match self.attend().await {
                Ok(()) => info!(director = %address, "the director has gone"),
                Err(error) => warn!(director = %address, %error, "no keys from the director"),
            }
            let mut leaving = self.leaving.clone();
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = left(&mut leaving) => {}
            }
        }
    }

    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.source.address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::clone(&self.shown.get().config))
            .connect(self.source.name.clone(), stream)
            .await
    }

    /// One connection, from its beginning to its end.
    async fn attend(&mut self) -> io::Result<()> {
        let stream = timeout(PATIENCE, self.connect()).await??;
        info!(director = %self.source.address, "connected to the director");
        // What another connection has told is not known to this one.
        self.number = 0;
        self.asked.clear();
        let (read, mut write) = tokio::io::split(stream);
        let mut read = BufReader::new(read);
        let mut leaving = self.leaving.clone();
        let mut beat = interval(PERIOD);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (orders, mut inbox) = tokio::sync::mpsc::unbounded_channel();
        let hear = async move {
            loop {
                let order = timeout(PATIENCE, channel::receive::<Order>(&mut read)).await??;
                let Some(order) = order else {
                    return Ok::<_, io::Error>(());
                };
                if orders.send(order).is_err() {
                    return Ok(());
                }
            }
        };
        tokio::pin!(hear);
        loop {
            tokio::select! {
                ended = &mut hear => return ended,
                Some(order) = inbox.recv() => {
                    if !self.obey(order)? {
                        continue;
                    }
                }
                _ = beat.tick() => {}
                () = left(&mut leaving) => {
                    let report = Report { leaving: true, ..self.report()? };
                    channel::send(&mut write, &report).await?;
                    sleep(FAREWELL).await;
                    return Ok(());
                }
            }
            let report = self.report()?;
            timeout(PATIENCE, channel::send(&mut write, &report)).await??;
        }
    }

    /// Does what the director says; true when that is to be acknowledged.
    fn obey(&mut self, order: Order) -> io::Result<bool> {
        match order {
            Order::Keys(keys) => {
                let installed = self.keyring.lock().install(self.director, &keys);
                let all = installed.map_err(io::Error::other)?;
                (self.lease, self.asked) = (keys.lease, keys.queues);
                if !all {
                    warn!(
                        director = %self.source.address,
                        "no room for its keys: an endpoint takes connections of four services; directors with \
                         the same `secret_file` under [cookies] share a place"
                    );
                    return Ok(false);
                }
                self.number = keys.number;
                Ok(true)
            }
            Order::Stay => {
                let mut keyring = self.keyring.lock();
                keyring
                    .renew(self.director, self.lease)
                    .map_err(io::Error::other)?;
                Ok(false)
            }
        }
    }

    fn report(&mut self) -> io::Result<Report> {
        let off = (!*self.attached.borrow()).then_some(Lack::Program);
        let able = listeners::able(kernel::lack().or(off));
        let told = self.keyring.lock().set_able(able);
        told.map_err(io::Error::other)?;
        let (listeners, routes) = (listeners::all()?, Routes::open()?);
        let mut endpoints: BTreeSet<_> = self.keyring.lock().endpoints().collect();
        endpoints.extend(&self.asked);
        let addresses: HashSet<_> = endpoints.iter().map(SocketAddr::ip).collect();
        let here = addresses.into_iter().filter_map(|addr| {
            let here = routes.end_here(addr);
            here.map(|here| here.then_some(addr)).transpose()
        });
        let here = here.collect::<io::Result<HashSet<_>>>()?;
        let now = Instant::now();
        let listening = endpoints.into_iter().map(|endpoint| {
            let found = match here.contains(&endpoint.ip()) {
                true => listeners::standing(&listeners, endpoint),
                false => listeners::elsewhere(endpoint),
            };
            self.quarantined(found, now)
        });
        Ok(Report {
            version: VERSION,
            listening: listening.collect(),
            number: self.number,
            leaving: false,
            able,
        })
    }

    /// Who has declined a connection lately would decline the next.
    fn quarantined(&mut self, found: Listening, now: Instant) -> Listening {
        let count = self.keyring.lock().declined(found.endpoint);
        let (seen, until) = self.declined.entry(found.endpoint).or_default();
        if count > *seen {
            (*seen, *until) = (count, Some(now + QUARANTINE));
        }
        let refused = until.is_some_and(|until| now < until);
        match found.standing {
            Standing::Ready if refused => Listening {
                standing: Standing::Refused,
                ..found
            },
            _ => found,
        }
    }
}

/// Until it is time to leave.
async fn left(leaving: &mut watch::Receiver<bool>) {
    // An error is the sender's end, which comes to the same.
    let _ = leaving.wait_for(|leaving| *leaving).await;
}
