//! A director without traffic, and its API as raw as it comes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::director::{Configuration, Director};
use testbed::topology::Topology;

/// How long an answer may take: less than the half minute that the API waits for who is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(25);

/// A director with one real server that nobody listens on.
pub(crate) struct Bed {
    pub(crate) director: Director,
    pub(crate) topology: Topology,
}

impl Bed {
    pub(crate) fn start(shape: impl FnOnce(Configuration) -> Configuration) -> Result<Self> {
        let topology = Topology::with_one_real()?;
        let configuration = shape(Configuration::new(topology.interfaces()));
        let director = Director::start(&topology.director, &configuration)?;
        Ok(Self { director, topology })
    }

    /// A connection to the API.
    pub(crate) fn connect(&self) -> Result<UnixStream> {
        let stream = UnixStream::connect(self.director.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// What the API says to some bytes, until it closes the connection.
    pub(crate) fn say(&self, bytes: &[u8]) -> Result<String> {
        let mut stream = self.connect()?;
        // The API may have answered and closed before all of it was sent.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        match read {
            Err(error) if answer.is_empty() => Err(error).context("no answer"),
            _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
        }
    }

    /// The body of what a GET answers.
    pub(crate) fn get(&self, path: &str) -> Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = self.say(request.as_bytes())?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        Ok(body.to_owned())
    }
}
