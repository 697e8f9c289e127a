//! The single-producer single-consumer rings between a worker and the kernel.
//!
//! Both ends count up for ever; an index is a count masked by the ring's size. Each side keeps
//! its own count and reads the other's only when its cached value says that there is nothing
//! left to do (`net/xdp/xsk_queue.h`).

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::map::Map;

/// The mapped parts that both kinds of ring have.
#[derive(Debug)]
struct Shared<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    entries: NonNull<T>,
    mask: u32,
    _map: Map,
}

// SAFETY: the pointers lead into `_map`, which moves along; one thread at a time owns the ring.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T: Copy> Shared<T> {
    fn map(
        fd: BorrowedFd<'_>,
        size: u32,
        offsets: &libc::xdp_ring_offset,
        page: i64,
    ) -> io::Result<Self> {
        assert!(size.is_power_of_two(), "a ring of {size} entries");
        let entries_at = offsets.desc as usize;
        let map = Map::ring(fd, entries_at + size as usize * size_of::<T>(), page)?;
        Ok(Self {
            producer: map.at(offsets.producer as usize).cast(),
            consumer: map.at(offsets.consumer as usize).cast(),
            flags: map.at(offsets.flags as usize).cast(),
            entries: map.at(entries_at).cast(),
            mask: size - 1,
            _map: map,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: points to an aligned word within `_map`, which lives as long as `self`.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { self.consumer.as_ref() }
    }

    fn needs_wakeup(&self) -> bool {
        // SAFETY: as above.
        let flags = unsafe { self.flags.as_ref() };
        flags.load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    fn entry(&self, count: u32) -> *mut T {
        // SAFETY: the masked index is below the ring's size, and `map()` mapped that many.
        unsafe { self.entries.add((count & self.mask) as usize).as_ptr() }
    }
}

/// A ring that we write and the kernel reads: fill, tx.
#[derive(Debug)]
pub(super) struct Producer<T> {
    shared: Shared<T>,
    written: u32,
    taken: u32,
}

impl<T: Copy> Producer<T> {
    pub(super) fn map(
        fd: BorrowedFd<'_>,
        size: u32,
        offsets: &libc::xdp_ring_offset,
        page: i64,
    ) -> io::Result<Self> {
        Ok(Self {
            shared: Shared::map(fd, size, offsets, page)?,
            written: 0,
            taken: 0,
        })
    }

    /// How many of `wanted` entries can be written now.
    fn room(&mut self, wanted: u32) -> u32 {
        let size = self.shared.mask + 1;
        let free = size - self.written.wrapping_sub(self.taken);
        if free >= wanted {
            return wanted;
        }
        self.taken = self.shared.consumer().load(Ordering::Acquire);
        (size - self.written.wrapping_sub(self.taken)).min(wanted)
    }

    /// Writes as many of `wanted` entries as there is room for, each made by `make`, and shows
    /// them to the kernel in one step. Returns how many.
    pub(super) fn produce(&mut self, wanted: usize, mut make: impl FnMut() -> T) -> usize {
        let room = self.room(u32::try_from(wanted).unwrap_or(u32::MAX));
        for _ in 0..room {
            // SAFETY: entries from `written` on, `room` of them, belong to us until released.
            unsafe { self.shared.entry(self.written).write(make()) };
            self.written = self.written.wrapping_add(1);
        }
        if room > 0 {
            self.shared
                .producer()
                .store(self.written, Ordering::Release);
        }
        room as usize
    }

    /// Whether the kernel sleeps on this ring and wants a system call.
    pub(super) fn needs_wakeup(&self) -> bool {
        self.shared.needs_wakeup()
    }

    /// Entries that the kernel has not taken yet.
    pub(super) fn pending(&self) -> u32 {
        self.written
            .wrapping_sub(self.shared.consumer().load(Ordering::Acquire))
    }
}

/// A ring that the kernel writes and we read: rx, completion.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    shared: Shared<T>,
    read: u32,
    available: u32,
}

impl<T: Copy> Consumer<T> {
    pub(super) fn map(
        fd: BorrowedFd<'_>,
        size: u32,
        offsets: &libc::xdp_ring_offset,
        page: i64,
    ) -> io::Result<Self> {
        Ok(Self {
            shared: Shared::map(fd, size, offsets, page)?,
            read: 0,
            available: 0,
        })
    }

    /// Reads up to `limit` entries into `take` and gives their places back to the kernel.
    /// Returns how many.
    pub(super) fn consume(&mut self, limit: usize, mut take: impl FnMut(T)) -> usize {
        if self.available == self.read {
            self.available = self.shared.producer().load(Ordering::Acquire);
        }
        let ready = self.available.wrapping_sub(self.read) as usize;
        let count = ready.min(limit);
        for _ in 0..count {
            // SAFETY: the kernel has released entries up to `available`.
            take(unsafe { self.shared.entry(self.read).read() });
            self.read = self.read.wrapping_add(1);
        }
        if count > 0 {
            self.shared.consumer().store(self.read, Ordering::Release);
        }
        count
    }
}
