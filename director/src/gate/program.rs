//! Loading the gate and attaching it to an interface.

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use libbpf_rs::libbpf_sys;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};

use super::maps::Maps;
use super::skel::GateSkelBuilder;
use super::{GateError, Interface};

/// Where the kernel runs the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, before there is an skb.
    Native,
    /// On skbs, after the driver: any interface can do it, slowly.
    Generic,
}

impl XdpMode {
    const fn flags(self) -> u32 {
        match self {
            Self::Native => libbpf_sys::XDP_FLAGS_DRV_MODE,
            Self::Generic => libbpf_sys::XDP_FLAGS_SKB_MODE,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// Loads an instance of the gate for `port`, on the maps of an earlier one if there is one.
pub(super) fn load(port: u32, earlier: Option<&Maps>) -> Result<(OwnedFd, Maps), GateError> {
    let mut storage = MaybeUninit::uninit();
    let mut open = GateSkelBuilder::default()
        .open(&mut storage)
        .map_err(refused)?;
    if let Some(data) = open.maps.rodata_data.as_deref_mut() {
        data.PORT = port;
    }
    if let Some(maps) = earlier {
        maps.lend(&mut open).map_err(refused)?;
    }
    let skel = open.load().map_err(refused)?;
    let program = skel.progs.gate.as_fd().try_clone_to_owned();
    let program = program.map_err(|e| GateError::Load(e.to_string()))?;
    Ok((program, Maps::of(&skel).map_err(refused)?))
}

fn refused(error: libbpf_rs::Error) -> GateError {
    match error.kind() {
        libbpf_rs::ErrorKind::PermissionDenied => GateError::Permission,
        _ => GateError::Load(format!("{error:#}")),
    }
}

/// Attaches `program`: natively when the driver can, else generically, unless one is `wanted`.
pub(super) fn attach(
    program: &OwnedFd,
    interface: &Interface,
    wanted: Option<XdpMode>,
) -> Result<(XdpMode, OwnedFd), GateError> {
    let modes: &[XdpMode] = match wanted {
        None => &[XdpMode::Native, XdpMode::Generic],
        Some(XdpMode::Native) => &[XdpMode::Native],
        Some(XdpMode::Generic) => &[XdpMode::Generic],
    };
    let mut refusal = GateError::NoInterface;
    for &mode in modes {
        match link(program, interface.index, mode) {
            Ok(link) => return Ok((mode, link)),
            Err(error) => refusal = explain(interface, mode, error),
        }
        if matches!(refusal, GateError::Busy(_) | GateError::Permission) {
            break;
        }
    }
    Err(refusal)
}

fn explain(interface: &Interface, mode: XdpMode, error: io::Error) -> GateError {
    let name = interface.name.clone();
    match error.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => GateError::Busy(name),
        Some(libc::EPERM | libc::EACCES) => GateError::Permission,
        _ => GateError::Unsupported {
            name,
            mode: mode.name(),
            error,
        },
    }
}

fn link(program: &OwnedFd, ifindex: u32, mode: XdpMode) -> io::Result<OwnedFd> {
    // SAFETY: all zeroes is the documented default of libbpf's option structs.
    let mut options: libbpf_sys::bpf_link_create_opts = unsafe { zeroed() };
    options.sz = size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t;
    options.flags = mode.flags();
    // SAFETY: a program descriptor that we own and an options struct that outlives the call.
    let fd = unsafe {
        libbpf_sys::bpf_link_create(
            program.as_raw_fd(),
            ifindex as i32,
            libbpf_sys::BPF_XDP,
            &options,
        )
    };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
