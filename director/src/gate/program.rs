//! Loading the gate and attaching it to an interface.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use libbpf_rs::libbpf_sys;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapHandle, OpenMapMut, OpenObject};

use super::carried::Carried;
use super::limits::READ_MAPS;
use super::map::name_of;
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

    pub(super) const fn flags(self) -> u32 {
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

/// Makes the maps of all instances: new ones, but for those `carried` from another director that fit.
/// They are there before any instance, so that the kernel can check all of these side by side.
pub(super) fn make_maps(flows: u32, roll: &RollPlan, carried: &Carried) -> Result<Maps, GateError> {
    let mut storage = MaybeUninit::uninit();
    let mut open = open(roll, &mut storage)?;
    flows::size(&mut open, flows).map_err(refused)?;
    carry(carried, &mut open).map_err(refused)?;
    for mut program in open.open_object_mut().progs_mut() {
        program.set_autoload(false);
    }
    let skel = open.load().map_err(refused)?;
    Maps::of(&skel).map_err(refused)
}

/// Loads an instance of the gate with these maps.
pub(super) fn load(
    instance: Instance<'_>,
    mode: XdpMode,
    maps: &Maps,
) -> Result<OwnedFd, GateError> {
    let mut storage = MaybeUninit::uninit();
    let mut open = open(instance.roll, &mut storage)?;
    if let Some(data) = open.maps.rodata_data.as_deref_mut() {
        data.PORT = instance.port;
        data.FAST_PATH = u32::from(instance.flows > 0 && mode == XdpMode::Native);
        data.ROLL_KEY = instance.roll.places.keys();
        data.ROLL_MASK = instance.roll.lines as u32 - 1;
    }
    maps.lend(&mut open).map_err(refused)?;
    let skel = open.load().map_err(refused)?;
    let program = skel.progs.gate.as_fd().try_clone_to_owned();
    program.map_err(|e| GateError::Load(e.to_string()))
}

fn open<'a>(
    roll: &RollPlan,
    storage: &'a mut MaybeUninit<OpenObject>,
) -> Result<OpenGateSkel<'a>, GateError> {
    let mut open = GateSkelBuilder::default().open(storage).map_err(refused)?;
    let words = roll.words() as u32;
    open.maps.roll.set_max_entries(words).map_err(refused)?;
    Ok(open)
}

fn carry(carried: &Carried, open: &mut OpenGateSkel<'_>) -> libbpf_rs::Result<()> {
    let maps = carried.maps();
    let same_flows = flows::ARRAYS.iter().all(|name| {
        let mut all = open.open_object_mut().maps_mut();
        let own = all.find(|own| name_of(own.name()) == Some(name));
        own.is_some_and(|own| maps.iter().any(|map| fits(map, &own)))
    });
    for mut own in open.open_object_mut().maps_mut() {
        let name = name_of(own.name()).unwrap_or_default();
        let is_strange = flows::ARRAYS.contains(&name) && !same_flows;
        if is_strange || READ_MAPS.contains(&name) || !carried.shares(name) {
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

/// Attaches an instance of the gate: natively when the driver can, else generically, unless one is
/// `wanted`. Says in which mode it is.
pub(super) fn attach(
    instance: Instance<'_>,
    interface: &Interface,
    wanted: Option<XdpMode>,
    maps: &Maps,
) -> Result<(XdpMode, OwnedFd), GateError> {
    let modes: &[XdpMode] = match wanted {
        None => &[XdpMode::Native, XdpMode::Generic],
        Some(XdpMode::Native) => &[XdpMode::Native],
        Some(XdpMode::Generic) => &[XdpMode::Generic],
    };
    let mut refusal = GateError::NoInterface;
    for &mode in modes {
        let program = load(instance, mode, maps)?;
        match bpf_link::attach(program.as_fd(), interface.index, Hook::Xdp(mode.flags())) {
            Ok(link) => return Ok((mode, link)),
            Err(error) => refusal = explain(interface, mode, error),
        }
        if matches!(refusal, GateError::Busy(_) | GateError::Permission) {
            break;
        }
    }
    Err(refusal)
}

/// Why an interface does not take the gate.
pub(super) fn explain(interface: &Interface, mode: XdpMode, error: io::Error) -> GateError {
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
