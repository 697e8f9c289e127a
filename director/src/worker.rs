//! A worker: one pinned thread that receives batches from its queues, walks them down the path
//! and transmits them. It never allocates, waits or logs on the way.
//!
//! ```text
//!  rx ring -> batch -> walk -> outbox -> tx ring -> completion ring -> free -> fill ring
//! ```

mod inlet;
mod leisure;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Instant;

pub use inlet::Inlet;
use inlet::Newcomer;
use leisure::{Leisure, Next};

use crate::drops::Cause;
use crate::stats::WorkerStats;
use crate::time::{Clock, Tick};
use crate::xsk::{Frame, Opener, RingDrops, RingSizes, Socket, Umem, Wait};

/// Packets that are walked together.
pub const BATCH: usize = 64;

/// How long an idle worker sleeps, milliseconds: the longest that expiry or a stop waits.
const SLEEP_MS: i32 = 100;

/// The same while it holds packets back that may go any moment.
const NAP_MS: i32 = 5;

/// What a worker does with its packets.
pub trait Walk {
    /// Sends each frame of `batch`, which came in on `port`, to one place in `out`; leaves
    /// `batch` empty.
    fn walk(&mut self, umem: &Umem, port: u16, batch: &mut Vec<Frame>, out: &mut Outbox, now: Tick);

    /// Does a bounded piece of housekeeping; called once a round.
    fn tidy(&mut self, umem: &Umem, out: &mut Outbox, now: Tick);

    /// Whether there is more of that to do at once.
    fn is_behind(&self, _now: Tick) -> bool {
        false
    }

    /// Walks packets that come in beside the queues, in frames of `out`; returns how many.
    fn walk_beside(
        &mut self,
        _umem: &Umem,
        _batch: &mut Vec<Frame>,
        _out: &mut Outbox,
        _now: Tick,
    ) -> usize {
        0
    }

    /// Where those come from, if there may be any now.
    fn beside(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Frames that it keeps back for now.
    fn held(&self) -> usize {
        0
    }
}

/// Where the frames of a batch go.
#[derive(Debug)]
pub struct Outbox {
    forwards: Vec<Vec<Frame>>,
    answers: Vec<Vec<Frame>>,
    free: Vec<Frame>,
}

impl Outbox {
    /// An empty one for `ports` ports, with the frames `free` at rest.
    pub fn new(ports: usize, free: Vec<Frame>) -> Self {
        let lists = || {
            (0..ports)
                .map(|_| Vec::with_capacity(free.capacity()))
                .collect()
        };
        Self {
            forwards: lists(),
            answers: lists(),
            free,
        }
    }

    /// Forwards the packet out of `port`.
    pub fn forward(&mut self, port: u16, frame: Frame) {
        match self.forwards.get_mut(usize::from(port)) {
            Some(list) => list.push(frame),
            None => self.free.push(frame),
        }
    }

    /// Sends out of `port` what the director itself has to say to a packet that it dropped, or a
    /// fragment that it has made of one beside that which is forwarded.
    pub fn answer(&mut self, port: u16, frame: Frame) {
        match self.answers.get_mut(usize::from(port)) {
            Some(list) => list.push(frame),
            None => self.free.push(frame),
        }
    }

    /// How many frames hold nothing.
    pub fn spare(&self) -> usize {
        self.free.len()
    }

    /// Takes all frames out, wherever they were to go.
    pub fn empty(&mut self, into: &mut Vec<Frame>) {
        for list in self.forwards.iter_mut().chain(&mut self.answers) {
            into.append(list);
        }
        into.append(&mut self.free);
    }

    /// A frame at rest, for a packet of the director's own; none when all are under way.
    pub fn blank(&mut self) -> Option<Frame> {
        self.free.pop()
    }

