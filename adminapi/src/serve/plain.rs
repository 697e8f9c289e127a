//! Plain HTTP where TLS is spoken: it is told so in words that it understands.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;

use crate::problem::{MEDIA_TYPE, ProblemDocument, ProblemKind};

/// The most of a request that is read to its end, so that the answer is not lost with it.
const LARGEST: u64 = 64 << 10;

/// Whether what comes first is the method of a request, and not a record of TLS.
pub(super) async fn is_plain(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let read = stream.peek(&mut first).await?;
    Ok(read > 0 && first[0].is_ascii_uppercase())
}

/// Answers that TLS is spoken here.
pub(super) async fn refuse(mut stream: TcpStream) -> io::Error {
    let detail = "this address speaks TLS; ask https:// and not http://";
    let problem = ProblemDocument::new(ProblemKind::TlsRequired, detail);
    match tell(&mut stream, &problem).await {
        Ok(()) => io::Error::other("plain HTTP"),
        Err(error) => error,
    }
}

async fn tell(stream: &mut TcpStream, problem: &ProblemDocument) -> io::Result<()> {
    let body = serde_json::to_string(problem)?;
    let head = format!(
        "HTTP/1.1 {} Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        problem.status,
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await?;
    copy(&mut stream.take(LARGEST), &mut sink()).await?;
    Ok(())
}
