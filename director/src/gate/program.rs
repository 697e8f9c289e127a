//! Loading the gate and attaching it to an interface.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use libbpf_rs::libbpf_sys;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapHandle, OpenMapMut};

use super::maps::Maps;
use super::roll::RollPlan;
use super::skel::{GateSkelBuilder, OpenGateSkel};
use super::{GateError, Interface, flows};
use crate::bpf_link::{self, Hook};

/// Where the kernel runs the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, before there is an skb.
    Native,
    /// On skbs, after the driver: any interface can do it, slowly.
    Generic,
}

impl XdpMode {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Native, Self::Generic];

    const fn flags(self) -> u32 {
        match self {
            Self::Native => libbpf_sys::XDP_FLAGS_DRV_MODE,
            Self::Generic => libbpf_sys::XDP_FLAGS_SKB_MODE,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// How an instance of the gate is to be.
#[derive(Clone, Copy)]
pub(super) struct Instance<'a> {
    /// The number of its interface.
    pub(super) port: u32,
    /// Flows that it may know; 0 = no fast path.
    pub(super) flows: u32,
    pub(super) roll: &'a RollPlan,
}

/// The maps that an instance of the gate is to have.
pub(super) enum Base<'a> {
    /// New ones, but for those of another director that fit.
    New(&'a [MapHandle]),
    /// Those of an earlier instance.
    Earlier(&'a Maps),
}

/// Loads an instance of the gate.
pub(super) fn load(
    instance: Instance<'_>,
    mode: XdpMode,
    base: &Base<'_>,
) -> Result<(OwnedFd, Maps), GateError> {
    let mut storage = MaybeUninit::uninit();
    let mut open = GateSkelBuilder::default()
        .open(&mut storage)
        .map_err(refused)?;
    if let Some(data) = open.maps.rodata_data.as_deref_mut() {
        data.PORT = instance.port;
        data.FAST_PATH = u32::from(instance.flows > 0 && mode == XdpMode::Native);
        data.ROLL_KEY = instance.roll.places.keys();
        data.ROLL_MASK = instance.roll.lines as u32 - 1;
    }
    let words = instance.roll.words() as u32;
    open.maps.roll.set_max_entries(words).map_err(refused)?;
    match base {
        Base::New(carried) => {
            flows::size(&mut open, instance.flows).map_err(refused)?;
            carry(carried, &mut open).map_err(refused)?;
        }
        Base::Earlier(maps) => maps.lend(&mut open).map_err(refused)?,
    }
    let skel = open.load().map_err(refused)?;
    let program = skel.progs.gate.as_fd().try_clone_to_owned();
    let program = program.map_err(|e| GateError::Load(e.to_string()))?;
    Ok((program, Maps::of(&skel).map_err(refused)?))
}

fn carry(maps: &[MapHandle], open: &mut OpenGateSkel<'_>) -> libbpf_rs::Result<()> {
    let same_flows = flows::ARRAYS.iter().all(|name| {
        let mut all = open.open_object_mut().maps_mut();
        all.any(|own| own.name() == *name && maps.iter().any(|map| fits(map, &own)))
    });
    for mut own in open.open_object_mut().maps_mut() {
        let is_flows = flows::ARRAYS.iter().any(|name| own.name() == *name);
        if is_flows && !same_flows {
            continue;
        }
        if let Some(map) = maps.iter().find(|map| fits(map, &own)) {
            own.reuse_fd(map.as_fd())?;
        }
    }
    Ok(())
}

/// Whether `map` can be had in the place of `own`.
fn fits(map: &MapHandle, own: &OpenMapMut<'_>) -> bool {
    let same_size = (map.key_size(), map.value_size(), map.max_entries())
        == (own.key_size(), own.value_size(), own.max_entries());
    map.name() == own.name() && map.map_type() == own.map_type() && same_size
}

fn refused(error: libbpf_rs::Error) -> GateError {
    match bpf_link::lacks_privilege(&error) {
        true => GateError::Permission,
        false => GateError::Load(format!("{error:#}")),
    }
}

/// An instance that is attached.
pub(super) struct Attached {
    pub(super) mode: XdpMode,
    pub(super) link: OwnedFd,
    pub(super) maps: Maps,
}

/// Attaches an instance of the gate: natively when the driver can, else generically, unless one is
/// `wanted`.
pub(super) fn attach(
    instance: Instance<'_>,
    interface: &Interface,
    wanted: Option<XdpMode>,
    base: &Base<'_>,
) -> Result<Attached, GateError> {
    let modes: &[XdpMode] = match wanted {
        None => &[XdpMode::Native, XdpMode::Generic],
        Some(XdpMode::Native) => &[XdpMode::Native],
        Some(XdpMode::Generic) => &[XdpMode::Generic],
    };
    let mut refusal = GateError::NoInterface;
    for &mode in modes {
        let (program, maps) = load(instance, mode, base)?;
        match bpf_link::attach(program.as_fd(), interface.index, Hook::Xdp(mode.flags())) {
            Ok(link) => return Ok(Attached { mode, link, maps }),
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
        Some(libc::EPERM) => GateError::Permission,
        _ => GateError::Unsupported {
            name,
            mode: mode.name(),
            error,
        },
    }
}
