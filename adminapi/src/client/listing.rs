//! A listing, row by row, while the director is still making the rest of it.

use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::{Bytes, Incoming};

use super::exchange::Line;
use super::{Client, ClientError, Result};
use crate::model::listing::{MEDIA_TYPE, Reader, Unlisted};
use crate::model::{ListingQuery, ServiceRow};
use crate::path;

/// The answer to a request, piece by piece, as it comes.
#[derive(Debug)]
pub struct Pieces<'c> {
    client: &'c Client,
    /// Until the last byte has come.
    line: Option<Line<'c>>,
    body: Incoming,
}

impl<'c> Pieces<'c> {
    /// What is at `path`, which is to be of this media type.
    pub(super) async fn of(client: &'c Client, path: &str, kind: &str) -> Result<Self> {
        let request = client.request(Method::GET, path, None)?;
        let (line, head) = client.patiently(client.ask(request)).await?;
        if !head.status.is_success() {
            let answer = client.patiently(head.whole()).await?;
            line.keep();
            return Err(answer.problem());
        }
        if head.kind.as_ref().is_none_or(|of| of != kind) {
            return Err(ClientError::Protocol(format!("it is no {kind}")));
        }
        Ok(Self {
            client,
            line: Some(line),
            body: head.body,
        })
    }

    /// The next piece; `None` after the last one.
    ///
    /// # Errors
    /// When nothing comes in time, or not all of it.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.line.is_some() {
            let frame = async { Ok(self.body.frame().await) };
            match self.client.patiently(frame).await? {
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
                Some(Err(_)) => {
                    return Err(ClientError::Cut {
                        address: self.client.address.clone(),
                    });
                }
                None => self.line.take().into_iter().for_each(Line::keep),
            }
        }
        Ok(None)
    }
}

/// The rows of a listing, as they come.
#[derive(Debug)]
pub struct Listing<'c> {
    pieces: Pieces<'c>,
    reader: Reader,
}

impl<'c> Listing<'c> {
    pub(super) async fn of(client: &'c Client, query: &ListingQuery) -> Result<Self> {
        Ok(Self {
            pieces: Pieces::of(client, &path::listing(query), MEDIA_TYPE).await?,
            reader: Reader::default(),
        })
    }

    /// The next row; `None` after the last one.
    ///
    /// # Errors
    /// When nothing comes in time, or when what comes is no listing or not all of it.
    pub async fn next(&mut self) -> Result<Option<ServiceRow>> {
        loop {
            if let Some(row) = self.reader.row().map_err(garbled)? {
                return Ok(Some(row));
            }
            match self.pieces.next().await? {
                Some(piece) => self.reader.take(piece),
                None => {
                    self.reader.end().map_err(garbled)?;
                    return Ok(None);
                }
            }
        }
    }
}

fn garbled(error: Unlisted) -> ClientError {
    ClientError::Protocol(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;
    use crate::model::listing::encode;
    use crate::model::{Helper, Scheduler, SchedulerFlags};

    fn row() -> ServiceRow {
        ServiceRow {
            id: "tcp:192.0.2.10:80".parse().unwrap(),
            scheduler: Scheduler::Wlc,
            scheduler_flags: SchedulerFlags::NONE,
            persistence: None,
            engine: None,
            one_packet: false,
            helper: Helper::Auto,
            numbers: None,
            reals: Vec::new(),
        }
    }

    /// Answers the first request on a socket with a row, then with `rest`.
    async fn answer(listener: UnixListener, rest: &[u8]) -> UnixStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .read_buf(&mut Vec::with_capacity(1024))
            .await
            .unwrap();
        let bytes = encode(&row()).unwrap();
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
        let head = format!(
            "{head}content-type: {MEDIA_TYPE}\r\n\r\n{:x}\r\n",
            bytes.len()
        );
        let all = [head.as_bytes(), &bytes, b"\r\n", rest].concat();
        stream.write_all(&all).await.unwrap();
        stream
    }

    fn client(path: &Path) -> Client {
        Client::connect(&format!("unix:{}", path.display())).unwrap()
    }

    #[tokio::test]
    async fn rows_come_before_the_last_one_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let answered = tokio::spawn(answer(UnixListener::bind(&path).unwrap(), b""));
        let client = client(&path);
        let query = ListingQuery::default();
        let mut listing = client.listing(&query).await.unwrap();
        assert_eq!(listing.next().await.unwrap(), Some(row()));
        let mut director = answered.await.unwrap();
        director.write_all(b"0\r\n\r\n").await.unwrap();
        assert_eq!(listing.next().await.unwrap(), None);
        assert_eq!(listing.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_no_end() {
        for (rest, is_cut) in [(&b"4\r\n"[..], true), (b"1\r\n\0\r\n0\r\n\r\n", false)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("api.sock");
            let listener = UnixListener::bind(&path).unwrap();
            let answered = tokio::spawn(async move { drop(answer(listener, rest).await) });
            let client = client(&path);
            let query = ListingQuery::default();
            let mut listing = client.listing(&query).await.unwrap();
            assert_eq!(listing.next().await.unwrap(), Some(row()));
            answered.await.unwrap();
            let error = listing.next().await.unwrap_err();
            assert_eq!(
                matches!(error, ClientError::Cut { .. }),
                is_cut,
                "{error:?}"
            );
        }
    }
}
