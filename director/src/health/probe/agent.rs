//! The agent of a real server: one line over TCP says how much it can bear.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adminapi::model::AgentCheck;
use tokio::io::AsyncReadExt;

use super::{Switchboard, Target, failed, in_time, shown};
use crate::health::Words;

/// No line is longer.
const LONGEST: usize = 512;

/// An agent that can be asked.
#[derive(Debug)]
pub(in crate::health) struct Agent {
    at: SocketAddr,
}

impl Agent {
    pub(in crate::health) fn new(agent: &AgentCheck, target: &Target) -> Self {
        Self {
            at: target.agent(agent),
        }
    }

    /// Its line, or why there is none.
    pub(in crate::health) async fn ask(
        &self,
        lines: &Arc<Switchboard>,
        timeout: Duration,
    ) -> Result<String, Words> {
        in_time(timeout, self.listen(lines)).await
    }

    async fn listen(&self, lines: &Arc<Switchboard>) -> Result<String, Words> {
        let stream = lines.listen_to(self.at).await;
        let mut stream = stream.map_err(|error| failed(&error))?;
        let mut heard = Vec::with_capacity(LONGEST);
        while !heard.contains(&b'\n') && heard.len() < LONGEST {
            match stream.read_buf(&mut heard).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(shown(&heard))
    }
}
