//! Bare AF_XDP forwarding from the client's side to the real servers' side: the sockets and rings
//! of the director without a look at the packets. What a director can reach at most.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use anyhow::Result;
use director::xsk::{Binding, CopyMode, Frame, Opener, RingSizes, Socket, Umem, Wait};
use libbpf_rs::{Link, MapCore, MapFlags, Object};

use crate::bpf::{self, Source};
use crate::floor;
use crate::generator::Pass;
use crate::namespace::Namespace;
use crate::packet::Mac;
use crate::topology::{CLIENT_SIDE, REAL_SIDE};

const FRAMES: u32 = 16_384;
const RING: u32 = 4096;
const BATCH: usize = 64;
const SLEEP_MS: i32 = 10;

/// A running forwarder; ends when dropped.
pub struct L2Forward {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
    _link: Link,
    _pass: Pass,
    _object: Object,
}

impl L2Forward {
    /// In the namespace of the director, pinned to `cpu`.
    ///
    /// # Errors
    /// When a socket cannot be bound.
    pub fn start(director: &Namespace, cpu: usize) -> Result<Self> {
        let object = bpf::load(Source::L2Forward)?;
        let pass = Pass::new(director, REAL_SIDE)?;
        let (forward, link) = director.enter(|| {
            let link = bpf::attach(&object, "to_socket", CLIENT_SIDE)?;
            Ok((Forward::open()?, link))
        })?;
        let socket = forward.from.as_fd().as_raw_fd() as u32;
        bpf::map(&object, "sockets")?.update(
            &0u32.to_ne_bytes(),
            &socket.to_ne_bytes(),
            MapFlags::ANY,
        )?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = director.spawn(move || {
            floor::pin_to_cpu(cpu)?;
            forward.run(&stopped)
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
            _link: link,
            _pass: pass,
            _object: object,
        })
    }
}

impl Drop for L2Forward {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Two sockets on one UMEM.
struct Forward {
    umem: Umem,
    free: Vec<Frame>,
    from: Socket,
    to: Socket,
}

impl Forward {
    fn open() -> Result<Self> {
        let (umem, free) = Umem::new(FRAMES)?;
        let binding = |interface| -> Result<Binding> {
            Ok(Binding {
                ifindex: floor::interface_index(interface)?,
                queue: 0,
                mode: CopyMode::Copy,
            })
        };
        let sizes = RingSizes {
            receive: RING,
            transmit: RING,
        };
        let mut opener = Opener::new(&umem);
        let from = opener.open(binding(CLIENT_SIDE)?, sizes)?;
        let to = opener.open(binding(REAL_SIDE)?, sizes)?;
        Ok(Self {
            umem,
            free,
            from,
            to,
        })
    }

    fn run(mut self, stop: &AtomicBool) -> Result<()> {
        let macs = [Mac::of_host(2, 1).0, Mac::of_host(2, 0xfe).0].concat();
        let mut packets = Vec::with_capacity(RING as usize);
        self.from.refill(RING as usize, &mut self.free);
        let mut wait = Wait::on([self.from.as_fd()]);
        while !stop.load(Relaxed) {
            let received = self.from.receive(BATCH, &mut packets);
            for frame in packets.iter_mut().rev().take(received) {
                self.umem.packet_mut(frame)[..12].copy_from_slice(&macs);
            }
            self.to.send(&mut packets);
            self.to.kick_tx()?;
            self.to.complete(&mut self.free);
            self.from.refill(RING as usize, &mut self.free);
            if received == 0 {
                self.from.kick_rx();
                wait.sleep(None, SLEEP_MS)?;
            }
        }
        Ok(())
    }
}
