//! Takes connections of agents: each proves who it is, reports, and is told keys.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use adminapi::certificate::Shown;
use adminapi::kept::Kept;
use rustls::ServerConfig;
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
            listener: TcpListener::bind(address).await?,
            room: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }

    /// By what it shows who this director is.
    pub fn shown(&self) -> &Arc<Kept<Shown<ServerConfig>>> {
        &self.shown
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
        let acceptor = TlsAcceptor::from(Arc::clone(&door.shown.get().config));
        let agents = Arc::clone(&agents);
        tokio::spawn(async move {
            let id = NUMBER.fetch_add(1, Relaxed);
            let ended = attend(id, stream, peer, &acceptor, &agents, clock).await;
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
    acceptor: &TlsAcceptor,
    agents: &Agents,
    clock: Clock,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = timeout(PATIENCE, acceptor.accept(stream)).await??;
    let certificates = stream.get_ref().1.peer_certificates();
    let certificate = certificates.and_then(<[_]>::first);
    let certificate = certificate.ok_or_else(|| io::Error::other("it has no certificate"))?;
    let (orders, inbox) = mpsc::unbounded_channel();
    let who = (peer.ip(), certificate.clone().into_owned());
    if !agents.join(id, who, orders, clock.now()) {
        return Err(io::Error::other("there are too many agents"));
    }
    info!(%peer, "an agent has come");
    converse(id, stream, inbox, agents, clock).await
}

/// Hears reports and gives orders, until one side has had enough.
async fn converse(
    id: u64,
    stream: TlsStream<TcpStream>,
    mut inbox: mpsc::UnboundedReceiver<channel::Order>,
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
