//! The unsafe floor of the connection table: zeroed memory that costs nothing until it is
//! touched, in huge pages where the kernel has them, and the prefetch instruction.
#![allow(unsafe_code)]

use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Types whose all-zero bytes are a valid value and that need no drop.
///
/// # Safety
/// The implementor vouches for both.
pub(super) unsafe trait Zeroable {}

// SAFETY: atomics of plain integers; zero is a value of each.
unsafe impl Zeroable for super::index::Bucket {}
// SAFETY: integers, byte arrays, and `Tracked`, of which zero is a value as well: the compiler
// evaluates the constant below and would refuse one that is none. `Copy`: no drop.
unsafe impl Zeroable for super::entry::Entry {}
// SAFETY: as just said; what is not so does not build.
const _FREE: super::entry::Entry = unsafe { std::mem::zeroed() };

/// A huge page on x86-64; elsewhere no more than an alignment.
const HUGE_PAGE: usize = 2 << 20;

/// A slice of zeroes straight from the kernel; a page is backed by memory at its first write.
pub(super) struct Region<T: Zeroable> {
    base: NonNull<T>,
    len: usize,
    mapping: *mut libc::c_void,
    mapped_bytes: usize,
}

// SAFETY: a region owns its memory like a `Box<[T]>`.
unsafe impl<T: Zeroable + Send> Send for Region<T> {}
// SAFETY: as above; shared access gives `&[T]` only.
unsafe impl<T: Zeroable + Sync> Sync for Region<T> {}

impl<T: Zeroable> Region<T> {
    /// `len` zeroed values, the first `huge` of them in huge pages as far as they fill some.
    ///
    /// # Errors
    /// The kernel's own, when it has no address space left for `len` values.
    pub(super) fn zeroed(len: usize, huge: usize) -> io::Result<Self> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0) };
        let mapped_bytes = len
            .checked_mul(size_of::<T>())
            .and_then(|bytes| bytes.checked_add(HUGE_PAGE))
            .ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a fresh private mapping, without an address of ours; nothing else refers to it.
        let mapping = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if mapping == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let aligned = mapping.map_addr(|address| address.next_multiple_of(HUGE_PAGE));
        // SAFETY: inside the mapping made above. Advice only: a kernel without huge pages
        // refuses it and serves small ones.
        unsafe { libc::madvise(aligned, huge * size_of::<T>(), libc::MADV_HUGEPAGE) };
        let base = NonNull::new(aligned.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            base,
            len,
            mapping,
            mapped_bytes,
        })
    }
}

impl<T: Zeroable> Deref for Region<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` values inside the mapping, page-aligned, zero or written by `&mut`, until drop.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl<T: Zeroable> DerefMut for Region<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` is the only access.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

impl<T: Zeroable> Drop for Region<T> {
    fn drop(&mut self) {
        // SAFETY: exactly what `zeroed` mapped; no borrow outlives `self`.
        unsafe { libc::munmap(self.mapping, self.mapped_bytes) };
    }
}

/// Asks for the cache line at `address`, which need not be mapped.
#[inline(always)]
pub(super) fn prefetch(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults on no address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address as *const i8);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
