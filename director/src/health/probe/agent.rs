//! The agent of a real server: one line over TCP says how much it can bear.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adminapi::model::AgentCheck;
use tokio::io::AsyncReadExt;

use super::{Failure, Switchboard, Target, in_time, shown};

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
    ) -> Result<String, Failure> {
        in_time(timeout, self.listen(lines)).await
    }

    async fn listen(&self, lines: &Arc<Switchboard>) -> Result<String, Failure> {
        let mut stream = lines.listen_to(self.at).await?;
        let mut heard = Vec::with_capacity(LONGEST);
        while !heard.contains(&b'\n') && heard.len() < LONGEST {
            if stream.read_buf(&mut heard).await? == 0 {
                break;
            }
        }
        Ok(shown(&heard))
    }
}
