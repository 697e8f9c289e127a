//! How many queues an interface has at this moment.

use std::ffi::CString;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

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

/// The queues of an interface that are in use, one at least of each kind. veth, tg3 and others have
/// more to receive from than to send through, if told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// Receive queues.
    pub receive: u32,
    /// Transmit queues. The kernel takes nothing from the tx ring of a socket whose queue is not among
    /// them, and says nothing (`xsk_generic_xmit`).
    pub transmit: u32,
}

impl Queues {
    /// What drivers have that do not answer.
    pub const ONE: Self = Self {
        receive: 1,
        transmit: 1,
    };

    /// Asks the driver of the interface `name`. None when it does not answer: drivers with one queue
    /// often do not.
    pub fn of(name: &str) -> Option<Self> {
        let channels = channels(&CString::new(name).ok()?).ok()?;
        Some(Self {
            receive: (channels.rx + channels.combined).max(1),
            transmit: (channels.tx + channels.combined).max(1),
        })
    }
}

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
