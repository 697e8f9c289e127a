//! One HTTP/1.1 connection.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::{Address, ClientError, Result};
use crate::problem::ProblemDocument;

/// The largest answer that is read.
const ANSWER_LIMIT: usize = 256 << 20;

/// An open connection.
#[derive(Debug)]
pub(super) struct Transport {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

/// Status and body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Bytes,
}

impl Transport {
    pub(super) async fn open(address: &Address) -> Result<Self> {
        let refused = |source| ClientError::of_connect(address, source);
        let sender = match address {
            Address::Unix(path) => {
                handshake(UnixStream::connect(path).await.map_err(refused)?).await?
            }
            Address::Http { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                handshake(stream.map_err(refused)?).await?
            }
        };
        let host = address.host_header();
        Ok(Self { sender, host })
    }

    /// Waits until it takes a request; false once the director has closed it.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::from(body.unwrap_or_default()))
            .map_err(|error| ClientError::Protocol(error.to_string()))
    }

    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let response = self.sender.send_request(request).await.map_err(protocol)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT)
            .collect()
            .await
            .map_err(|error| ClientError::Protocol(error.to_string()))?
            .to_bytes();
        Ok(Answer { status, body })
    }
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(protocol)?;
    // An error of the connection fails the request that it breaks; here it has no one to tell.
    tokio::spawn(connection);
    Ok(sender)
}

fn protocol(error: hyper::Error) -> ClientError {
    ClientError::Protocol(error.to_string())
}

impl Answer {
    /// The answer, unless it is a problem.
    pub(super) fn success(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        match serde_json::from_slice::<ProblemDocument>(&self.body) {
            Ok(document) => Err(ClientError::Problem(Box::new(document))),
            Err(_) => Err(ClientError::Protocol(format!("HTTP {}", self.status))),
        }
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| ClientError::Protocol(error.to_string()))
    }
}
