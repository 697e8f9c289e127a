//! One AF_XDP socket: one queue of one interface.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::ring::{Consumer, Producer};
use super::sys;
use super::umem::{FRAME_SIZE, Frame, Umem};

/// Packets that one system call may send in copy mode. With the kernel's default of 32 half of
/// a full load is dropped at TX; with 128 nothing is.
const TX_BUDGET: u32 = 128;

/// The same where the kernel knows no such option (`TX_BATCH_SIZE`).
const FIXED_BUDGET: u32 = 32;

/// How packets get from the driver into the UMEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMode {
    /// The NIC writes into the UMEM.
    ZeroCopy,
    /// The kernel copies.
    Copy,
}

/// Where a socket is bound.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Interface index.
    pub ifindex: u32,
    /// Receive queue of it.
    pub queue: u32,
    /// Wanted mode. Ignored for all but the first socket of a UMEM, which decides for all.
    pub mode: CopyMode,
}

/// Entries in each ring of a socket, powers of two.
#[derive(Clone, Copy, Debug)]
pub struct RingSizes {
    /// Fill and rx ring.
    pub receive: u32,
    /// Tx and completion ring.
    pub transmit: u32,
}

/// Packets that the kernel dropped at a socket before the worker saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingDrops {
    /// The rx ring was full.
    pub ring_full: u64,
    /// No frame in the fill ring, or the packet was longer than a frame.
    pub no_frame: u64,
}

impl RingDrops {
    /// Both together.
    pub const fn plus(self, other: Self) -> Self {
        Self {
            ring_full: self.ring_full + other.ring_full,
            no_frame: self.no_frame + other.no_frame,
        }
    }
}

/// A socket without a queue: it can stand for a reader, but gets nothing.
///
/// # Errors
/// The kernel's.
pub fn unbound() -> io::Result<OwnedFd> {
    sys::socket()
}

/// A bound AF_XDP socket with its rings.
#[derive(Debug)]
pub struct Socket {
    umem: Umem,
    rx: Consumer<libc::xdp_desc>,
    tx: Producer<libc::xdp_desc>,
    fill: Producer<u64>,
    completion: Consumer<u64>,
    filling: usize,
    sending: usize,
    /// Packets that one system call sends at most, in copy mode.
    tx_budget: u32,
    fd: OwnedFd,
}

