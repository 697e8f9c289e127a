//! The BPF programs of the benchmark kit, loaded and attached.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, ProgramMut};

use crate::wait;

/// How long an interface may keep a program that was detached.
const PATIENCE: Duration = Duration::from_secs(5);

/// What build.rs has compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `generate` and `pass`.
    Generator,
    /// `sink`.
    Responder,
    /// `to_socket`.
    L2Forward,
    /// `drive` and `drive_answered`.
    Drive,
    /// What the gate is measured by.
    Peers,
}

impl Source {
    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Generator => include_bytes!(concat!(env!("OUT_DIR"), "/generator.bpf.o")),
            Self::Responder => include_bytes!(concat!(env!("OUT_DIR"), "/responder.bpf.o")),
            Self::L2Forward => include_bytes!(concat!(env!("OUT_DIR"), "/l2fwd.bpf.o")),
            Self::Drive => include_bytes!(concat!(env!("OUT_DIR"), "/drive.bpf.o")),
            Self::Peers => include_bytes!(concat!(env!("OUT_DIR"), "/peers.bpf.o")),
        }
    }
}

/// Loads the programs and maps of `source`.
///
/// # Errors
/// When the kernel refuses them: most often, not root.
pub fn load(source: Source) -> Result<Object> {
    load_sized(source, &[])
}

/// The same, with other numbers of entries in some of its maps.
///
/// # Errors
/// As [`load`], or when there is no such map.
pub fn load_sized(source: Source, sizes: &[(&str, u32)]) -> Result<Object> {
    let mut builder = ObjectBuilder::default();
    let mut open = builder.open_memory(source.bytes())?;
    for &(name, entries) in sizes {
        let map = open.maps_mut().find(|map| map.name() == name);
        let mut map = map.with_context(|| format!("no map {name}"))?;
        map.set_max_entries(entries)?;
    }
    open.load()
        .with_context(|| format!("cannot load {source:?}"))
}

/// A program of `object`.
///
/// # Errors
/// When there is none of that name.
pub fn program<'object>(object: &'object Object, name: &str) -> Result<ProgramMut<'object>> {
    object
        .progs_mut()
        .find(|program| program.name() == name)
        .with_context(|| format!("no program {name}"))
}

/// A map of `object`.
///
/// # Errors
/// When there is none of that name.
pub fn map(object: &Object, name: &str) -> Result<MapHandle> {
    let map = object.maps().find(|map| map.name() == name);
    Ok(MapHandle::try_from(
        &map.with_context(|| format!("no map {name}"))?,
    )?)
}

/// A map of this name that a process has open, or one that libbpf has made of a variable called so.
///
/// # Errors
/// When it has none.
pub fn map_of(process: u32, name: &str) -> Result<MapHandle> {
    let variable = format!(".bss.{name}");
    for about in fs::read_dir(format!("/proc/{process}/fdinfo"))? {
        // A descriptor may be closed meanwhile.
        let about = fs::read_to_string(about?.path()).unwrap_or_default();
        let id = about.lines().find_map(|line| line.strip_prefix("map_id:"));
        let Some(id) = id.and_then(|id| id.trim().parse().ok()) else {
            continue;
        };
        let map = MapHandle::from_map_id(id)?;
        if map.name() == name || map.name() == variable.as_str() {
            return Ok(map);
        }
    }
    bail!("process {process} has no map {name}")
}

/// Attaches the program `name` to an interface of the calling thread's namespace, until the link
/// is dropped. A program whose link was dropped may still be there: a process that is just being
/// started has its descriptor, too, until it runs another program.
///
/// # Errors
/// When the interface has a program that stays.
pub fn attach(object: &Object, name: &str, interface: &str) -> Result<Link> {
    let index = crate::floor::interface_index(interface)?;
    wait::until("the interface to take it", PATIENCE, || {
        let link = program(object, name)?.attach_xdp(index as i32);
        link.with_context(|| format!("cannot attach {name} to {interface}"))
    })
}

/// The sum of a per-CPU counter.
///
/// # Errors
/// When `map` is no per-CPU array of 64-bit counters.
pub fn counter(map: &MapHandle, index: u32) -> Result<u64> {
    let values = map
        .lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)?
        .context("no such counter")?;
    values
        .iter()
        .map(|value| Ok(u64::from_ne_bytes(value.as_slice().try_into()?)))
        .sum()
}
