//! The unsafe floor of the connection table: zeroed memory that costs nothing until it is
//! touched, in huge pages where the kernel has them, or in a file that outlives the process; the
//! way back from the bytes of such a file; and the prefetch instruction.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use super::entry::Entry;
use super::tracked::Tracked;
use crate::{sctp, sip, tcp};

/// Types whose all-zero bytes are a valid value and that need no drop.
///
/// # Safety
/// The implementor vouches for both.
pub(crate) unsafe trait Zeroable {}

/// A cache line.
#[repr(C, align(64))]
pub(super) struct Line<T>(pub(super) T);

// SAFETY: atomics of plain integers; zero is a value of each.
unsafe impl<const N: usize> Zeroable for Line<[AtomicU64; N]> {}
// SAFETY: integers, byte arrays, and `Tracked`, of which zero is a value as well: the compiler
// evaluates the constant below and would refuse one that is none. `Copy`: no drop.
unsafe impl Zeroable for Entry {}
// SAFETY: as just said; what is not so does not build.
const _FREE: Entry = unsafe { std::mem::zeroed() };
// SAFETY: plain integers.
unsafe impl<const N: usize> Zeroable for [u64; N] {}

/// A huge page on x86-64; elsewhere no more than an alignment.
pub(super) const HUGE_PAGE: usize = 2 << 20;

/// Where the memory of a region comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Memory<'a> {
    /// Memory of the process.
    Own,
    /// A file on a tmpfs, from this byte on, which begins a page. It is grown as needed, and no
    /// other process may write to it.
    Kept(&'a File, u64),
}

/// A slice of zeroes straight from the kernel; a page is backed by memory at its first write.
pub(crate) struct Region<T: Zeroable> {
    base: NonNull<T>,
    len: usize,
    mapping: *mut libc::c_void,
    mapped_bytes: usize,
    /// Whether it is in a file.
    is_kept: bool,
}

// SAFETY: a region owns its memory like a `Box<[T]>`.
unsafe impl<T: Zeroable + Send> Send for Region<T> {}
// SAFETY: as above; shared access gives `&[T]` only.
unsafe impl<T: Zeroable + Sync> Sync for Region<T> {}

