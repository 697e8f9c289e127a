//! Real servers: nginx and a UDP echo, each in the namespace of its host.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::namespace::Namespace;
use crate::process::{Process, Signal};
use crate::topology::RealHost;
use crate::traffic::{download_sha256, fetch_names, file_sha256, tally, upload};
use crate::wait;

/// The port on which nginx listens.
pub const HTTP_PORT: u16 = 80;
/// A second one, for services whose port is not the real server's.
pub const OTHER_HTTP_PORT: u16 = 8080;
/// The port of the UDP echo.
pub const ECHO_PORT: u16 = 7;
/// Size of `/big`, bytes.
pub const BIG_SIZE: u64 = 100 << 20;

const PATIENCE: Duration = Duration::from_secs(30);

/// What nginx says about its past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// TCP connections accepted.
    pub connections: u64,
    /// Requests answered.
    pub requests: u64,
}

/// An nginx that answers `/` with the name of its host and `/big` with 100 MiB, and keeps what
/// is posted to `/upload`.
#[derive(Debug)]
pub struct Nginx {
    name: String,
    process: Process,
    directory: TempDir,
    /// Our own questions, which its counters include.
    asked: AtomicU64,
}

impl Nginx {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When nginx is missing or does not come up; its error log is in the message.
    pub fn start(host: &RealHost) -> Result<Self> {
        Self::start_in(&host.namespace, &host.name)
    }

    /// The same anywhere, under a name of its own.
    ///
    /// # Errors
    /// As [`Nginx::start`].
    pub fn start_in(namespace: &Namespace, name: &str) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("bulwark-nginx-")
            .tempdir()?;
        let path = directory.path();
        fs::write(path.join("nginx.conf"), configuration(name, path))?;
        std::os::unix::fs::symlink(big_file()?, path.join("big"))?;
        make_world_readable(path)?;
        let mut command = namespace.command("nginx");
        command
            .arg("-p")
            .arg(path)
            .args(["-c", "nginx.conf", "-e", "error.log"]);
        command.stderr(fs::File::create(path.join("stderr.log"))?);
        let nginx = Self {
            name: name.to_owned(),
            process: Process::spawn(&mut command)?,
            directory,
            asked: AtomicU64::new(0),
        };
        wait::until("nginx to answer", PATIENCE, || nginx.served()).with_context(|| nginx.log())?;
        Ok(nginx)
    }

    /// The name of its host, which is its answer to `/`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connections and requests so far.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn served(&self) -> Result<Served> {
        let mut stream = UnixStream::connect(self.directory.path().join("status.sock"))?;
        let own = self.asked.fetch_add(1, Relaxed) + 1;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (accepted, requests) = parse_status(&text).context("not a stub_status page")?;
        Ok(Served {
            connections: accepted.saturating_sub(own),
            requests: requests.saturating_sub(own),
        })
    }

    /// The SHA-256 of each body posted to `/upload` since the last call.
    ///
    /// # Errors
    /// When sha256sum fails.
    pub fn take_uploads(&self) -> Result<Vec<String>> {
        let mut sums = Vec::new();
        for entry in fs::read_dir(self.directory.path().join("body"))? {
            let body = entry?.path();
            sums.push(file_sha256(&body)?);
            fs::remove_file(body)?;
        }
        Ok(sums)
    }

    /// Kills it without a word.
    ///
    /// # Errors
    /// When it is dead already.
    pub fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::Kill)?;
        self.process.wait(PATIENCE).map(drop)
    }

    fn log(&self) -> String {
        ["stderr.log", "error.log"]
            .map(|name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default())
            .concat()
    }
}

/// The accepted connections and requests of a `stub_status` page:
///
/// ```text
/// Active connections: 1
/// server accepts handled requests
///  7 7 9
/// ```
fn parse_status(page: &str) -> Option<(u64, u64)> {
    let mut lines = page
        .lines()
        .skip_while(|line| !line.starts_with("server accepts"));
    let mut numbers = lines.nth(1)?.split_whitespace().map(str::parse);
    let accepted = numbers.next()?.ok()?;
    let requests = numbers.nth(1)?.ok()?;
    Some((accepted, requests))
}

