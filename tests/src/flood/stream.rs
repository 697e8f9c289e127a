//! A download that began before the flood and is read at a steady rate: what it loses is lost to
//! the flood, not to who else wants the core.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::namespace::Namespace;
use crate::servers::BIG_SIZE;
use crate::wait;

const REQUEST: &[u8] = b"GET /big HTTP/1.1\r\nhost: vip\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(30);

/// A download under way; it ends with its connection, or with this.
pub(crate) struct Stream {
    progress: Arc<Progress>,
    socket: TcpStream,
}

/// How far it has come.
#[derive(Default)]
struct Progress {
    /// Bytes.
    received: AtomicU64,
    /// The longest that nothing was there to be read, in microseconds.
    longest: AtomicU64,
}

impl Stream {
    /// Connects, asks for as much as `rate` bytes a second need for `length`, and waits for the first.
    pub(crate) fn open(
        client: &Namespace,
        server: SocketAddr,
        rate: u64,
        length: Duration,
    ) -> Result<Self> {
        let mut socket = client.enter(|| Ok(TcpStream::connect_timeout(&server, PATIENCE)?))?;
        let files = rate * length.as_secs() / BIG_SIZE + 2;
        for _ in 0..files {
            socket.write_all(REQUEST)?;
        }
        let progress = Arc::new(Progress::default());
        let (mut reader, shared) = (socket.try_clone()?, progress.clone());
        std::thread::spawn(move || read_at(&mut reader, rate, &shared));
        let stream = Self { progress, socket };
        wait::until("the download to begin", PATIENCE, || {
            ensure!(stream.received() > 0);
            Ok(())
        })?;
        Ok(stream)
    }

    /// Bytes so far.
    pub(crate) fn received(&self) -> u64 {
        self.progress.received.load(Relaxed)
    }

    /// The longest wait for more since this was asked for the last time.
    pub(crate) fn longest_pause(&self) -> Duration {
        Duration::from_micros(self.progress.longest.swap(0, Relaxed))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

/// Reads until the end; never faster than `rate`, and what a stall has cost is not caught up.
fn read_at(reader: &mut impl Read, rate: u64, progress: &Progress) {
    let mut buffer = vec![0u8; 1 << 16];
    let mut due = Instant::now();
    let mut asked = Instant::now();
    while let Ok(length @ 1..) = reader.read(&mut buffer) {
        let waited = asked.elapsed().as_micros() as u64;
        progress.longest.fetch_max(waited, Relaxed);
        progress.received.fetch_add(length as u64, Relaxed);
        let worth = Duration::from_secs_f64(length as f64 / rate as f64);
        due = due.max(Instant::now()) + worth;
        sleep(due.saturating_duration_since(Instant::now()));
        asked = Instant::now();
    }
}
