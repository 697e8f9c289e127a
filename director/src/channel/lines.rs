//! Messages on a stream: a line of JSON each, of bounded length.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest line: a thousand services with all their endpoints fit.
const LONGEST: u64 = 4 << 20;

/// The next message; none at the end of the stream.
pub(crate) async fn receive<T: DeserializeOwned>(
    stream: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<Option<T>> {
    let line = receive_line(stream).await?;
    let message = line.map(|line| serde_json::from_str(&line));
    Ok(message.transpose()?)
}

/// The same, as it came.
pub(crate) async fn receive_line(
    stream: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.take(LONGEST).read_line(&mut line).await?;
    match (read, line.ends_with('\n')) {
        (0, _) => Ok(None),
        (_, false) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a message without an end",
        )),
        _ => Ok(Some(line)),
    }
}

/// Says something.
pub(crate) async fn send<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_is_received_and_what_is_cut_off_is_not() {
        let mut bytes = Vec::new();
        for word in ["one", "two"] {
            send(&mut bytes, &word).await.unwrap();
        }
        bytes.extend(b"\"thr");
        let mut stream = &bytes[..];
        for word in ["one", "two"] {
            let received: Option<String> = receive(&mut stream).await.unwrap();
            assert_eq!(received.as_deref(), Some(word));
        }
        assert!(receive::<String>(&mut stream).await.is_err());
        assert!(receive::<String>(&mut stream).await.unwrap().is_none());
    }
}