fn configuration(name: &str, directory: &std::path::Path) -> String {
    let directory = directory.display();
    let listen: String = [HTTP_PORT, OTHER_HTTP_PORT]
        .iter()
        .map(|port| {
            format!("    listen 0.0.0.0:{port} backlog=4096;\n    listen [::]:{port} ipv6only=on backlog=4096;\n")
        })
        .collect();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nworker_rlimit_nofile 16384;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000;\n  sendfile on;\n\
         \x20 client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n\
         \x20 uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
         \x20 server {{\n{listen}    default_type text/plain;\n    root {directory};\n\
         \x20   location = / {{ return 200 \"{name}\\n\"; }}\n    location = /big {{ }}\n\
         \x20   location = /upload {{\n      client_max_body_size 16m;\n      client_body_in_file_only on;\n\
         \x20     proxy_pass_request_body off;\n      proxy_set_header Content-Length \"\";\n\
         \x20     proxy_pass http://unix:{directory}/status.sock:/kept;\n    }}\n  }}\n\
         \x20 server {{\n    listen unix:{directory}/status.sock;\n    location / {{ stub_status; }}\n\
         \x20   location = /kept {{ return 204; }}\n  }}\n}}\n"
    )
}

/// nginx may drop to a user that has to enter the directory.
fn make_world_readable(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(
        path,
        fs::Permissions::from_mode(0o755),
    )?)
}

/// Has a client served by each of `web` as often as by the others, get the big file and send `body`,
/// both whole.
///
/// # Errors
/// When it is not.
pub fn serve_alike(
    web: &[Nginx],
    client: &Namespace,
    server: SocketAddr,
    body: &Path,
) -> Result<()> {
    let names = tally(fetch_names(client, server, 3 * web.len())?);
    let alike = names.len() == web.len() && names.values().all(|&times| times == 3);
    ensure!(alike, "{server}: {names:?}");
    let came = download_sha256(client, server, "/big")?;
    ensure!(came == file_sha256(&big_file()?)?, "{server}");
    upload(client, server, body)?;
    let uploads: Result<Vec<_>> = web.iter().map(Nginx::take_uploads).collect();
    ensure!(uploads?.concat() == [file_sha256(body)?], "{server}");
    Ok(())
}

/// The content of `/big`: made once a machine, from a fixed seed, and shared by all servers.
///
/// # Errors
/// When the temporary directory is full.
pub fn big_file() -> Result<PathBuf> {
    let path = std::env::temp_dir().join("bulwark-testbed-100m");
    if fs::metadata(&path).is_ok_and(|data| data.len() == BIG_SIZE) {
        return Ok(path);
    }
    let mut file = tempfile::NamedTempFile::new()?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = vec![0u8; 1 << 20];
    for _ in 0..BIG_SIZE >> 20 {
        for word in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block)?;
    }
    make_world_readable(file.path())?;
    file.persist(&path)?;
    Ok(path)
}

/// A UDP server that answers each datagram with `NAME:` and what it said.
#[derive(Debug)]
pub struct UdpEcho {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl UdpEcho {
    /// Starts it on [`ECHO_PORT`] of both families.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(host: &RealHost) -> Result<Self> {
        Self::start_at(host, [host.v4.into(), host.v6.into()])
    }

    /// As [`UdpEcho::start`], on other addresses of the host: VIPs on its loopback.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start_at(host: &RealHost, addresses: [IpAddr; 2]) -> Result<Self> {
        Self::start_in(&host.namespace, &host.name, addresses)
    }

    /// The same anywhere, under a name of its own.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start_in(namespace: &Namespace, name: &str, addresses: [IpAddr; 2]) -> Result<Self> {
        let mut echo = Self {
            stop: Arc::default(),
            answered: Arc::default(),
            threads: Vec::new(),
        };
        for address in addresses {
            let address = SocketAddr::new(address, ECHO_PORT);
            let socket = namespace.enter(|| Ok(UdpSocket::bind(address)?))?;
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            let prefix = format!("{name}:").into_bytes();
            let (stop, answered) = (Arc::clone(&echo.stop), Arc::clone(&echo.answered));
            let work = move || answer(&socket, &prefix, &stop, &answered);
            echo.threads.push(std::thread::spawn(work));
        }
        Ok(echo)
    }

    /// Datagrams answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }
}

fn answer(socket: &UdpSocket, prefix: &[u8], stop: &AtomicBool, count: &AtomicU64) -> Result<()> {
    let mut buffer = vec![0u8; 65_536];
    while !stop.load(Relaxed) {
        // A read that times out and an ICMP error about an earlier answer are both no datagram.
        let Ok((length, client)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let answer = [prefix, &buffer[..length]].concat();
        // Before it leaves: who has the answer finds it counted.
        count.fetch_add(1, Relaxed);
        if socket.send_to(&answer, client).is_err() {
            count.fetch_sub(1, Relaxed);
        }
    }
    Ok(())
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_status;

    #[test]
    fn a_status_page_gives_accepted_connections_and_requests() {
        let page = "HTTP/1.1 200 OK\r\n\r\nActive connections: 1 \nserver accepts handled requests\n 7 7 9 \nReading: 0 Writing: 1 Waiting: 0 \n";
        assert_eq!(parse_status(page), Some((7, 9)));
        assert_eq!(parse_status("HTTP/1.1 404 Not Found\r\n\r\n"), None);
    }
}
