//! A TCP connection, and a few words over it if the check has some.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use adminapi::model::{Check, Octets};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{LONGEST_ANSWER, Switchboard, Verdict, contains, shown};
use crate::health::Words;

/// A TCP check.
#[derive(Debug)]
pub(in crate::health) struct Tcp {
    to: SocketAddr,
    send: Option<Octets>,
    expect: Option<Octets>,
}

impl Tcp {
    pub(super) fn new(check: &Check, to: SocketAddr) -> Self {
        Self {
            to,
            send: check.send.clone(),
            expect: check.expect.clone(),
        }
    }

    pub(super) async fn ask(&self, lines: &Arc<Switchboard>) -> Verdict {
        self.talk(lines).await?
    }

    async fn talk(&self, lines: &Arc<Switchboard>) -> io::Result<Verdict> {
        let mut stream = match (&self.send, &self.expect) {
            (None, Some(_)) => lines.listen_to(self.to).await?,
            _ => lines.call(self.to).await?,
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