impl<T: Zeroable> Region<T> {
    /// `len` zeroed values, the first `huge` of them in huge pages as far as they fill some. In a
    /// file, the stretch must be one that was never written.
    ///
    /// # Errors
    /// The kernel's own, when it has no address space left for `len` values.
    pub(crate) fn zeroed(memory: Memory<'_>, len: usize, huge: usize) -> io::Result<Self> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0) };
        let mapped_bytes = len
            .checked_mul(size_of::<T>())
            .and_then(|bytes| bytes.checked_add(HUGE_PAGE))
            .ok_or(io::ErrorKind::OutOfMemory)?;
        let (flags, fd, offset) = match memory {
            Memory::Own => (
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            ),
            Memory::Kept(file, offset) => {
                let end = offset + mapped_bytes as u64;
                if file.metadata()?.len() < end {
                    file.set_len(end)?;
                }
                (libc::MAP_SHARED, file.as_raw_fd(), offset as i64)
            }
        };
        // SAFETY: a fresh mapping, without an address of ours. Nothing else in this process refers
        // to it, and whoever gives a file vouches for other processes.
        let mapping = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                fd,
                offset,
            )
        };
        if mapping == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let aligned = match memory {
            Memory::Own => mapping.map_addr(|address| address.next_multiple_of(HUGE_PAGE)),
            Memory::Kept(..) => mapping,
        };
        // SAFETY: inside the mapping made above. Advice only: a kernel without huge pages
        // refuses it and serves small ones.
        unsafe { libc::madvise(aligned, huge * size_of::<T>(), libc::MADV_HUGEPAGE) };
        let base = NonNull::new(aligned.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            base,
            len,
            mapping,
            mapped_bytes,
            is_kept: matches!(memory, Memory::Kept(..)),
        })
    }

    /// Has the pages of `count` values from number `from` on at hand. In a file that is looked after
    /// before they are written to: where its file system is full, the write would end the process
    /// (SIGBUS).
    ///
    /// # Errors
    /// There is no room (EFAULT). Linux before 5.14 does not tell.
    pub(crate) fn back(&self, from: usize, count: usize) -> io::Result<()> {
        let end = from.saturating_add(count).min(self.len);
        if !self.is_kept || from >= end {
            return Ok(());
        }
        let bytes = (end - from) * size_of::<T>();
        match populate(self.address(from), bytes) {
            Err(error) if error.raw_os_error() != Some(libc::EINVAL) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether it is in a file, and so in small pages.
    pub(crate) const fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Address of a value, for those who do not hold the lock.
    pub(crate) fn address(&self, at: usize) -> usize {
        self.base.addr().get() + at * size_of::<T>()
    }
}

/// Has memory at hand from `address` on, as far as it is mapped; its contents stay as they are.
///
/// # Errors
/// The kernel's: there is no room (EFAULT), or it does not do that (EINVAL, before Linux 5.14).
pub(super) fn populate(address: usize, bytes: usize) -> io::Result<()> {
    let first = address / PAGE * PAGE;
    let bytes = bytes + (address - first);
    // SAFETY: no memory is changed that a program could read; an address that is not mapped is refused.
    let done = unsafe {
        libc::madvise(
            std::ptr::with_exposed_provenance_mut(first),
            bytes,
            libc::MADV_POPULATE_WRITE,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The least that a kernel maps.
const PAGE: usize = 4096;

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

/// Where in [`Tracked`] the byte stands that tells its variants apart: the state of TCP, which
/// alone has values to spare.
const TAG: usize = std::mem::offset_of!(tcp::Tracking, state);

/// That byte of `tracked`.
pub(super) fn tag_of(tracked: &Tracked) -> u8 {
    // SAFETY: inside of `tracked`, and written in each variant, which is told by it.
    unsafe { *std::ptr::from_ref(tracked).cast::<u8>().add(TAG) }
}

/// Where the state of SCTP stands in [`Tracked`].
pub(super) fn sctp_state_at() -> usize {
    let sample = Tracked::Sctp(sctp::Tracking::default());
    let start = std::ptr::from_ref(&sample).addr();
    match &sample {
        Tracked::Sctp(inner) => std::ptr::from_ref(&inner.state).addr() - start,
        _ => TAG,
    }
}

/// Where the name of a call stands in [`Tracked`].
pub(super) fn call_at() -> usize {
    let sample = Tracked::Call(sip::Call::default());
    let start = std::ptr::from_ref(&sample).addr();
    match &sample {
        Tracked::Call(inner) => std::ptr::from_ref(inner).addr() - start,
        _ => TAG,
    }
}

/// The bytes of the entry of a TCP connection, none of which is padding.
pub(super) fn bytes_of(entry: &Entry) -> Option<&[u8; size_of::<Entry>()]> {
    // SAFETY: `Entry` is laid out as in C, without padding, and so is what TCP keeps, which fills
    // all of `tracked`; of bytes any value holds.
    matches!(entry.tracked, Tracked::Tcp(_)).then(|| unsafe { &*std::ptr::from_ref(entry).cast() })
}

/// The entry that has these bytes, if any has.
pub(super) fn entry_of(bytes: &[u8; size_of::<Entry>()]) -> Option<Entry> {
    let tracked = &bytes[std::mem::offset_of!(Entry, tracked)..][..size_of::<Tracked>()];
    let is_whole = match tracked[TAG] {
        state if usize::from(state) < tcp::State::COUNT => true,
        tag if tag == tag_of(&Tracked::Udp) => true,
        tag if tag == tag_of(&Tracked::Call(sip::Call::default())) => true,
        tag if tag == tag_of(&Tracked::Sctp(sctp::Tracking::default())) => {
            usize::from(tracked[sctp_state_at()]) < sctp::State::COUNT
        }
        _ => false,
    };
    // SAFETY: all fields but `tracked` are integers. Of that, the tag is one that exists, and what
    // stands behind it are integers, bytes and a state, which are numbered from zero on.
    is_whole.then(|| unsafe { bytes.as_ptr().cast::<Entry>().read_unaligned() })
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
