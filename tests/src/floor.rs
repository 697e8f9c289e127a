//! The unsafe floor of the testbed: the system calls that have no safe wrapper here.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Moves the calling thread into the network namespace that `namespace` refers to.
///
/// # Errors
/// What setns(2) says: not root, or not a network namespace.
pub fn enter_network_namespace(namespace: &File) -> io::Result<()> {
    // SAFETY: setns takes a descriptor and a flag and touches no memory of ours.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// The index of an interface in the calling thread's network namespace.
///
/// # Errors
/// `NotFound` when there is no such interface.
pub fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// A packet socket bound to `interface` in the calling thread's namespace: a write sends one
/// Ethernet frame, a read takes one that came in (never one that we sent; packet(7)).
/// A read gives up after `patience` with `WouldBlock`.
///
/// # Errors
/// What the system calls say: not root, no such interface.
pub fn packet_socket(interface: &str, patience: Duration) -> io::Result<File> {
    let index = interface_index(interface)?;
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: socket(2) touches no memory of ours; the descriptor is checked before it is owned.
    let socket = unsafe {
        let fd = check(libc::socket(
            libc::AF_PACKET,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            i32::from(protocol),
        ))?;
        OwnedFd::from_raw_fd(fd)
    };
    set_option(
        &socket,
        libc::SOL_PACKET,
        libc::PACKET_IGNORE_OUTGOING,
        &1i32,
    )?;
    let patience = libc::timeval {
        tv_sec: patience.as_secs() as libc::time_t,
        tv_usec: libc::suseconds_t::from(patience.subsec_micros()),
    };
    set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience)?;
    // SAFETY: all-zero bytes are a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = index as i32;
    // SAFETY: `address` is a sockaddr_ll of the size that is given, alive during the call.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as u32,
        )
    })?;
    Ok(File::from(socket))
}

/// Sets the soft limit of open files of this process to its hard limit.
///
/// # Errors
/// What setrlimit(2) says.
pub fn raise_open_files() -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is an rlimit that getrlimit fills and setrlimit reads during the calls.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)).map(drop)
    }
}

/// The last CPU of the machine, whichever the calling thread may run on.
pub fn last_cpu() -> usize {
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(online).unwrap_or(1).max(1) - 1
}

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// When there is no such CPU.
pub fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    keep_to_cpus(cpu..cpu + 1)
}

/// Keeps the calling thread, and all that it begins from then on, to some CPUs.
///
/// # Errors
/// When there is none of these.
pub fn keep_to_cpus(cpus: Range<usize>) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid, empty cpu_set_t; CPU_SET stays in it for any index, and
    // sched_setaffinity reads it during the call.
    check(unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        for cpu in cpus {
            libc::CPU_SET(cpu % libc::CPU_SETSIZE as usize, &mut set);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    })
    .map(drop)
}

/// Disables the UDP checksum of an IPv4 socket: it sends zero, "no checksum" (RFC 768).
///
/// # Errors
/// What setsockopt(2) says.
pub fn send_without_checksum(socket: &std::net::UdpSocket) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, &1i32)
}

fn set_option<T>(socket: &impl AsRawFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: `value` is alive during the call and its true size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as u32,
        )
    };
    check(result).map(drop)
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// What a TCP socket will send next and what it expects, as sequence numbers (`TCP_REPAIR`, which
/// needs root). The connection goes on as if nothing had been asked.
pub fn tcp_numbers(socket: &std::net::TcpStream) -> io::Result<(u32, u32)> {
    const RECEIVED: libc::c_int = 1;
    const SENT: libc::c_int = 2;
    const ON: libc::c_int = 1;
    /// `TCP_REPAIR_OFF_NO_WP`: without a window probe.
    const OFF: libc::c_int = -1;
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_REPAIR, &ON)?;
    let number = |queue| {
        set_option(socket, libc::IPPROTO_TCP, libc::TCP_REPAIR_QUEUE, &queue)?;
        tcp_option(socket, libc::TCP_QUEUE_SEQ)
    };
    let numbers = number(SENT).and_then(|sent| Ok((sent, number(RECEIVED)?)));
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_REPAIR, &OFF)?;
    numbers
}

fn tcp_option(socket: &std::net::TcpStream, name: libc::c_int) -> io::Result<u32> {
    let mut value = 0u32;
    let mut length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: a live socket; `value` is written for its own length at most.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(value)
    }
}
