//! Memory that gate and director share: arrays, and variables (`bpf/memory.h`), of BPF maps that this
//! process has mapped too. What is in it is reached by atomics alone.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use libbpf_rs::{MapCore, MapHandle};

/// Types that the kernel's memory always holds valid values of: atomics of plain integers.
///
/// # Safety
/// The implementor vouches for that, and for the layout being that of `bpf/`.
pub unsafe trait Shared {}

// SAFETY: one itself.
unsafe impl Shared for AtomicU64 {}

/// All entries of a map, one behind the other.
#[derive(Debug)]
pub struct Array<T> {
    base: NonNull<T>,
    len: usize,
    bytes: usize,
}

// SAFETY: the memory is the kernel's, lives as long as the mapping, and is reached by atomics only.
unsafe impl<T: Sync> Send for Array<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Array<T> {}

impl<T: Shared> Array<T> {
    /// Maps a map that was made to be mapped, with as many values as it has room for.
    pub(super) fn map(map: &MapHandle) -> io::Result<Self> {
        let bytes = map.max_entries() as usize * map.value_size() as usize;
        if bytes == 0 || bytes % size_of::<T>() != 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // SAFETY: a mapping of its own, without an address of ours, of a descriptor that is open; the
        // kernel refuses one that is longer than the map.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_fd().as_raw_fd(),
                0,
            )
        };
        match NonNull::new(base.cast()).filter(|_| base != libc::MAP_FAILED) {
            Some(base) => Ok(Self {
                base,
                len: bytes / size_of::<T>(),
                bytes,
            }),
            None => Err(io::Error::last_os_error()),
        }
    }
}

impl<T> Array<T> {
    /// Bytes that it takes.
    pub(super) const fn footprint(&self) -> usize {
        self.bytes
    }
}

impl<T> Deref for Array<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` values of a layout that `Shared` vouches for, page-aligned, mapped until drop.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl<T> AsRef<[T]> for Array<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped; no borrow outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
