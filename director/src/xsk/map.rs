//! Memory shared with the kernel.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

/// A mapping that is unmapped on drop.
#[derive(Debug)]
pub(super) struct Map {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a `Map` is only an owned range of addresses; whoever reads or writes through it
// upholds the aliasing rules (rings: one owner and atomics; UMEM: `Frame` tokens).
unsafe impl Send for Map {}

impl Map {
    /// Anonymous, zeroed memory of `len` bytes, page aligned.
    pub(super) fn anonymous(len: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new private mapping at an address of the kernel's choice aliases nothing.
        Self::checked(
            unsafe { libc::mmap(ptr::null_mut(), len, PROT, flags, -1, 0) },
            len,
        )
    }

    /// A ring of the AF_XDP socket `fd` at page offset `offset` (`XDP_PGOFF_*`).
    pub(super) fn ring(fd: BorrowedFd<'_>, len: usize, offset: i64) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: as above; the kernel checks `len` and `offset` against the ring.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), len, PROT, flags, fd.as_raw_fd(), offset) };
        Self::checked(start, len)
    }

    fn checked(start: *mut libc::c_void, len: usize) -> io::Result<Self> {
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at zero"))?;
        Ok(Self { start, len })
    }

    /// The address of byte `offset`.
    ///
    /// # Panics
    /// When `offset` lies outside of the mapping.
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(
            offset < self.len,
            "offset {offset} outside of a mapping of {} bytes",
            self.len
        );
        // SAFETY: checked above to lie within the mapping.
        unsafe { self.start.add(offset) }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

const PROT: i32 = libc::PROT_READ | libc::PROT_WRITE;

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: `start` and `len` are what mmap returned, and nobody else unmaps them.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
