//! What clients do: fetch, download, keep a connection open, send datagrams.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::namespace::Namespace;
use crate::topology::{CLIENT_V4, CLIENT_V6};
use crate::wait;

/// As long as a few SYNs that are lost one after the other.
const PATIENCE: Duration = Duration::from_secs(30);

/// The second SYN comes a second after the first (RFC 6298 §2.1), the third two seconds later.
const TWO_SYNS: Duration = Duration::from_secs(2);

/// Nobody sends a datagram again.
const ECHO: Duration = Duration::from_secs(10);

/// How often each real server answered.
pub type Tally = BTreeMap<String, u64>;

/// A client's HTTP connection, kept alive.
#[derive(Debug)]
pub struct HttpConnection {
    stream: TcpStream,
}

impl HttpConnection {
    /// Connects from `client`.
    ///
    /// # Errors
    /// When nobody accepts in time.
    pub fn open(client: &Namespace, server: SocketAddr) -> Result<Self> {
        client.enter(|| Self::open_here(server))
    }

    /// Connects from the namespace of the calling thread.
    ///
    /// # Errors
    /// When nobody accepts in time.
    pub fn open_here(server: SocketAddr) -> Result<Self> {
        Self::open_within(PATIENCE, server)
    }

    /// The same by a client who waits for so long, for each answer too.
    ///
    /// # Errors
    /// When nobody accepts in time.
    pub fn open_within(patience: Duration, server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&server, patience)
            .with_context(|| format!("cannot connect to {server}"))?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// The client's address of this connection.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn client(&self) -> Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    /// The sequence number that the client sends next, and the one that it expects.
    ///
    /// # Errors
    /// When the connection is gone, or not by root.
    pub fn numbers(&self) -> Result<(u32, u32)> {
        Ok(crate::floor::tcp_numbers(&self.stream)?)
    }

    /// Asks for `/`, without waiting for the answer.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_request(&mut self) -> Result<()> {
        let request = b"GET / HTTP/1.1\r\nhost: vip\r\n\r\n";
        Ok(self.stream.write_all(request)?)
    }

    /// The body of `/` without its line end: the name of the real server.
    ///
    /// # Errors
    /// When the connection breaks or the answer is not 200.
    pub fn ask_name(&mut self) -> Result<String> {
        self.send_request()?;
        let mut answer = Vec::new();
        loop {
            let mut buffer = [0u8; 2048];
            match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => bail!("the server closed the connection"),
                length => answer.extend_from_slice(&buffer[..length?]),
            }
            if let Some(body) = whole_body(&String::from_utf8_lossy(&answer))? {
                return Ok(body);
            }
        }
    }
}

/// The body, if all of it is here.
fn whole_body(answer: &str) -> Result<Option<String>> {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Ok(None);
    };
    if !head.starts_with("HTTP/1.1 200") {
        bail!("not 200: {head}");
    }
    let length: usize = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse()
                .ok()
        })
        .context("no content-length")?;
    Ok((body.len() >= length).then(|| body.trim_end().to_owned()))
}

/// Asks `/` on `count` new connections, one after the other.
///
/// # Errors
/// At the first that fails.
pub fn fetch_names(client: &Namespace, server: SocketAddr, count: usize) -> Result<Vec<String>> {
    client.enter(|| {
        (0..count)
            .map(|_| HttpConnection::open_here(server)?.ask_name())
            .collect()
    })
}

/// Whether somebody accepts a connection while its SYN is sent twice.
pub fn is_served(client: &Namespace, server: SocketAddr) -> bool {
    let opened = client.enter(|| HttpConnection::open_within(TWO_SYNS, server));
    opened.is_ok()
}

/// How often each name stands in `names`.
pub fn tally(names: impl IntoIterator<Item = String>) -> Tally {
    names.into_iter().fold(Tally::new(), |mut tally, name| {
        *tally.entry(name).or_default() += 1;
        tally
    })
}

/// Downloads `path` with curl; gives the SHA-256 of what came, in hexadecimal.
///
/// # Errors
/// When curl fails or takes more than three minutes.
pub fn download_sha256(client: &Namespace, server: SocketAddr, path: &str) -> Result<String> {
    let pipeline = format!(
        "set -o pipefail; curl -gsS --fail --max-time 180 http://{server}{path} | sha256sum"
    );
    let output = client.run("bash", &["-c", &pipeline])?;
    first_word(&output)
}

