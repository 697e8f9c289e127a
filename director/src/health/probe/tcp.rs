//! A TCP connection, and a few words over it if the check has some.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::{Check, Octets};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{LONGEST_ANSWER, Verdict, contains, failed, shown};
use crate::health::Words;

/// A TCP check.
#[derive(Debug)]
pub(in crate::health) struct Tcp {
    to: SocketAddr,
    send: Option<Octets>,
    expect: Option<Octets>,
}

/// A new connection to `to`, for one who waits for the other end to speak.
pub(super) async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    socket(to)?.connect(to).await
}

/// A new connection to `to`, for one who speaks first: what is sent acknowledges the SYN+ACK, too. Given
/// up before, it is three packets (SYN, SYN+ACK, RST), of which the program behind the port never
/// hears. No less is known by it: the connection counts as made when the SYN+ACK has come, and a
/// port whose program accepts no more sends none.
pub(super) async fn call(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(to)?;
    SockRef::from(&socket).set_tcp_quickack(false)?;
    socket.connect(to).await
}

/// A socket whose connection is given up by a reset, so that neither end has to remember it.
fn socket(to: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    Ok(socket)
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
        let mut stream = match (&self.send, &self.expect) {
            (None, Some(_)) => connect(self.to).await?,
            _ => call(self.to).await?,
        };
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
