//! The memory of the roll, and of the RSTs that were heard: maps of the gate's that this process has
//! mapped too.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use crate::cookie::{Places, Roll};

/// What the roll is to be: the same for all instances.
pub(super) struct RollPlan {
    pub(super) lines: usize,
    pub(super) places: Places,
}

impl RollPlan {
    pub(super) fn of(connections: usize) -> Self {
        Self {
            lines: Roll::lines(connections),
            places: Places::random(),
        }
    }

    /// How many words gate and workers share.
    pub(super) const fn words(&self) -> usize {
        Roll::words(self.lines)
    }
}

/// An array of the gate's, shared with its programs.
pub(super) struct Shared {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: an owned range of addresses, reached through atomics only.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Maps the `len` bytes of `map`, an array that was made to be mapped.
    pub(super) fn of(map: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice, which checks `len`.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                access,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at zero"))?;
        Ok(Self { start, len })
    }
}

impl AsRef<[AtomicU64]> for Shared {
    fn as_ref(&self) -> &[AtomicU64] {
        // SAFETY: mapped for as long as `self` lives; a mapping begins at a page, and words that are cut short are
        // left out.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len / 8) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: what mmap returned, and nobody else unmaps it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
