//! The agent of a real server: one line over TCP says how much it can bear.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adminapi::model::AgentCheck;
use tokio::io::AsyncReadExt;

use super::{Failure, Switchboard, Target, in_time};
use crate::health::report::is_between_words;

/// No more of a line is read, bytes.
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
        while end_of_line(&heard).is_none() {
            if heard.len() >= LONGEST {
                return Ok(text(whole_words(&heard)));
            }
            if stream.read_buf(&mut heard).await? == 0 {
                break;
            }
        }
        let end = end_of_line(&heard).unwrap_or(heard.len());
        Ok(text(&heard[..end]))
    }
}

fn end_of_line(heard: &[u8]) -> Option<usize> {
    heard.iter().position(|byte| matches!(byte, b'\n' | b'\r'))
}

/// What was heard but the last word, which may go on: `10` could be `100%`.
fn whole_words(heard: &[u8]) -> &[u8] {
    let between = |byte: &u8| is_between_words(char::from(*byte));
    let end = heard.iter().rposition(between);
    &heard[..end.unwrap_or_default()]
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}
