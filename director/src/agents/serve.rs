//! Takes connections of agents: each proves who it is, reports, and is told keys.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use adminapi::certificate::Shown;
use adminapi::kept::Kept;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};

use super::Agents;
use crate::channel::{self, Identity, Report};
use crate::time::Clock;

/// Connections at most, of agents and of those who have yet to prove that they are some.
const CONNECTIONS: usize = 2 * super::MOST;

/// How long a handshake may take, and how long an agent may be silent before it is sent away.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where agents come in.
pub struct Door {
    listener: TcpListener,
    shown: Arc<Kept<Shown<ServerConfig>>>,
    identity: Identity,
    room: Arc<Semaphore>,
}

/// What the files say by which a door is opened.
///
/// # Errors
/// What is wrong with them.
pub fn shown(identity: &Identity) -> Result<Arc<Kept<Shown<ServerConfig>>>, String> {
    channel::keep_server(identity)
}

impl Door {
    /// Opens it on `address`.
    ///
    /// # Errors
    /// What is wrong with the certificates, or why nobody can listen there.
    pub async fn open(address: SocketAddr, identity: &Identity) -> Result<Self, io::Error> {
        Ok(Self {
            shown: shown(identity).map_err(io::Error::other)?,
            identity: identity.clone(),
            listener: TcpListener::bind(address).await?,
            room: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }

    /// By what it shows who this director is.
    pub fn shown(&self) -> &Arc<Kept<Shown<ServerConfig>>> {
        &self.shown
    }
}

/// By what an agent was let in.
struct Admission {
    kept: Arc<Kept<Shown<ServerConfig>>>,
    identity: Identity,
    /// What the files said when its certificates were judged last.
    shown: Arc<Shown<ServerConfig>>,
    /// Its own certificate first.
    chain: Vec<CertificateDer<'static>>,
}

impl Admission {
    fn new(door: &Door) -> Self {
        Self {
            kept: Arc::clone(&door.shown),
            identity: door.identity.clone(),
            shown: door.shown.get(),
            chain: Vec::new(),
        }
    }

    /// Judges it again if the files have changed.
    fn renew(&mut self) -> io::Result<()> {
        let now = self.kept.get();
        if Arc::ptr_eq(&now, &self.shown) {
            return Ok(());
        }
        self.shown = now;
        let judged = channel::judge_again(&self.identity, &self.chain);
        judged.map_err(|why| io::Error::other(format!("its certificate is good no more: {why}")))
    }
}

/// Serves agents. Never ends.
pub async fn serve(door: Door, agents: Arc<Agents>, clock: Clock) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    loop {
        // It fails only when somebody closes the semaphore, which nobody does.
        let place = Arc::clone(&door.room).acquire_owned().await.ok();
        let (stream, peer) = match door.listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "no agent can be accepted");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let admission = Admission::new(&door);
        let agents = Arc::clone(&agents);
        tokio::spawn(async move {
            let id = NUMBER.fetch_add(1, Relaxed);
            let ended = attend(id, stream, peer, admission, &agents, clock).await;
            let had_said_so = agents.part(id);
            match ended {
                Err(_) if had_said_so => info!(%peer, "an agent has gone"),
                Ok(()) => info!(%peer, "an agent has gone"),
                Err(error) => warn!(%peer, %error, "an agent has gone"),
            }
            drop(place);
        });
    }
}

async fn attend(
    id: u64,
    stream: TcpStream,
    peer: SocketAddr,
    mut admission: Admission,
    agents: &Agents,
    clock: Clock,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let acceptor = TlsAcceptor::from(Arc::clone(&admission.shown.config));
    let stream = timeout(PATIENCE, acceptor.accept(stream)).await??;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    admission.chain = certificates
        .iter()
        .map(|one| one.clone().into_owned())
        .collect();
    let certificate = admission.chain.first().cloned();
    let certificate = certificate.ok_or_else(|| io::Error::other("it has no certificate"))?;
    let (orders, inbox) = mpsc::unbounded_channel();
    let who = (peer.ip(), certificate);
    if !agents.join(id, who, orders, clock.now()) {
        return Err(io::Error::other("there are too many agents"));
    }
    info!(%peer, "an agent has come");
    converse(id, stream, inbox, admission, agents, clock).await
}

/// Hears reports and gives orders, until one side has had enough.
async fn converse(
    id: u64,
    stream: TlsStream<TcpStream>,
    mut inbox: mpsc::UnboundedReceiver<channel::Order>,
    mut admission: Admission,
    agents: &Agents,
    clock: Clock,
) -> io::Result<()> {
    let (read, mut write) = tokio::io::split(stream);
    let hear = async {
        let mut read = BufReader::new(read);
        loop {
            let line = timeout(PATIENCE, channel::receive_line(&mut read)).await??;
            let Some(line) = line else {
                return Ok(());
            };
            admission.renew()?;
            let report = Report::read(&line)?;
            debug!(id, ?report, "an agent reports");
            agents.hear(id, report, clock.now());
        }
    };
    let tell = async {
        while let Some(order) = inbox.recv().await {
            timeout(PATIENCE, channel::send(&mut write, &order)).await??;
        }
        Ok(())
    };
    tokio::select! {
        ended = hear => ended,
        ended = tell => ended,
    }
}
