//! Raw frames on an interface of a namespace: sent by hand, and sniffed.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::floor;
use crate::namespace::Namespace;
use crate::packet::Packet;

const SLICE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(15);
const GLANCE: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(1);

/// A packet socket on an interface. It sees what arrives there from the moment it is made.
#[derive(Debug)]
pub struct Tap {
    socket: File,
    interface: String,
}

impl Tap {
    /// Opens it on `interface` of `namespace`.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        Ok(Self {
            socket: namespace.enter(|| Ok(floor::packet_socket(interface, SLICE)?))?,
            interface: interface.to_owned(),
        })
    }

    /// Sends one Ethernet frame.
    ///
    /// # Errors
    /// When it is longer than the MTU, or the interface is down.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match (&self.socket).write_all(frame) {
                // The queue of a busy machine is full for a moment.
                Err(error) if is_full(&error) && Instant::now() < deadline => {
                    std::thread::sleep(MOMENT);
                }
                written => return Ok(written?),
            }
        }
    }

    /// The first IP packet that arrives and that `pick` wants.
    ///
    /// # Errors
    /// When none comes within fifteen seconds; the message lists what came instead.
    pub fn expect(&self, what: &str, pick: impl FnMut(&Packet) -> bool) -> Result<Packet> {
        let mut others = Vec::new();
        match self.find(PATIENCE, &mut others, pick)? {
            Some(packet) => Ok(packet),
            None => bail!("no {what} arrived at {}, but {others:?}", self.interface),
        }
    }

    /// The same of what `ask` asks for, again each second: a busy machine may lose it on the way.
    ///
    /// # Errors
    /// As [`Tap::expect`].
    pub fn expect_answer(
        &self,
        what: &str,
        mut ask: impl FnMut() -> Result<()>,
        mut pick: impl FnMut(&Packet) -> bool,
    ) -> Result<Packet> {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        while Instant::now() < deadline {
            ask()?;
            if let Some(packet) = self.find(GLANCE, &mut others, &mut pick)? {
                return Ok(packet);
            }
        }
        bail!("no {what} arrived at {}, but {others:?}", self.interface)
    }

    fn find(
        &self,
        patience: Duration,
        others: &mut Vec<Packet>,
        mut pick: impl FnMut(&Packet) -> bool,
    ) -> Result<Option<Packet>> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let Some(packet) = self.next_frame()?.as_deref().and_then(Packet::in_frame) else {
                continue;
            };
            if pick(&packet) {
                return Ok(Some(packet));
            }
            others.push(packet);
        }
        Ok(None)
    }

    /// All IP packets that have arrived and that `pick` wants; of an interface that is never silent,
    /// those of a second.
    ///
    /// # Errors
    /// When the interface went away.
    pub fn drain(&self, mut pick: impl FnMut(&Packet) -> bool) -> Result<Vec<Packet>> {
        let deadline = Instant::now() + GLANCE;
        let mut found = Vec::new();
        while let Some(frame) = self.next_frame()? {
            found.extend(Packet::in_frame(&frame).filter(&mut pick));
            if Instant::now() > deadline {
                break;
            }
        }
        Ok(found)
    }

    /// The next frame, or none when nothing arrives for 50 ms.
    ///
    /// # Errors
    /// When the interface went away.
    pub fn next_frame(&self) -> Result<Option<Vec<u8>>> {
        let mut buffer = vec![0u8; 65_536];
        match (&self.socket).read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                Ok(Some(buffer))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            // A read with a time limit is not restarted after a signal (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => self.next_frame(),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}
