//! Requests to the API over TCP, as raw as they come: whoever has asked takes as much of the answer as
//! he likes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};
use testbed::certificates::Files;

/// For the busy machine: reads come one after the other.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that the kernel takes for a client who is about to read nothing: no less than a record of TLS, so that
/// an answer has begun even when it has been given up since. For one who reads.
pub(crate) const LITTLE: usize = 32 << 10;
pub(crate) const MUCH: usize = 1 << 20;

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// How the door is spoken to.
pub(crate) enum Way {
    Plain,
    Tls(Arc<ClientConfig>),
}

impl Way {
    /// TLS, with a director that has these files.
    pub(crate) fn tls(files: &Files) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&files.authority)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::Tls(Arc::new(config)))
    }
}

/// An answer, of which nothing has been taken yet.
pub(crate) struct Asked(Box<dyn Stream>);

impl Asked {
    /// Asks for `path` with a token, from the namespace of the calling thread, whose kernel takes as
    /// much as `room` of the answer.
    pub(crate) fn of(
        door: SocketAddr,
        way: &Way,
        (token, room): (&str, usize),
        path: &str,
    ) -> Result<Self> {
        let socket = Socket::new(Domain::for_address(door), Type::STREAM, None)?;
        socket.set_recv_buffer_size(room)?;
        socket.connect(&door.into())?;
        let tcp = TcpStream::from(socket);
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let mut stream: Box<dyn Stream> = match way {
            Way::Plain => Box::new(tcp),
            Way::Tls(config) => {
                let name = ServerName::from(door.ip());
                let tls = ClientConnection::new(Arc::clone(config), name)?;
                Box::new(StreamOwned::new(tls, tcp))
            }
        };
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Accept: text/event-stream, */*\r\nConnection: close\r\n\r\n"
        )?;
        stream.flush()?;
        Ok(Self(stream))
    }

    /// Waits until the answer begins, and takes no more of it than its status.
    pub(crate) fn begin(&mut self) -> Result<()> {
        let mut status = [0; 12];
        self.0.read_exact(&mut status).context("no answer")?;
        let status = String::from_utf8_lossy(&status);
        ensure!(status == "HTTP/1.1 200", "{status}");
        Ok(())
    }

    /// Takes all of it. Bytes of its body, as it is sent.
    pub(crate) fn whole(mut self) -> Result<usize> {
        self.begin()?;
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest)?;
        let rest = String::from_utf8_lossy(&rest);
        let (head, body) = rest.split_once("\r\n\r\n").context("no body")?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then_some(value)
        });
        match length {
            Some(length) => ensure!(length == body.len().to_string(), "{head}: {}", body.len()),
            None => ensure!(body.ends_with("\r\n0\r\n\r\n"), "{head}: it breaks off"),
        }
        Ok(body.len())
    }
}
