//! The connections of a listener: how many there may be, and how long each may take for what.
//! Whoever is slow or silent loses his place; he holds nobody else up.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::plain::{is_plain, refuse};
use super::room::{Room, Seat};
use super::tls::is_worth_a_line;
use crate::auth::{CONNECTIONS, Peer};
use crate::certificate::Shown;
use crate::held::hold;
use crate::kept::Kept;

/// How long the TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long the head of a request may take, from the answer to the one before.
const HEAD: Duration = Duration::from_secs(30);

/// How long nothing of an answer may be taken.
const STUCK: Duration = Duration::from_secs(30);

/// Bytes of an answer that the kernel holds beside those that are on their way: it would else hold
/// megabytes for each client who takes nothing.
const UNSENT: u32 = 64 << 10;

/// The largest head, in bytes and in fields.
const HEAD_BYTES: usize = 64 << 10;
const HEAD_FIELDS: usize = 64;

/// How long to wait when the system has no room for a connection.
const BREATH: Duration = Duration::from_millis(500);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where connections come from.
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener, Option<Arc<Kept<Shown<ServerConfig>>>>),
}

/// A connection that has just been accepted.
enum Accepted {
    Unix(UnixStream),
    Plain(TcpStream),
    Tls(TcpStream, TlsAcceptor),
}

impl Listener {
    async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let who = stream.peer_cred()?;
                let (uid, pid) = (who.uid(), who.pid());
                Ok((Accepted::Unix(stream), Peer::Process { uid, pid }))
            }
            Self::Tcp(listener, tls) => {
                let (stream, from) = listener.accept().await?;
                // Answers are written whole: waiting for more would only add delay.
                stream.set_nodelay(true)?;
                // A host that is gone acknowledges nothing, which the kernel alone can see while
                // there is still room for what is sent to it.
                let socket = SockRef::from(&stream);
                socket.set_tcp_user_timeout(Some(STUCK))?;
                socket.set_tcp_notsent_lowat(UNSENT)?;
                let accepted = match tls {
                    None => Accepted::Plain(stream),
                    Some(tls) => {
                        Accepted::Tls(stream, TlsAcceptor::from(Arc::clone(&tls.get().config)))
                    }
                };
                Ok((accepted, Peer::Host(from)))
            }
        }
    }
}

impl Accepted {
    async fn open(self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(stream) => Box::new(stream),
            Self::Plain(stream) => Box::new(stream),
            Self::Tls(stream, _) if is_plain(&stream).await? => return Err(refuse(stream).await),
            Self::Tls(stream, acceptor) => Box::new(acceptor.accept(stream).await?),
        })
    }
}

/// The open connections of a listener.
pub(super) struct Connections {
    api: Router,
    room: Room,
    open: JoinSet<()>,
    ending: watch::Receiver<bool>,
}

impl Connections {
    /// None yet. When `ending` turns true they finish what is under way.
    pub(super) fn new(api: Router, ending: watch::Receiver<bool>) -> Self {
        Self {
            api,
            room: Room::new(CONNECTIONS),
            open: JoinSet::new(),
            ending,
        }
    }

    /// Accepts connections and attends to them, until `until`.
    pub(super) async fn accept(&mut self, listener: &Listener, until: impl Future<Output = ()>) {
        let mut until = pin!(until);
        loop {
            let (seat, accepted, peer) = tokio::select! {
                () = &mut until => return,
                next = self.next(listener) => next,
            };
            while self.open.try_join_next().is_some() {}
            let (api, ending) = (self.api.clone(), self.ending.clone());
            self.open.spawn(async move {
                let attended = attend(accepted, peer, Arc::clone(&seat), api, ending);
                let ended = tokio::select! {
                    ended = attended => ended,
                    () = seat.is_wanted() => Err("another one needed its place".to_owned()),
                };
                if let Err(error) = ended {
                    tracing::debug!(?peer, error, "a connection of the API failed");
                }
            });
        }
    }

    /// The next connection, and its place.
    async fn next(&self, listener: &Listener) -> (Arc<Seat>, Accepted, Peer) {
        loop {
            match listener.accept().await {
                Ok((accepted, peer)) => return (self.room.seat().await, accepted, peer),
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "the API takes no connection for now");
                    sleep(BREATH).await;
                }
            }
        }
    }

    /// Waits for the last one.
    pub(super) async fn finish(mut self) {
        while self.open.join_next().await.is_some() {}
    }
}

/// Whether only this connection failed, not the listener.
fn is_of_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
    )
}

async fn attend(
    accepted: Accepted,
    peer: Peer,
    seat: Arc<Seat>,
    api: Router,
    mut ending: watch::Receiver<bool>,
) -> Result<(), String> {
    let stream = match timeout(HANDSHAKE, accepted.open()).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            if is_worth_a_line(&error) {
                tracing::warn!(target: "audit", ?peer, %error, "TLS handshake failed");
            }
            return Ok(());
        }
        Err(_) => return Err("no TLS handshake in time".to_owned()),
    };
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STUCK));
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        answer(request, Arc::clone(&seat), api.clone())
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_headers(HEAD_FIELDS)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(Box::pin(stream)), service)
    );
    tokio::select! {
        done = connection.as_mut() => return done.map_err(|error| error.to_string()),
        _ = ending.wait_for(|end| *end) => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(|error| error.to_string())
}

/// The answer to a request, which is under way until its body is sent.
async fn answer(
    request: Request<Incoming>,
    seat: Arc<Seat>,
    api: Router,
) -> Result<Response, Infallible> {
    let Some(busy) = seat.begin() else {
        // The connection is about to end for another one.
        return std::future::pending().await;
    };
    let answer = api.oneshot(request.map(Body::new)).await?;
    Ok(hold(answer, busy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_ends_what_is_not_acknowledged_and_holds_little_that_is_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = Listener::Tcp(listener, None).accept().await.unwrap();
        let Accepted::Plain(stream) = accepted else {
            panic!("not TCP");
        };
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(STUCK));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
    }
}
