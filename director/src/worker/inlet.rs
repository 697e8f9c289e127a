//! Sockets that a worker gets while it runs: they are opened beside it, and it takes them when it has
//! leisure, with a part of its frames.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::stats::WorkerStats;
use crate::xsk::{Binding, Opener, RingSizes, Socket};

/// A socket on its way to a worker.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) port: usize,
    pub(super) queue: u32,
    pub(super) socket: Socket,
}

/// The way to a worker that runs.
#[derive(Debug)]
pub struct Inlet {
    opener: Opener,
    sizes: RingSizes,
    stats: Arc<WorkerStats>,
    /// Those that it has or is about to take.
    sockets: usize,
    newcomers: Sender<Newcomer>,
}

impl Inlet {
    /// The way to the worker with these `stats`, and where that one finds what has come. It begins with
    /// `sockets` of `opener`.
    pub(super) fn new(
        opener: Opener,
        sizes: RingSizes,
        stats: Arc<WorkerStats>,
        sockets: usize,
    ) -> (Self, Receiver<Newcomer>) {
        let (newcomers, come) = channel();
        let inlet = Self {
            opener,
            sizes,
            stats,
            sockets,
            newcomers,
        };
        (inlet, come)
    }

    /// Whether the worker has the frames for one more socket. Those of a queue that nothing comes by stay
    /// with the kernel, though its part has become smaller.
    pub fn has_frames(&self) -> bool {
        let frames = self.opener.umem().frames();
        let part = part(frames, self.sockets + 1, self.sizes.receive as usize);
        let coming = self.sockets + 1 - self.taken();
        self.stats.filling.get() as usize + coming * part <= frames
    }

    /// Opens a socket that shares the worker's memory.
    ///
    /// # Errors
    /// As [`Opener::open`].
    pub fn open(&mut self, binding: Binding) -> io::Result<Socket> {
        self.opener.open(binding, self.sizes)
    }

    /// Gives the worker the `socket` of a queue. Says how many it has with that; one that has ended takes
    /// it no more.
    pub fn give(&mut self, port: usize, queue: u32, socket: Socket) -> usize {
        self.sockets += 1;
        let newcomer = Newcomer {
            port,
            queue,
            socket,
        };
        // Then the director is about to end.
        let _ = self.newcomers.send(newcomer);
        self.sockets
    }

    /// Whether the worker has so many sockets by now, each with frames to receive into.
    pub fn has_taken(&self, sockets: usize) -> bool {
        self.taken() >= sockets
    }

    fn taken(&self) -> usize {
        self.stats.sockets.get() as usize
    }
}

/// How many of a worker's `frames` each of its `sockets` should have to receive into: of one half the
/// same part, as far as its `ring` takes them.
pub(super) fn part(frames: usize, sockets: usize, ring: usize) -> usize {
    (frames / 2 / sockets).min(ring)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xsk::Umem;

    const FRAMES: usize = 256;

    /// The way to a worker that has and is to have so many sockets, with so many frames in their rings.
    fn inlet(has: u64, is_to_have: usize, filling: u64) -> Inlet {
        let (umem, _) = Umem::new(FRAMES as u32).unwrap();
        let sizes = RingSizes {
            receive: 64,
            transmit: 64,
        };
        let stats = Arc::<WorkerStats>::default();
        stats.sockets.set(has);
        stats.filling.set(filling);
        Inlet::new(Opener::new(&umem), sizes, stats, is_to_have).0
    }

    #[test]
    fn half_of_the_frames_are_to_receive_into() {
        assert_eq!(part(FRAMES, 1, 64), 64);
        assert_eq!(part(FRAMES, 2, 64), 64);
        assert_eq!(part(FRAMES, 4, 64), 32);
        assert_eq!(part(FRAMES, 128, 64), 1);
    }

    #[test]
    fn a_socket_more_needs_its_part_of_what_others_do_not_hold() {
        // Two that have all of theirs, and those that come get 32, 25, ... each.
        for is_to_have in 2..64 {
            assert!(inlet(2, is_to_have, 128).has_frames(), "{is_to_have}");
        }
        // The part of a fourth is 32, of a fifth 25.
        assert!(inlet(3, 3, 224).has_frames());
        assert!(!inlet(3, 3, 225).has_frames());
        assert!(inlet(3, 4, 206).has_frames());
        assert!(!inlet(3, 4, 207).has_frames());
    }
}
