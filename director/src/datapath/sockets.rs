//! Which queues have sockets. An interface may get further ones while the workers run (`ethtool -L`):
//! these get sockets then.
//!
//! ```text
//!  missing -> opened, with the worker -> taken by it, with frames -> in the gate's map: served
//! ```

use std::collections::BTreeSet;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use super::DatapathError;
use super::plan::worker_of;
use crate::gate::{Gate, Interface, MAX_QUEUES};
use crate::worker::Inlet;
use crate::xsk::{Binding, CopyMode};

/// How long workers are waited for, which look for sockets ten times a second.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long to wait before the next look at them.
const PAUSE: Duration = Duration::from_millis(10);

/// The queues that have sockets, and the ways to the workers that have these.
#[derive(Debug)]
pub struct Sockets {
    mode: CopyMode,
    ports: Vec<Port>,
    workers: Vec<Inlet>,
}

/// The queues of an interface.
#[derive(Debug, Default)]
struct Port {
    served: BTreeSet<u32>,
    given: Vec<Given>,
}

/// A socket that a worker has got, or is about to, and that nothing is sent to yet.
#[derive(Debug)]
struct Given {
    queue: u32,
    worker: usize,
    /// How many sockets that one has with it.
    number: usize,
    socket: OwnedFd,
}

impl Port {
    fn has(&self, queue: u32) -> bool {
        self.served.contains(&queue) || self.given.iter().any(|given| given.queue == queue)
    }
}

impl Sockets {
    /// None yet of so many ports.
    pub(super) fn new(ports: usize, mode: CopyMode, workers: Vec<Inlet>) -> Self {
        Self {
            mode,
            ports: (0..ports).map(|_| Port::default()).collect(),
            workers,
        }
    }

    /// Remembers that a queue is served.
    pub(super) fn note(&mut self, port: usize, queue: u32) {
        self.ports[port].served.insert(queue);
    }

    /// How many of the first `queues` queues of `port` are served.
    pub fn count(&self, port: usize, queues: u32) -> u32 {
        self.ports[port].served.range(..queues).count() as u32
    }

    /// Serves all of the `queues` queues of `interface`, which is at `port`, as far as that can be done:
    /// the workers that run get sockets for those that have none.
    ///
    /// # Errors
    /// Why the first of those is not served that could not be.
    pub fn serve(
        &mut self,
        gate: &Gate,
        port: usize,
        interface: &Interface,
        queues: u32,
    ) -> Result<(), DatapathError> {
        gate.cover(port, queues)?;
        let mut outcome = Ok(());
        for queue in 0..queues.min(MAX_QUEUES) {
            if !self.ports[port].has(queue) {
                outcome = outcome.and(self.give(port, interface, queue));
            }
        }
        self.await_workers(port);
        let connected = self.connect(gate, port, interface);
        outcome.and(connected)?;
        Ok(interface.check_room(queues)?)
    }

    /// Opens a socket and gives it to a worker.
    fn give(
        &mut self,
        port: usize,
        interface: &Interface,
        queue: u32,
    ) -> Result<(), DatapathError> {
        let worker = worker_of(queue, self.workers.len());
        let inlet = &mut self.workers[worker];
        if !inlet.has_frames() {
            return Err(DatapathError::NoFrames {
                worker,
                interface: interface.name.clone(),
                queue,
            });
        }
        let binding = Binding {
            ifindex: interface.index,
            queue,
            mode: self.mode,
        };
        let failed = |error| DatapathError::socket(interface, queue, error);
        let socket = inlet.open(binding).map_err(failed)?;
        let own = socket.as_fd().try_clone_to_owned().map_err(failed)?;
        self.ports[port].given.push(Given {
            queue,
            worker,
            number: inlet.give(port, queue, socket),
            socket: own,
        });
        Ok(())
    }

    /// Waits a while until the workers have taken what they were given.
    fn await_workers(&self, port: usize) {
        let start = Instant::now();
        let given = &self.ports[port].given;
        while !given.iter().all(|it| self.is_taken(it)) && start.elapsed() < PATIENCE {
            thread::sleep(PAUSE);
        }
    }

    fn is_taken(&self, given: &Given) -> bool {
        self.workers[given.worker].has_taken(given.number)
    }

    /// Has the gate send to the sockets that the workers have taken.
    fn connect(
        &mut self,
        gate: &Gate,
        port: usize,
        interface: &Interface,
    ) -> Result<(), DatapathError> {
        let mut outcome = Ok(());
        for given in mem::take(&mut self.ports[port].given) {
            match self.connect_one(gate, port, interface, &given) {
                Ok(()) => self.note(port, given.queue),
                Err(error) => {
                    self.ports[port].given.push(given);
                    outcome = outcome.and(Err(error));
                }
            }
        }
        outcome
    }

    fn connect_one(
        &self,
        gate: &Gate,
        port: usize,
        interface: &Interface,
        given: &Given,
    ) -> Result<(), DatapathError> {
        if !self.is_taken(given) {
            return Err(DatapathError::NotTaken {
                worker: given.worker,
                interface: interface.name.clone(),
                queue: given.queue,
            });
        }
        Ok(gate.connect(port, given.queue, given.socket.as_fd())?)
    }
}