    /// Gives the frame of a dropped packet back.
    pub fn discard(&mut self, frame: Frame) {
        self.free.push(frame);
    }
}

/// One worker's sockets, frames and counters.
#[derive(Debug)]
pub struct Worker {
    umem: Umem,
    /// For each port this worker's queues of it; it sends through the first.
    ports: Vec<Vec<(u32, Socket)>>,
    /// Sockets that it is to have as well.
    newcomers: Receiver<Newcomer>,
    /// Entries of the ring that a socket receives into.
    ring: usize,
    /// Frames that each socket should have there.
    receive_frames: usize,
    batch: Vec<Frame>,
    out: Outbox,
    stats: Arc<WorkerStats>,
    /// What was missed before it began, by workers of before.
    missed_before: RingDrops,
}

impl Worker {
    /// A worker on `ports`: for each the queues of it with their sockets of `opener`, one at least. It
    /// has the frames `free` of that memory. With it the way by which it gets further sockets.
    pub fn new(
        opener: Opener,
        free: Vec<Frame>,
        ports: Vec<Vec<(u32, Socket)>>,
        sizes: RingSizes,
    ) -> (Self, Inlet) {
        let stats = Arc::default();
        let out = Outbox::new(ports.len(), free);
        let umem = opener.umem().clone();
        let sockets = ports.iter().map(Vec::len).sum();
        let (inlet, newcomers) = Inlet::new(opener, sizes, Arc::clone(&stats), sockets);
        let mut worker = Self {
            umem,
            ports,
            newcomers,
            ring: sizes.receive as usize,
            receive_frames: 0,
            batch: Vec::with_capacity(BATCH),
            out,
            stats,
            missed_before: RingDrops::default(),
        };
        worker.share_out();
        (worker, inlet)
    }

    /// What it counts.
    pub fn stats(&self) -> &Arc<WorkerStats> {
        &self.stats
    }

    /// Its sockets, each with port and queue.
    pub fn sockets(&self) -> impl Iterator<Item = (usize, u32, &Socket)> {
        let ports = self.ports.iter().enumerate();
        ports.flat_map(|(port, queues)| {
            queues
                .iter()
                .map(move |(queue, socket)| (port, *queue, socket))
        })
    }

    /// Runs until `stop`; an idle worker notices it within a tenth of a second.
    ///
    /// # Errors
    /// When a socket becomes unusable, its interface gone for instance.
    pub fn run(&mut self, walk: &mut impl Walk, clock: Clock, stop: &AtomicBool) -> io::Result<()> {
        let mut wait = self.wait();
        let mut leisure = Leisure::since(Instant::now());
        let mut published = clock.now();
        self.missed_before = RingDrops {
            ring_full: self.stats.ring_full.get(),
            no_frame: self.stats.no_frame.get(),
        };
        while !stop.load(Relaxed) {
            let began = Instant::now();
            let now = clock.tick_of(began);
            let received = self.round(walk, now)?;
            walk.tidy(&self.umem, &mut self.out, now);
            let next = match received > 0 || walk.is_behind(now) {
                true => leisure.work(Instant::now()),
                false => leisure.idle(began),
            };
            if next == Next::Sleep || now != published {
                if self.welcome() {
                    wait = self.wait();
                }
                self.publish(walk.held())?;
                published = now;
            }
            if next != Next::Work {
                self.rest(next, walk, &mut wait)?;
                self.stats.asleep.add(began.elapsed().as_nanos() as u64);
            }
            if next == Next::Sleep {
                leisure = Leisure::since(Instant::now());
            }
        }
        self.finish(walk, clock)
    }

    /// On all its sockets.
    fn wait(&self) -> Wait {
        Wait::on(self.sockets().map(|(_, _, socket)| socket.as_fd()))
    }

    /// Takes the sockets that have come for it; says whether there were any. It goes on to send through
    /// those that it sends through.
    fn welcome(&mut self) -> bool {
        let mut has_come = false;
        while let Ok(newcomer) = self.newcomers.try_recv() {
            let Newcomer {
                port,
                queue,
                socket,
            } = newcomer;
            self.ports[port].push((queue, socket));
            has_come = true;
        }
        if has_come {
            self.share_out();
        }
        has_come
    }

    /// Gives each socket its part of the frames. What one has too many of it keeps until it has received
    /// into them.
    fn share_out(&mut self) {
        self.receive_frames = inlet::part(self.umem.frames(), self.sockets().count(), self.ring);
        self.refill();
    }

    /// Does nothing for a while.
    fn rest(&self, next: Next, walk: &impl Walk, wait: &mut Wait) -> io::Result<()> {
        match (next, walk.held()) {
            (Next::Work, _) => {}
            (Next::Linger, _) => thread::yield_now(),
            (Next::Sleep, 0) => wait.sleep(walk.beside(), SLEEP_MS)?,
            (Next::Sleep, _) => wait.sleep(walk.beside(), NAP_MS)?,
        }
        Ok(())
    }

