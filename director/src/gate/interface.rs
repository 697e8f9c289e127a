//! What has to be known of an interface before it is driven.

use std::ffi::CString;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::{GateError, MAX_QUEUES};

/// Where the kernel tells of interfaces.
const DEVICES: &str = "/sys/class/net";

/// `ETHTOOL_GCHANNELS` (`include/uapi/linux/ethtool.h`).
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    cmd: u32,
    max: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// A network interface of this namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its receive queues in use.
    pub queues: u32,
    /// Whether there is a device behind it, and not the kernel alone (veth).
    pub is_device: bool,
}

impl Interface {
    /// Looks `name` up.
    ///
    /// # Errors
    /// When there is none, or it has more queues than the gate has room for.
    pub fn find(name: &str) -> Result<Self, GateError> {
        let missing = || GateError::MissingInterface(name.to_owned());
        let c_name = CString::new(name).map_err(|_| missing())?;
        // SAFETY: `c_name` is a NUL-terminated string.
        let index = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
        if index == 0 || name.len() >= libc::IFNAMSIZ {
            return Err(missing());
        }
        let queues = channels(&c_name).map_or(1, |c| (c.rx + c.combined).max(1));
        if queues > MAX_QUEUES {
            return Err(GateError::TooManyQueues {
                name: name.to_owned(),
                queues,
                max: MAX_QUEUES,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            index,
            queues,
            is_device: Path::new(DEVICES).join(name).join("device").exists(),
        })
    }
}

/// Drivers with one queue often do not answer; the caller takes that for one.
fn channels(name: &CString) -> io::Result<Channels> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut channels = Channels {
        cmd: ETHTOOL_GCHANNELS,
        ..Channels::default()
    };
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut channels).cast();
    // SAFETY: `request` is an ifreq whose data points to an ethtool_channels, alive until the
    // call returns.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCETHTOOL, &mut request) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(channels)
    }
}
