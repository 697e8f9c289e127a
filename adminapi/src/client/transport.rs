//! One HTTP/1.1 connection.

use std::io::{self, ErrorKind};

use http_body_util::{BodyExt, Full, Limited};
use hyper::StatusCode;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::address::Scheme;
use super::{Address, ClientError, Trust, tls};
use crate::problem::ProblemDocument;

/// The largest answer that is read.
const ANSWER_LIMIT: usize = 256 << 20;

/// What is read at once. A buffer that grew with a long answer would be new memory again and again,
/// and the kernel has to clear it.
const READ_SIZE: usize = 32 << 10;

/// A request with its body.
pub(super) type Request = hyper::Request<Full<Bytes>>;

/// An open connection.
#[derive(Debug)]
pub(super) struct Transport {
    address: Address,
    sender: SendRequest<Full<Bytes>>,
}

/// Why a connection gave no answer.
pub(super) enum Broken {
    /// The director had closed it: nothing was sent, another connection may send it.
    Unsent(Box<Request>),
    /// It broke on the way.
    Failed(ClientError),
}

/// An answer of which only the head has come.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// Its media type.
    pub(super) kind: Option<HeaderValue>,
    /// The entity tag of what it shows.
    pub(super) tag: Option<HeaderValue>,
    pub(super) body: Incoming,
}

/// Status, entity tag and body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) tag: Option<HeaderValue>,
    body: Bytes,
}

impl Transport {
    pub(super) async fn open(address: &Address, trust: &Trust) -> Result<Self, ClientError> {
        let sender = match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                handshake(stream.map_err(|source| ClientError::of_connect(address, source))?)
                    .await?
            }
            Address::Host { scheme, host, port } => {
                // Boxed, as what TLS needs would be stack that a socket of this host touches, too.
                Box::pin(over_network(address, (*scheme, host, *port), trust)).await?
            }
        };
        let address = address.clone();
        Ok(Self { address, sender })
    }

    /// The beginning of the answer to `request`.
    pub(super) async fn ask(&mut self, request: Request) -> Result<Head, Broken> {
        let sent = self.sender.try_send_request(request).await;
        let response = sent.map_err(|mut error| match error.take_message() {
            Some(request) => Broken::Unsent(Box::new(request)),
            None => Broken::Failed(broken(&self.address, &error.into_error())),
        })?;
        Ok(Head {
            status: response.status(),
            kind: response.headers().get(CONTENT_TYPE).cloned(),
            tag: response.headers().get(ETAG).cloned(),
            body: response.into_body(),
        })
    }
}

impl Head {
    /// All of the answer.
    pub(super) async fn whole(self) -> Result<Answer, ClientError> {
        let body = Limited::new(self.body, ANSWER_LIMIT).collect().await;
        let body = body.map_err(|error| ClientError::Protocol(error.to_string()))?;
        Ok(Answer {
            status: self.status,
            tag: self.tag,
            body: body.to_bytes(),
        })
    }
}

async fn over_network(
    address: &Address,
    (scheme, host, port): (Scheme, &str, u16),
    trust: &Trust,
) -> Result<SendRequest<Full<Bytes>>, ClientError> {
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(|source| ClientError::of_connect(address, source))?;
    match scheme {
        Scheme::Http => handshake(stream).await,
        Scheme::Https => handshake(trust.secure(stream, address, host).await?).await,
    }
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .read_buf_exact_size(Some(READ_SIZE))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(protocol)?;
    // An error of the connection fails the request that it breaks; here it has no one to tell.
    tokio::spawn(connection);
    Ok(sender)
}

fn protocol(error: hyper::Error) -> ClientError {
    ClientError::Protocol(error.to_string())
}

/// With TLS 1.3 a client hears only after the handshake that its certificate is refused.
fn broken(address: &Address, error: &hyper::Error) -> ClientError {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    match source.and_then(tls::explain) {
        Some(why) => ClientError::Tls {
            address: address.clone(),
            why,
        },
        None if hung_up(error) => ClientError::HungUp {
            address: address.clone(),
        },
        None => ClientError::Protocol(error.to_string()),
    }
}

/// Whether the other side closed the connection, in whichever way.
fn hung_up(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    let is_closed = |error: &io::Error| {
        let kind = error.kind();
        matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
    };
    error.is_incomplete_message() || error.is_canceled() || source.is_some_and(is_closed)
}

impl Answer {
    /// The answer, unless it is a problem.
    pub(super) fn success(self) -> Result<Self, ClientError> {
        match self.status.is_success() {
            true => Ok(self),
            false => Err(self.problem()),
        }
    }

    /// The problem that it is.
    pub(super) fn problem(self) -> ClientError {
        match serde_json::from_slice::<ProblemDocument>(&self.body) {
            Ok(document) => ClientError::Problem(Box::new(document)),
            Err(_) => ClientError::Protocol(format!("HTTP {}", self.status)),
        }
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| ClientError::Protocol(error.to_string()))
    }
}