/// Begins to download `path` with curl, 15 MB a second; gives the SHA-256 of what came, as sha256sum
/// prints it.
///
/// # Errors
/// When there is no such namespace.
pub fn download_slowly(
    client: &Namespace,
    server: SocketAddr,
    path: &str,
) -> Result<JoinHandle<Result<String>>> {
    let pipeline = format!(
        "set -o pipefail; \
         curl -gsS --fail --max-time 180 --limit-rate 15M http://{server}{path} | sha256sum"
    );
    client.spawn(move || {
        let output = Command::new("bash").args(["-c", &pipeline]).output()?;
        if !output.status.success() {
            bail!("{output:?}");
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    })
}

/// Posts the file at `body` to `/upload` with curl.
///
/// # Errors
/// When curl fails or takes more than three minutes.
pub fn upload(client: &Namespace, server: SocketAddr, body: &Path) -> Result<()> {
    let (url, body) = (
        format!("http://{server}/upload"),
        format!("@{}", body.display()),
    );
    let options = ["-gsS", "--fail", "--max-time", "180", "--data-binary"];
    let arguments = [&options[..], &[&body, &url]].concat();
    client.run("curl", &arguments).map(drop)
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// When sha256sum fails.
pub fn file_sha256(path: &Path) -> Result<String> {
    first_word(&crate::process::output(
        Command::new("sha256sum").arg(path),
    )?)
}

fn first_word(text: &str) -> Result<String> {
    Ok(text
        .split_whitespace()
        .next()
        .context("sha256sum said nothing")?
        .to_owned())
}

/// A client's UDP socket, connected to a server.
#[derive(Debug)]
pub struct UdpClient {
    socket: UdpSocket,
}

impl UdpClient {
    /// A socket in `client` on a port that the kernel picks.
    ///
    /// # Errors
    /// What bind and connect say.
    pub fn open(client: &Namespace, server: SocketAddr) -> Result<Self> {
        let source: IpAddr = match server {
            SocketAddr::V4(_) => CLIENT_V4.into(),
            SocketAddr::V6(_) => CLIENT_V6.into(),
        };
        let socket = client.enter(|| Ok(UdpSocket::bind((source, 0))?))?;
        // A connected socket takes answers of this address alone: an answer that was not
        // translated back is never seen.
        socket.connect(server)?;
        socket.set_read_timeout(Some(ECHO))?;
        Ok(Self { socket })
    }

    /// The socket itself.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Sends `message`; the name of the real server that echoed it.
    ///
    /// # Errors
    /// When no answer comes, or another one than the echo.
    pub fn echo(&self, message: &[u8]) -> Result<String> {
        self.socket.send(message)?;
        let mut buffer = vec![0u8; 65_536];
        let length = loop {
            match self.socket.recv(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.context("no echo")?,
            }
        };
        let colon = buffer[..length]
            .iter()
            .position(|&b| b == b':')
            .context("not an echo")?;
        if &buffer[colon + 1..length] != message {
            bail!("the echo differs from what was sent");
        }
        Ok(String::from_utf8_lossy(&buffer[..colon]).into_owned())
    }

    /// The same on a link that others fill, where a datagram may be lost: sends it again.
    ///
    /// # Errors
    /// When no answer comes to any of them.
    pub fn echo_again(&self, message: &[u8]) -> Result<String> {
        wait::until("an echo", PATIENCE, || self.echo(message))
    }
}

#[cfg(test)]
mod tests {
    use super::{tally, whole_body};

    #[test]
    fn a_body_is_whole_when_all_of_its_length_is_here() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(whole_body("HTTP/1.1 200 OK\r\nCont").unwrap(), None);
        assert_eq!(whole_body(&format!("{head}rs1")).unwrap(), None);
        assert_eq!(
            whole_body(&format!("{head}rs1\n")).unwrap(),
            Some("rs1".to_owned())
        );
        assert!(whole_body("HTTP/1.1 502 Bad Gateway\r\n\r\n").is_err());
    }

    #[test]
    fn a_tally_counts_each_name() {
        let tally = tally(["rs1", "rs2", "rs1"].map(str::to_owned));
        assert_eq!((tally["rs1"], tally["rs2"]), (2, 1));
    }
}
