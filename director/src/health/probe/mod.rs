//! Asking a real server whether it does its work: one kind of check a file.
//!
//! A probe is made once and asked again and again; nothing of one question is used for the next, so
//! that a server that takes no new connections is found out.

mod agent;
mod exec;
mod grpc;
mod http;
mod switchboard;
mod tcp;
mod tls;
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use adminapi::model::{AgentCheck, Check, CheckKind, ServiceId};

use super::Words;

pub(super) use agent::Agent;
pub use switchboard::Switchboard;

/// What a probe says: of success or of failure.
pub(super) type Verdict = Result<Words, Failure>;

/// Why a question brought no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The real server has failed.
    Theirs(Words),
    /// This host lacks what asking takes, which says nothing of the real server.
    Ours(Words),
}

impl From<Words> for Failure {
    fn from(words: Words) -> Self {
        Self::Theirs(words)
    }
}

impl From<String> for Failure {
    fn from(words: String) -> Self {
        Self::Theirs(words.into())
    }
}

impl From<&'static str> for Failure {
    fn from(words: &'static str) -> Self {
        Self::Theirs(words.into())
    }
}

/// What is not there when a system call fails for want of it: descriptors, memory, processes, ports.
const LACKS: [i32; 6] = [
    libc::EMFILE,
    libc::ENFILE,
    libc::ENOMEM,
    libc::ENOBUFS,
    libc::EAGAIN,
    libc::EADDRNOTAVAIL,
];

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        let is_lack = |number| LACKS.contains(&number);
        match error.raw_os_error().is_some_and(is_lack) {
            true => Self::Ours(error.to_string().into()),
            false => Self::Theirs(in_words(error)),
        }
    }
}

/// The most that is read of an answer, bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// Whom a probe is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The service.
    pub service: ServiceId,
    /// RIP and port; port 0 when a real server takes all.
    pub real: SocketAddr,
}

impl Target {
    /// Where a check of it goes.
    fn place(&self, check: &Check) -> SocketAddr {
        let port = check.port.unwrap_or(self.real.port());
        self.at(check.address, port)
    }

    /// Where its agent is.
    fn agent(&self, agent: &AgentCheck) -> SocketAddr {
        self.at(agent.address, agent.port)
    }

    fn at(&self, address: Option<IpAddr>, port: u16) -> SocketAddr {
        SocketAddr::new(address.unwrap_or(self.real.ip()), port)
    }
}

/// A question that can be asked.
#[derive(Debug)]
pub(super) enum Probe {
    Tcp(tcp::Tcp),
    Http(Box<http::Http>),
    Udp(udp::Udp),
    Grpc(Box<grpc::Grpc>),
    Exec(exec::Exec),
    /// It cannot be asked, for this reason.
    Impossible(Words),
}

impl Probe {
    /// The question that `check` asks `target`; none if it asks nothing.
    pub(super) fn of(check: &Check, target: &Target) -> Option<Self> {
        let place = target.place(check);
        let made = match check.kind {
            CheckKind::None => return None,
            CheckKind::Tcp => Ok(Self::Tcp(tcp::Tcp::new(check, place))),
            CheckKind::Http | CheckKind::Https => {
                http::Http::new(check, place).map(|http| Self::Http(Box::new(http)))
            }
            CheckKind::Udp => Ok(Self::Udp(udp::Udp::new(check, place))),
            CheckKind::Grpc | CheckKind::Grpcs => {
                grpc::Grpc::new(check, place).map(|grpc| Self::Grpc(Box::new(grpc)))
            }
            CheckKind::Exec => Ok(Self::Exec(exec::Exec::new(check, target))),
        };
        Some(made.unwrap_or_else(Self::Impossible))
    }

    /// Asks over `lines`, for `timeout` at most. What takes much room in memory has it elsewhere: the
    /// future of each question is moved with all that it may ever be.
    pub(super) async fn ask(&self, lines: &Arc<Switchboard>, timeout: Duration) -> Verdict {
        let answer = async {
            match self {
                Self::Tcp(tcp) => tcp.ask(lines).await,
                Self::Http(http) => http.ask(lines).await,
                Self::Udp(udp) => udp.ask().await,
                Self::Grpc(grpc) => Box::pin(grpc.ask(lines)).await,
                Self::Exec(exec) => Box::pin(exec.ask()).await,
                Self::Impossible(why) => Err(why.clone().into()),
            }
        };
        in_time(timeout, answer).await
    }
}

/// `answer`, unless it takes longer than `timeout`.
async fn in_time<T>(
    timeout: Duration,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer in {} ms", timeout.as_millis()).into()),
    }
}

/// What went wrong, in a few words.
fn in_words(error: &io::Error) -> Words {
    Words::Borrowed(match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::HostUnreachable => "host unreachable",
        io::ErrorKind::NetworkUnreachable => "network unreachable",
        io::ErrorKind::TimedOut => "timed out",
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "connection closed",
        _ => return error.to_string().into(),
    })
}

/// Whether `needle` stands somewhere in `text`.
fn contains(text: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || text.windows(needle.len()).any(|part| part == needle)
}

/// The first line of what somebody says, short enough to be shown.
fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 80;
    let line = text.split(|byte| *byte == b'\n' || *byte == b'\r').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    let graphic = line.chars().filter(|c| !c.is_control());
    graphic.take(LONGEST).collect()
}

#[cfg(test)]
mod tests;
