//! The system calls of AF_XDP.

use std::io;
use std::mem::{size_of_val, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `XDP_MAX_TX_SKB_BUDGET` (`include/uapi/linux/if_xdp.h`, kernel 6.17): how many packets one
/// `sendto` moves in copy mode. 32 when not set.
const XDP_MAX_TX_SKB_BUDGET: i32 = 9;

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

pub(super) fn socket() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    check(fd)?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set<T>(fd: BorrowedFd<'_>, option: i32, value: &T) -> io::Result<()> {
    let len = size_of_val(value) as libc::socklen_t;
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: `value` points to `len` readable bytes for the time of the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_XDP, option, value, len) })
}

fn get<T>(fd: BorrowedFd<'_>, level: i32, option: i32, value: &mut T) -> io::Result<()> {
    let mut len = size_of_val(value) as libc::socklen_t;
    let value = std::ptr::from_mut(value).cast();
    // SAFETY: `value` points to `len` writable bytes of a plain integer struct.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, value, &mut len) })
}

pub(super) fn register_umem(
    fd: BorrowedFd<'_>,
    addr: u64,
    len: u64,
    chunk_size: u32,
) -> io::Result<()> {
    let reg = libc::xdp_umem_reg {
        addr,
        len,
        chunk_size,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    set(fd, libc::XDP_UMEM_REG, &reg)
}

pub(super) fn ring_size(fd: BorrowedFd<'_>, ring: i32, entries: u32) -> io::Result<()> {
    set(fd, ring, &entries)
}

pub(super) fn tx_budget(fd: BorrowedFd<'_>, packets: u32) -> io::Result<()> {
    set(fd, XDP_MAX_TX_SKB_BUDGET, &packets)
}

pub(super) fn mmap_offsets(fd: BorrowedFd<'_>) -> io::Result<libc::xdp_mmap_offsets> {
    // SAFETY: a struct of integers, for which all zeroes is a value.
    let mut offsets = unsafe { zeroed() };
    get(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, &mut offsets)?;
    Ok(offsets)
}

pub(super) fn statistics(fd: BorrowedFd<'_>) -> io::Result<libc::xdp_statistics> {
    // SAFETY: as above.
    let mut statistics = unsafe { zeroed() };
    get(fd, libc::SOL_XDP, libc::XDP_STATISTICS, &mut statistics)?;
    Ok(statistics)
}

/// The error that waits to be told (`SO_ERROR`); 0 = none.
pub(super) fn pending_error(fd: BorrowedFd<'_>) -> io::Result<i32> {
    let mut error = 0;
    get(fd, libc::SOL_SOCKET, libc::SO_ERROR, &mut error)?;
    Ok(error)
}

pub(super) fn bind(
    fd: BorrowedFd<'_>,
    ifindex: u32,
    queue: u32,
    flags: u16,
    share: u32,
) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: flags,
        sxdp_ifindex: ifindex,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: share,
    };
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: `address` is a socket address of `len` bytes.
    check(unsafe { libc::bind(fd.as_raw_fd(), std::ptr::from_ref(&address).cast(), len) })
}

/// Makes the kernel look at the tx ring. What it could not do at once stays in the ring.
pub(super) fn kick_tx(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no memory is passed.
    let sent = unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            std::ptr::null(),
            0,
            libc::MSG_DONTWAIT,
            std::ptr::null(),
            0,
        )
    };
    match check(sent as i32) {
        Err(error) if !is_passing(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The kernel is busy, short of memory, or the interface is down for now.
fn is_passing(error: &io::Error) -> bool {
    let passing = [libc::EAGAIN, libc::EBUSY, libc::ENOBUFS, libc::ENETDOWN];
    error
        .raw_os_error()
        .is_some_and(|code| passing.contains(&code))
}

/// Makes the kernel look at the fill ring.
pub(super) fn kick_rx(fd: BorrowedFd<'_>) {
    // SAFETY: no memory is passed.
    unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            std::ptr::null_mut(),
            0,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
}

/// Sleeps until one of `fds` has something to read, or for `timeout_ms`.
pub(super) fn poll(fds: &mut [libc::pollfd], timeout_ms: i32) -> io::Result<()> {
    // SAFETY: a slice of pollfd with its own length.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ms) };
    match check(ready) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        polled => polled,
    }
}
