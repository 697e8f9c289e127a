//! One request and its answer, over the connection that is kept.

use hyper::{Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::MutexGuard;

use super::transport::{Answer, Broken, Head, Request, Transport};
use super::{Bearer, Client, ClientError, Result};
use crate::control::Put;

impl Client {
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None).await?.json()
    }

    pub(super) async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T> {
        self.call(method, path, Some(json(body)?)).await?.json()
    }

    pub(super) async fn put<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<Put<T>> {
        let answer = self.call(Method::PUT, path, Some(json(body)?)).await?;
        match answer.status {
            StatusCode::CREATED => answer.json().map(Put::Created),
            _ => answer.json().map(Put::Replaced),
        }
    }

    pub(super) async fn delete(&self, path: &str) -> Result<()> {
        self.call(Method::DELETE, path, None).await.map(drop)
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer> {
        self.whole(self.request(method, path, body)?).await
    }

    /// All of the answer to `request`.
    pub(super) async fn whole(&self, request: Request) -> Result<Answer> {
        let answer = self.patiently(async {
            let (line, head) = self.ask(request).await?;
            let answer = head.whole().await?;
            line.keep();
            Ok(answer)
        });
        answer.await?.success()
    }

    /// Waits for what the director does no longer than a call may take.
    pub(super) async fn patiently<T>(&self, done: impl Future<Output = Result<T>>) -> Result<T> {
        let timed = tokio::time::timeout(self.patience, done);
        timed.await.unwrap_or_else(|_| {
            Err(ClientError::Timeout {
                address: self.address.clone(),
                after: self.patience,
            })
        })
    }

    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Request> {
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.host_header());
        if let Some(Bearer(token)) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(body.unwrap_or_default().into())
            .map_err(|error| ClientError::Protocol(error.to_string()))
    }

    /// Over the connection of the call before, or a new one. A connection that fails, or whose
    /// answer nobody waits for any more, is not kept. The director closes one that rests for long,
    /// which shows with the next request only: what changes nothing is asked again (RFC 9110,
    /// section 9.2.2).
    pub(super) async fn ask(&self, mut request: Request) -> Result<(Line<'_>, Head)> {
        let mut kept = self.transport.lock().await;
        if let Some(mut transport) = kept.take() {
            let again = request.method().is_safe().then(|| request.clone());
            match transport.ask(request).await {
                Ok(head) => return Ok((Line { kept, transport }, head)),
                Err(Broken::Failed(error)) => request = again.ok_or(error)?,
                Err(Broken::Unsent(unsent)) => request = *unsent,
            }
        }
        let mut transport = Transport::open(&self.address, &self.trust).await?;
        match transport.ask(request).await {
            Ok(head) => Ok((Line { kept, transport }, head)),
            Err(Broken::Failed(error)) => Err(error),
            Err(Broken::Unsent(_)) => Err(ClientError::HungUp {
                address: self.address.clone(),
            }),
        }
    }
}

/// The connection that an answer comes over, until all of it is there.
#[derive(Debug)]
pub(super) struct Line<'c> {
    kept: MutexGuard<'c, Option<Transport>>,
    transport: Transport,
}

impl Line<'_> {
    /// The answer has ended: the connection is there for the next call.
    pub(super) fn keep(mut self) {
        *self.kept = Some(self.transport);
    }
}

pub(super) fn json<B: Serialize>(body: &B) -> Result<Vec<u8>> {
    serde_json::to_vec(body).map_err(|error| ClientError::Protocol(error.to_string()))
}
