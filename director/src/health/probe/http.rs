//! An HTTP/1.1 request, over TLS if the check says so. The connection is for this request only.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use adminapi::model::{Check, StatusSet};
use regex::bytes::Regex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::tls::Tls;
use super::{LONGEST_ANSWER, Switchboard, Verdict, contains, shown};
use crate::health::Words;

/// The most header fields of an answer that are read.
const MOST_FIELDS: usize = 100;

/// An HTTP check.
#[derive(Debug)]
pub(in crate::health) struct Http {
    to: SocketAddr,
    tls: Option<Tls>,
    request: Vec<u8>,
    /// Whether the answer to the method has a body.
    has_body: bool,
    status: StatusSet,
    body: Option<String>,
    body_regex: Option<Regex>,
}

/// The head of an answer.
struct Head {
    code: u16,
    reason: String,
    /// Where the body begins.
    length: usize,
    chunked: bool,
    content_length: Option<usize>,
}

impl Http {
    pub(super) fn new(check: &Check, to: SocketAddr) -> Result<Self, Words> {
        let tls = match check.kind.is_tls() {
            true => Some(Tls::new(check, to, &[b"http/1.1"])?),
            false => None,
        };
        let body_regex = check.body_regex.as_deref().map(Regex::new).transpose();
        let method = check.method.as_deref().unwrap_or("GET");
        Ok(Self {
            to,
            tls,
            request: request(check, method, to),
            has_body: method != "HEAD",
            status: check.status.clone().unwrap_or_default(),
            body: check.body.clone(),
            body_regex: body_regex.map_err(|error| Words::from(error.to_string()))?,
        })
    }

    pub(super) async fn ask(&self, lines: &Arc<Switchboard>) -> Verdict {
        self.talk(lines).await?
    }

    async fn talk(&self, lines: &Arc<Switchboard>) -> io::Result<Verdict> {
        let stream = lines.call(self.to).await?;
        match &self.tls {
            None => self.exchange(stream).await,
            Some(tls) => Box::pin(async { self.exchange(tls.over(stream).await?).await }).await,
        }
    }

    async fn exchange(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> io::Result<Verdict> {
        stream.write_all(&self.request).await?;
        stream.flush().await?;
        let mut heard = Vec::with_capacity(2048);
        let head = match final_head(&mut stream, &mut heard).await? {
            Ok(head) => head,
            Err(why) => return Ok(Err(why.into())),
        };
        let answer = format!("HTTP {} {}", head.code, head.reason);
        let answer = answer.trim_end().to_owned();
        if !self.status.has(head.code) {
            return Ok(Err(format!("{answer}, not {}", self.status).into()));
        }
        if self.body.is_none() && self.body_regex.is_none() || !self.has_body {
            return Ok(Ok(answer.into()));
        }
        let body = read_body(&mut stream, heard, &head).await?;
        Ok(match self.is_expected(&body) {
            true => Ok(format!("{answer}, body as expected").into()),
            false => Err(format!("{answer}, body {:?} is not as expected", shown(&body)).into()),
        })
    }

    fn is_expected(&self, body: &[u8]) -> bool {
        let has = |text: &String| contains(body, text.as_bytes());
        let matches = |regex: &Regex| regex.is_match(body);
        self.body.as_ref().is_none_or(has) && self.body_regex.as_ref().is_none_or(matches)
    }
}

fn request(check: &Check, method: &str, to: SocketAddr) -> Vec<u8> {
    let path = check.path.as_deref().unwrap_or("/");
    let host = check.host.clone().unwrap_or_else(|| to.to_string());
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bulwark/{}\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    )
    .into_bytes()
}

/// The head, if all of it has come.
fn head(heard: &[u8]) -> Result<Option<Head>, Words> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let length = match answer.parse(heard) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("answer {:?} is no HTTP: {error}", shown(heard)).into()),
    };
    let field = |name: &str| {
        let mut fields = answer.headers.iter();
        let found = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    Ok(Some(Head {
        code: answer.code.unwrap_or_default(),
        reason: shown(answer.reason.unwrap_or_default().as_bytes()),
        length,
        chunked: field("transfer-encoding").is_some_and(|coding| coding.contains("chunked")),
        content_length: field("content-length").and_then(|length| length.trim().parse().ok()),
    }))
}

/// The head of the answer that is not an interim one. Those before it are taken out of what was
/// `heard`, which begins with it then.
async fn final_head(
    stream: &mut (impl AsyncRead + Unpin),
    heard: &mut Vec<u8>,
) -> io::Result<Result<Head, Words>> {
    let mut interim = 0;
    loop {
        match head(heard) {
            Ok(Some(head)) if head.code >= 200 => return Ok(Ok(head)),
            Ok(Some(head)) => {
                heard.drain(..head.length);
                interim += head.length;
                if interim > LONGEST_ANSWER {
                    return Ok(Err("too many interim answers".into()));
                }
            }
            Ok(None) => read_more(stream, heard).await?,
            Err(why) => return Ok(Err(why)),
        }
    }
}

async fn read_more(stream: &mut (impl AsyncRead + Unpin), heard: &mut Vec<u8>) -> io::Result<()> {
    let read = stream.read_buf(heard).await?;
    match read == 0 || heard.len() > LONGEST_ANSWER {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(()),
    }
}

/// As much of the body as there is, up to a bound. A server that ends the connection ends it.
async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    mut heard: Vec<u8>,
    head: &Head,
) -> io::Result<Vec<u8>> {
    heard.drain(..head.length);
    let whole = head
        .content_length
        .unwrap_or(usize::MAX)
        .min(LONGEST_ANSWER);
    loop {
        let is_whole = match head.chunked {
            true => dechunked(&heard).1,
            false => heard.len() >= whole,
        };
        if is_whole || heard.len() >= LONGEST_ANSWER || stream.read_buf(&mut heard).await? == 0 {
            break;
        }
    }
    Ok(match head.chunked {
        true => dechunked(&heard).0,
        false => heard,
    })
}

/// What the chunks hold that have come (RFC 9112, 7.1), and whether the last one has.
fn dechunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) {
        if size == 0 {
            return (body, true);
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let chunk = rest.get(start..).unwrap_or_default();
        body.extend_from_slice(chunk.get(..size.min(chunk.len())).unwrap_or_default());
        let behind = start.saturating_add(size).saturating_add(2);
        let Some(next) = rest.get(behind..) else {
            break;
        };
        rest = next;
    }
    (body, false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chunks_are_put_together() {
        for (bytes, body, ends) in [
            ("2\r\nok\r\n0\r\n\r\n", "ok", true),
            ("2\r\nok\r\n3;x=y\r\nay!\r\n0\r\n\r\n", "okay!", true),
            ("5\r\nok", "ok", false),
            ("2\r\nok\r\n", "ok", false),
            ("ffffffffffffffff\r\nok", "ok", false),
            ("", "", false),
        ] {
            assert_eq!(dechunked(bytes.as_bytes()), (body.into(), ends), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(answer in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = head(&answer);
            let _ = dechunked(&answer);
        }
    }
}
