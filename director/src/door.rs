//! The door to this host's own kernel: a TUN device, through which a packet that a worker has
//! taken from the network goes on as if it had come in there. What real servers on this host answer by
//! NAT comes out of it (`gate/answers.rs`), and goes back to the kernel by raw sockets where it is no
//! answer. Part of the unsafe floor.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::mem::{transmute, zeroed};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use libc::{
    IFF_NO_PI, IFF_TUN, IFF_UP, Ioctl, SIOCGIFFLAGS, SIOCSIFADDR, SIOCSIFFLAGS, SIOCSIFNETMASK,
    TUNSETIFF, c_short, ifreq, sockaddr, sockaddr_in,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::wire::Addr;

/// Name of the device; the kernel puts the first free number in.
const NAME: &CStr = c"bulwark%d";

/// `IN6_ADDR_GEN_MODE_NONE` (include/uapi/linux/if_link.h): no link-local address by itself.
const NO_ADDRESS: &str = "1";

/// The dummy address of RFC 7600: on a device without any, `rp_filter` drops everything.
const DUMMY: [u8; 4] = [192, 0, 0, 8];

/// Strict `rp_filter` (RFC 3704): what comes in here does not come from where its source is.
const STRICT: u8 = 1;
/// The loose one. The kernel goes by the larger of this and that of all devices.
const LOOSE: &str = "2";

/// The mark (`SO_MARK`) of what is given back to this host's kernel: nobody takes it for an answer again.
pub const GIVEN_BACK: u32 = 0x6277_6c6b;

/// The door, open. Dropping it takes the device away.
#[derive(Debug)]
pub struct Door {
    device: File,
    ifindex: u32,
    /// What gives packets back: by IPv4, and by IPv6 if this host has it.
    senders: [Option<Socket>; 2],
    is_listened_at: AtomicBool,
}

impl Door {
    /// Makes the device and sets it up.
    ///
    /// # Errors
    /// What the kernel refuses, and how to mend it.
    pub fn open() -> io::Result<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")?;
        let mut request = request_for(NAME);
        request.ifr_ifru.ifru_flags = (IFF_TUN | IFF_NO_PI) as c_short;
        control(device.as_fd(), TUNSETIFF, &mut request)?;
        let name = name_of(&request)?;
        let v6 = format!("/proc/sys/net/ipv6/conf/{name}/addr_gen_mode");
        // Without IPv6 there is nothing to set.
        let _ = fs::write(v6, NO_ADDRESS);
        loosen(&name)?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        request.ifr_ifru.ifru_addr = address(DUMMY);
        control(socket.as_fd(), SIOCSIFADDR, &mut request)?;
        request.ifr_ifru.ifru_netmask = address([255; 4]);
        control(socket.as_fd(), SIOCSIFNETMASK, &mut request)?;
        control(socket.as_fd(), SIOCGIFFLAGS, &mut request)?;
        // SAFETY: SIOCGIFFLAGS has just filled in this member of the union.
        unsafe { request.ifr_ifru.ifru_flags |= IFF_UP as c_short };
        control(socket.as_fd(), SIOCSIFFLAGS, &mut request)?;
        let v4 = sender(Domain::IPV4)?;
        Ok(Self {
            device,
            ifindex: index_of(&request),
            senders: [Some(v4), sender(Domain::IPV6).ok()],
            is_listened_at: AtomicBool::new(false),
        })
    }

    /// Index of the device.
    pub const fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Says whether answers are to come out of it.
    pub fn listen(&self, listens: bool) {
        self.is_listened_at.store(listens, Relaxed);
    }

    /// Whether answers may come out of it.
    #[inline]
    pub fn is_listened_at(&self) -> bool {
        self.is_listened_at.load(Relaxed)
    }

    /// The next IP datagram that comes out, put into `room`; its length, if there is one.
    pub fn take(&self, room: &mut [u8]) -> Option<usize> {
        (&self.device).read(room).ok()
    }

    /// Lets the kernel send an IP datagram of its own after all, to `to`; false when it does not.
    pub fn give_back(&self, datagram: &[u8], to: Addr) -> bool {
        let sender = match to.is_v4() {
            true => &self.senders[0],
            false => &self.senders[1],
        };
        let to = std::net::SocketAddr::new(IpAddr::from(to), 0);
        let sent = (sender.as_ref()).map(|sender| sender.send_to(datagram, &to.into()));
        sent.is_some_and(|sent| sent.is_ok())
    }

    /// Hands an IP datagram to the kernel; false when it does not take it.
    pub fn hand(&self, datagram: &[u8]) -> bool {
        (&self.device).write(datagram).is_ok()
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// A socket that sends whole datagrams as they are (`IPPROTO_RAW`), with the mark of what is given back.
fn sender(domain: Domain) -> io::Result<Socket> {
    let raw = Some(Protocol::from(libc::IPPROTO_RAW));
    let socket = Socket::new(domain, Type::from(libc::SOCK_RAW), raw)?;
    socket.set_nonblocking(true)?;
    socket.set_mark(GIVEN_BACK)?;
    Ok(socket)
}

fn index_of(request: &ifreq) -> u32 {
    // SAFETY: a name that ends in zero: the kernel has just put it there.
    unsafe { libc::if_nametoindex(request.ifr_name.as_ptr()) }
}

fn request_for(name: &CStr) -> ifreq {
    // SAFETY: `ifreq` is plain numbers, for which zero is a value.
    let mut request: ifreq = unsafe { zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.to_bytes()) {
        *slot = *byte as libc::c_char;
    }
    request
}

fn address(octets: [u8; 4]) -> sockaddr {
    // SAFETY: both are plain numbers, and of the same size.
    unsafe {
        let mut address: sockaddr_in = zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_addr.s_addr = u32::from_ne_bytes(octets);
        transmute(address)
    }
}

fn name_of(request: &ifreq) -> io::Result<String> {
    let bytes: Vec<u8> = (request.ifr_name.iter())
        .map(|byte| *byte as u8)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn control(fd: BorrowedFd<'_>, what: Ioctl, request: &mut ifreq) -> io::Result<()> {
    // SAFETY: each of these requests reads and writes one `ifreq`, which outlives the call.
    match unsafe { libc::ioctl(fd.as_raw_fd(), what, std::ptr::from_mut(request)) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Keeps the kernel from dropping what comes in as spoofed.
fn loosen(name: &str) -> io::Result<()> {
    let path = |device: &str| format!("/proc/sys/net/ipv4/conf/{device}/rp_filter");
    // It may be strict already, or not be ours to write: what counts is what holds then.
    let _ = fs::write(path(name), LOOSE);
    let read = |device: &str| -> io::Result<u8> {
        fs::read_to_string(path(device))?
            .trim()
            .parse()
            .map_err(io::Error::other)
    };
    match read("all")?.max(read(name)?) {
        STRICT => Err(io::Error::other(
            "rp_filter would drop all packets; set net.ipv4.conf.default.rp_filter to 2 or 0",
        )),
        _ => Ok(()),
    }
}
