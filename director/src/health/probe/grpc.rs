//! `grpc.health.v1.Health/Check`, as gRPC's health checking protocol has it, over HTTP/2.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use adminapi::model::Check;
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{self, SendRequest};
use http::{HeaderMap, Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::tls::Tls;
use super::{Failure, LONGEST_ANSWER, Switchboard, Verdict};
use crate::health::Words;

/// The values of `HealthCheckResponse.ServingStatus`.
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// That of them which is success.
const SERVING: usize = 1;

/// A gRPC check.
#[derive(Debug)]
pub(in crate::health) struct Grpc {
    to: SocketAddr,
    tls: Option<Tls>,
    uri: String,
    message: Bytes,
}

impl Grpc {
    pub(super) fn new(check: &Check, to: SocketAddr) -> Result<Self, Words> {
        let tls = match check.kind.is_tls() {
            true => Some(Tls::new(check, to, &[b"h2"])?),
            false => None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let authority = check.host.clone().unwrap_or_else(|| to.to_string());
        Ok(Self {
            to,
            tls,
            uri: format!("{scheme}://{authority}/grpc.health.v1.Health/Check"),
            message: message(check.service.as_deref().unwrap_or_default()),
        })
    }

    pub(super) async fn ask(&self, lines: &Arc<Switchboard>) -> Verdict {
        let stream = lines.call(self.to).await?;
        match &self.tls {
            None => self.exchange(stream).await,
            Some(tls) => {
                let stream = tls.over(stream).await?;
                self.exchange(stream).await
            }
        }
    }

    /// The connection is driven beside the call, and ends with it. When it ends first, all that has
    /// come is in the stream, perhaps the whole answer: the call finds that, or why there is no more.
    async fn exchange(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Verdict {
        let (requests, connection) = client::handshake(stream).await?;
        let mut call = pin!(self.call(requests));
        tokio::select! {
            verdict = &mut call => return verdict,
            _ = connection => {}
        }
        call.await
    }

    async fn call(&self, requests: SendRequest<Bytes>) -> Verdict {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", concat!("bulwark/", env!("CARGO_PKG_VERSION")))
            .body(())
            .map_err(|error| error.to_string())?;
        let mut requests = requests.ready().await?;
        let sent = requests.send_request(request, false);
        let (answer, mut body) = sent?;
        body.send_data(self.message.clone(), true)?;
        let answer = answer.await?;
        read(answer).await
    }
}

impl From<h2::Error> for Failure {
    fn from(error: h2::Error) -> Self {
        match error.get_io() {
            Some(error) => error.into(),
            None => error.to_string().into(),
        }
    }
}

/// A message of gRPC: not compressed, its length, and `HealthCheckRequest { service }`.
fn message(service: &str) -> Bytes {
    let mut request = BytesMut::new();
    if !service.is_empty() {
        // Field 1, of the wire type LEN.
        request.put_u8(1 << 3 | 2);
        put_varint(&mut request, service.len() as u64);
        request.put_slice(service.as_bytes());
    }
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(request.len() as u32);
    message.put(request);
    message.freeze()
}

async fn read(answer: Response<RecvStream>) -> Verdict {
    if answer.status() != 200 {
        return Err(format!("HTTP {}", answer.status()).into());
    }
    let (head, mut body) = answer.into_parts();
    let mut heard = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        heard.put(data);
        if heard.len() > LONGEST_ANSWER {
            return Err("answer is too long".into());
        }
    }
    let trailers = body.trailers().await?;
    // An error comes without a body, and with its status in the head.
    refusal(trailers.as_ref().unwrap_or(&head.headers))?;
    let status = status(&heard).ok_or("answer is no HealthCheckResponse")?;
    let name = STATUSES.get(status).copied().unwrap_or("UNKNOWN");
    match status {
        SERVING => Ok(Words::Borrowed(name)),
        _ => Err(name.into()),
    }
}

/// That `grpc-status` is not 0.
fn refusal(fields: &HeaderMap) -> Result<(), Failure> {
    let text = |name| fields.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => Ok(()),
        status => {
            let (status, message) = (status.unwrap_or("missing"), text("grpc-message"));
            let message = message.unwrap_or_default();
            Err(format!("gRPC status {status} {message}")
                .trim_end()
                .to_owned()
                .into())
        }
    }
}

/// The status of a message with a `HealthCheckResponse`; it is 0 when that leaves it out.
fn status(message: &[u8]) -> Option<usize> {
    let (head, mut rest) = message.split_at_checked(5)?;
    let length = u32::from_be_bytes(head.get(1..)?.try_into().ok()?);
    if head.first() != Some(&0) || rest.len() != length as usize {
        return None;
    }
    let mut status = 0;
    while !rest.is_empty() {
        let tag = take_varint(&mut rest)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => status = usize::try_from(take_varint(&mut rest)?).ok()?,
            (_, 0) => drop(take_varint(&mut rest)?),
            (_, 2) => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            (_, 1) => rest = rest.get(8..)?,
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(to: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        to.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_those_of_protobuf() {
        assert_eq!(&message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&message("a.B")[..], b"\0\0\0\0\x05\x0a\x03a.B");
        let long = "x".repeat(300);
        assert_eq!(message(&long)[..8], [0, 0, 0, 1, 0x2f, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn statuses_are_read() {
        for (message, expected) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], Some(SERVING)),
            (b"\0\0\0\0\x02\x08\x02", Some(2)),
            (b"\0\0\0\0\0", Some(0)),
            // Another field before it.
            (b"\0\0\0\0\x06\x12\x02hi\x08\x01", Some(SERVING)),
            // Compressed, too short, cut.
            (b"\x01\0\0\0\x02\x08\x01", None),
            (b"\0\0\0\0\x03\x08\x01", None),
            (b"\0\0\0\0\x01\x08", None),
            (b"\0\0", None),
        ] {
            assert_eq!(status(message), expected, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(answer in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut framed = vec![0];
            framed.extend((answer.len() as u32).to_be_bytes());
            framed.extend(answer);
            let _ = status(&framed);
        }

        #[test]
        fn numbers_survive(value in any::<u64>()) {
            let mut bytes = BytesMut::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(take_varint(&mut &bytes[..]), Some(value));
        }
    }
}
