//! Whether an interface bears a gate, whoever has put it there.

use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{MapCore, MapHandle};

use super::Interface;
use crate::bpf_link;

/// The name of the program, and of a map that all versions have, and others called so do not.
const PROGRAM: &str = "gate";
const MAP: &str = "cookie_counts";

/// Whether a gate of this or another version is on an interface. False when there is no such interface,
/// or the kernel does not tell.
pub fn bears_gate(name: &str) -> bool {
    let interface = Interface::find(name).ok();
    let program = interface.and_then(|it| bpf_link::program_on(it.index).ok()?);
    program.is_some_and(is_gate)
}

/// Whether the program of this number is a gate.
fn is_gate(number: u32) -> bool {
    let options = ProgInfoQueryOptions::default().include_map_ids(true);
    let mut all = ProgInfoIter::with_query_opts(options);
    let program = all.find(|program| program.id == number);
    program.is_some_and(|it| it.name == PROGRAM && it.map_ids.iter().any(|id| is_gates(*id)))
}

fn is_gates(map: u32) -> bool {
    MapHandle::from_map_id(map).is_ok_and(|map| map.name() == MAP)
}