    /// Walks what its rings hold, once nothing more comes to them; if something does, no more than they
    /// have room for.
    fn finish(&mut self, walk: &mut impl Walk, clock: Clock) -> io::Result<()> {
        let room: usize = self.sockets().map(|(_, _, it)| it.filling()).sum();
        for _ in 0..=room.div_ceil(BATCH) {
            let now = clock.now();
            let received = self.round(walk, now)?;
            walk.tidy(&self.umem, &mut self.out, now);
            if received == 0 {
                break;
            }
        }
        self.transmit()?;
        self.publish(walk.held())
    }

    fn round(&mut self, walk: &mut impl Walk, now: Tick) -> io::Result<usize> {
        let mut received = 0;
        for port in 0..self.ports.len() {
            for queue in 0..self.ports[port].len() {
                received += self.take_batch(walk, port, queue, now);
            }
        }
        received += walk.walk_beside(&self.umem, &mut self.batch, &mut self.out, now);
        self.transmit()?;
        self.refill();
        Ok(received)
    }

    fn take_batch(&mut self, walk: &mut impl Walk, port: usize, queue: usize, now: Tick) -> usize {
        let received = self.ports[port][queue].1.receive(BATCH, &mut self.batch);
        if received > 0 {
            self.stats.received.add(received as u64);
            walk.walk(&self.umem, port as u16, &mut self.batch, &mut self.out, now);
        }
        received
    }

    /// Packets that the tx ring does not take, although the kernel has been woken for those in it,
    /// are dropped, not queued: a queue here would only add delay to what the ring already holds.
    fn transmit(&mut self) -> io::Result<()> {
        for (port, sockets) in self.ports.iter_mut().enumerate() {
            let Some((_, socket)) = sockets.first_mut() else {
                continue;
            };
            let forwards = &mut self.out.forwards[port];
            let answers = &mut self.out.answers[port];
            if !forwards.is_empty() || !answers.is_empty() {
                self.stats
                    .sent
                    .add(send_all(socket, forwards, &mut self.out.free)?);
                self.stats
                    .drops
                    .of(Cause::TxFull.into())
                    .add(forwards.len() as u64);
                self.stats
                    .answered
                    .add(send_all(socket, answers, &mut self.out.free)?);
                recycle(&self.umem, forwards, &mut self.out.free);
                recycle(&self.umem, answers, &mut self.out.free);
            }
            socket.flush()?;
            socket.complete(&mut self.out.free);
        }
        Ok(())
    }

    fn refill(&mut self) {
        for (_, socket) in self.ports.iter_mut().flatten() {
            socket.refill(self.receive_frames, &mut self.out.free);
            socket.kick_rx();
        }
    }

    /// Shows the frame ledger and the kernel's own drops to whoever reads the counters.
    fn publish(&self, held: usize) -> io::Result<()> {
        let sockets = || self.sockets().map(|(_, _, socket)| socket);
        self.stats.beats.add(1);
        self.stats.sockets.set(sockets().count() as u64);
        self.stats.free.set((self.out.free.len() + held) as u64);
        self.stats
            .filling
            .set(sockets().map(|s| s.filling() as u64).sum());
        self.stats
            .sending
            .set(sockets().map(|s| s.sending() as u64).sum());
        let mut drops = self.missed_before;
        for socket in sockets() {
            socket.check()?;
            drops = drops.plus(socket.drops()?);
        }
        self.stats.ring_full.set(drops.ring_full);
        self.stats.no_frame.set(drops.no_frame);
        Ok(())
    }
}

/// Puts `packets` into the tx ring, which is emptied as often as it is full; those that it does not
/// take even then stay. Returns how many it has taken.
fn send_all(
    socket: &mut Socket,
    packets: &mut Vec<Frame>,
    free: &mut Vec<Frame>,
) -> io::Result<u64> {
    socket.complete(free);
    let mut sent = socket.send(packets);
    while !packets.is_empty() {
        socket.flush()?;
        socket.complete(free);
        match socket.send(packets) {
            0 => break,
            more => sent += more,
        }
    }
    Ok(sent as u64)
}

fn recycle(umem: &Umem, frames: &mut Vec<Frame>, free: &mut Vec<Frame>) {
    free.extend(frames.drain(..).map(|frame| umem.reset(frame)));
}