impl Socket {
    /// Opens the first socket of `umem` and registers the memory with it.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn first(umem: &Umem, binding: Binding, sizes: RingSizes) -> io::Result<Self> {
        let fd = sys::socket()?;
        let (addr, len) = umem.region();
        sys::register_umem(fd.as_fd(), addr, len, FRAME_SIZE)?;
        let mode = match binding.mode {
            CopyMode::ZeroCopy => libc::XDP_ZEROCOPY,
            CopyMode::Copy => libc::XDP_COPY,
        };
        Self::bound(
            fd,
            umem,
            binding,
            sizes,
            mode | libc::XDP_USE_NEED_WAKEUP,
            0,
        )
    }

    /// Opens a further socket of `umem`, whose `first` one has registered it, with the mode of that.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn sharing(
        umem: &Umem,
        first: BorrowedFd<'_>,
        binding: Binding,
        sizes: RingSizes,
    ) -> io::Result<Self> {
        let fd = sys::socket()?;
        let share = first.as_raw_fd() as u32;
        Self::bound(fd, umem, binding, sizes, libc::XDP_SHARED_UMEM, share)
    }

    fn bound(
        fd: OwnedFd,
        umem: &Umem,
        binding: Binding,
        sizes: RingSizes,
        flags: u16,
        share: u32,
    ) -> io::Result<Self> {
        let raw = fd.as_fd();
        sys::ring_size(raw, libc::XDP_RX_RING, sizes.receive)?;
        sys::ring_size(raw, libc::XDP_TX_RING, sizes.transmit)?;
        sys::ring_size(raw, libc::XDP_UMEM_FILL_RING, sizes.receive)?;
        sys::ring_size(raw, libc::XDP_UMEM_COMPLETION_RING, sizes.transmit)?;
        let at = sys::mmap_offsets(raw)?;
        let rx = Consumer::map(raw, sizes.receive, &at.rx, libc::XDP_PGOFF_RX_RING)?;
        let tx = Producer::map(raw, sizes.transmit, &at.tx, libc::XDP_PGOFF_TX_RING)?;
        let fill_page = libc::XDP_UMEM_PGOFF_FILL_RING as i64;
        let fill = Producer::map(raw, sizes.receive, &at.fr, fill_page)?;
        let completion_page = libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64;
        let completion = Consumer::map(raw, sizes.transmit, &at.cr, completion_page)?;
        sys::bind(raw, binding.ifindex, binding.queue, flags, share)?;
        // Kernels before 6.17 do not know the option and send in their own portions.
        let wanted = TX_BUDGET.min(sizes.transmit);
        let tx_budget = sys::tx_budget(raw, wanted).map_or(FIXED_BUDGET, |()| wanted);
        Ok(Self {
            umem: umem.clone(),
            rx,
            tx,
            fill,
            completion,
            filling: 0,
            sending: 0,
            tx_budget,
            fd,
        })
    }

    /// Takes up to `limit` received packets and appends them to `into`. Returns how many.
    pub fn receive(&mut self, limit: usize, into: &mut Vec<Frame>) -> usize {
        let umem = &self.umem;
        let count = self
            .rx
            .consume(limit, |d| into.push(umem.returned(d.addr, d.len)));
        self.filling -= count;
        count
    }

    /// Gives frames from the end of `free` to the kernel to receive into, until `wanted` are
    /// with it or the ring or the list is used up.
    pub fn refill(&mut self, wanted: usize, free: &mut Vec<Frame>) {
        let missing = wanted.saturating_sub(self.filling).min(free.len());
        let rest = free.len() - missing;
        let mut given = free.drain(rest..);
        let count = self
            .fill
            .produce(missing, || given.next().map_or(0, |f| f.chunk_address()));
        let left: Vec<Frame> = given.collect();
        free.extend(left);
        self.filling += count;
    }

    /// Puts the packets at the front of `packets` into the tx ring, as many as it takes; the
    /// rest stays in `packets`. Returns how many.
    pub fn send(&mut self, packets: &mut Vec<Frame>) -> usize {
        let mut next = packets.iter();
        let empty = libc::xdp_desc {
            addr: 0,
            len: 0,
            options: 0,
        };
        let count = self.tx.produce(packets.len(), || {
            next.next().map_or(empty, Frame::descriptor)
        });
        packets.drain(..count).for_each(drop);
        self.sending += count;
        count
    }

    /// Takes back the frames of packets that have left, and appends them to `free`. Returns how
    /// many.
    pub fn complete(&mut self, free: &mut Vec<Frame>) -> usize {
        let umem = &self.umem;
        let count = self
            .completion
            .consume(usize::MAX, |addr| free.push(umem.recycled(addr)));
        self.sending -= count;
        count
    }

    /// Wakes the kernel for what stands in the tx ring, if it sleeps.
    ///
    /// # Errors
    /// ENXIO and the like when the interface is gone. While it is only down, packets wait.
    pub fn kick_tx(&self) -> io::Result<()> {
        if self.sending > 0 && self.tx.needs_wakeup() {
            return sys::kick_tx(self.fd.as_fd());
        }
        Ok(())
    }

    /// Does so until the kernel has taken all that stands in the tx ring, or takes no more of it. No
    /// more system calls than what stands there needs.
    ///
    /// # Errors
    /// As [`Socket::kick_tx`].
    pub fn flush(&self) -> io::Result<()> {
        let mut left = self.unsent();
        for _ in 0..left.div_ceil(self.tx_budget).max(1) {
            self.kick_tx()?;
            let before = left;
            left = self.unsent();
            if left == 0 || left >= before {
                break;
            }
        }
        Ok(())
    }

    /// Wakes the kernel for what stands in the fill ring, if it sleeps.
    pub fn kick_rx(&self) {
        if self.fill.needs_wakeup() {
            sys::kick_rx(self.fd.as_fd());
        }
    }

    /// Packets in the tx ring that the kernel has not taken yet.
    pub fn unsent(&self) -> u32 {
        self.tx.pending()
    }

    /// Frames that the kernel holds to receive into (received but not yet taken ones included).
    pub fn filling(&self) -> usize {
        self.filling
    }

    /// Frames that the kernel holds to send.
    pub fn sending(&self) -> usize {
        self.sending
    }

    /// Whether the socket still has its interface: nothing else tells an idle one
    /// (`xsk_notifier`, `xsk_poll`).
    ///
    /// # Errors
    /// `NotConnected` when the interface is gone.
    pub fn check(&self) -> io::Result<()> {
        match sys::pending_error(self.fd.as_fd())? {
            0 => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "its interface is gone",
            )),
        }
    }

    /// Packets that the kernel dropped at this socket.
    ///
    /// # Errors
    /// The kernel's, when the socket is unusable.
    pub fn drops(&self) -> io::Result<RingDrops> {
        let s = sys::statistics(self.fd.as_fd())?;
        Ok(RingDrops {
            ring_full: s.rx_ring_full,
            no_frame: s.rx_dropped,
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What a worker sleeps on: its sockets, and perhaps something beside them.
#[derive(Debug)]
pub struct Wait {
    fds: Vec<libc::pollfd>,
    sockets: usize,
}

impl Wait {
    /// Waits for any of `sockets`, which must stay open as long as this lives.
    pub fn on<'a>(sockets: impl IntoIterator<Item = BorrowedFd<'a>>) -> Self {
        let fds: Vec<_> = sockets.into_iter().map(interest).collect();
        let sockets = fds.len();
        Self { fds, sockets }
    }

    /// Sleeps until one has something to read, or `beside` has, at most `timeout_ms`.
    ///
    /// # Errors
    /// The kernel's; an interrupted sleep is none.
    pub fn sleep(&mut self, beside: Option<BorrowedFd<'_>>, timeout_ms: i32) -> io::Result<()> {
        self.fds.truncate(self.sockets);
        self.fds.extend(beside.map(interest));
        sys::poll(&mut self.fds, timeout_ms)
    }
}

fn interest(fd: BorrowedFd<'_>) -> libc::pollfd {
    libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    }
}
