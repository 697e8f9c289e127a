//! A TCP connection, and a few words over it if the check has some.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::{Check, Octets};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{LONGEST_ANSWER, Verdict, contains, failed, shown};
use crate::health::Words;

/// A TCP check.
#[derive(Debug)]
pub(in crate::health) struct Tcp {
    to: SocketAddr,
    send: Option<Octets>,
    expect: Option<Octets>,
}

/// A new connection to `to`. It is given up by a reset, so that neither end has to remember it.
pub(super) async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

impl Tcp {
    pub(super) fn new(check: &Check, to: SocketAddr) -> Self {
        Self {
            to,
            send: check.send.clone(),
            expect: check.expect.clone(),
        }
    }

    pub(super) async fn ask(&self) -> Verdict {
        match self.talk().await {
            Ok(verdict) => verdict,
            Err(error) => Err(failed(&error)),
        }
    }

    async fn talk(&self) -> io::Result<Verdict> {
        let mut stream = connect(self.to).await?;
        if let Some(Octets(send)) = &self.send {
            stream.write_all(send).await?;
        }
        let Some(Octets(expect)) = &self.expect else {
            return Ok(Ok(Words::Borrowed("connected")));
        };
        let mut heard = Vec::new();
        while !contains(&heard, expect) {
            let read = stream.read_buf(&mut heard).await?;
            if read == 0 || heard.len() > LONGEST_ANSWER {
                return Ok(Err(format!(
                    "answer {:?} is not what was expected",
                    shown(&heard)
                )
                .into()));
            }
        }
        Ok(Ok(Words::Borrowed("answered as expected")))
    }
}
