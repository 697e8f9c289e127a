//! The web servers of the captures: the answer to any request is the server's name.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use crate::namespace::Namespace;

const PATIENCE: Duration = Duration::from_secs(5);
const NAP: Duration = Duration::from_millis(2);

/// Listens on one port of a namespace, all addresses; ends when dropped.
#[derive(Debug)]
pub struct Http {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Http {
    /// Starts it.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, port: u16, name: &str) -> Result<Self> {
        let listener = namespace.enter(|| Ok(TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?))?;
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, body) = (Arc::clone(&stop), format!("{name}\n"));
        let thread = thread::spawn(move || {
            while !stopped.load(Relaxed) {
                match listener.accept() {
                    // A client that goes away early is no concern of the server's.
                    Ok((stream, _)) => drop(answer(&stream, &body)),
                    Err(_) => thread::sleep(NAP),
                }
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

/// Reads one request and answers it; the server closes first.
fn answer(mut stream: &TcpStream, body: &str) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = BufReader::new(stream).lines();
    while request
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let length = body.len();
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes())?;
    Ok(())
}

impl Drop for Http {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
