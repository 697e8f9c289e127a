//! One map of the gate: its name, and how its keys and values are read and written.

use std::ffi::OsStr;

use libbpf_rs::{MapCore, MapFlags, MapHandle};

use crate::wire::Endpoint;

/// What libbpf calls the map that it makes of a variable begins so (`bpf/memory.h`).
const MEMORY: &str = ".bss.";

/// The name of a map as `bpf/` has it; none of those that libbpf makes for constants.
pub(super) fn name_of(map: &OsStr) -> Option<&str> {
    let name = map.to_str()?;
    let name = name.strip_prefix(MEMORY).unwrap_or(name);
    (!name.contains('.')).then_some(name)
}

/// `struct endpoint` of `bpf/address.h`.
pub(super) fn endpoint_key(protocol: u8, endpoint: Endpoint) -> [u8; 20] {
    let mut key = [0; 20];
    key[..16].copy_from_slice(endpoint.addr.octets());
    key[16..18].copy_from_slice(&endpoint.port.to_be_bytes());
    key[18] = protocol;
    key
}

/// The sum over all CPUs of the counter at `slot`.
pub(super) fn sum_percpu(map: &MapHandle, slot: u32) -> libbpf_rs::Result<u64> {
    sums_percpu(map, slot).map(|[sum]| sum)
}

/// The sums over all CPUs of the counters that the entry at `slot` has.
pub(super) fn sums_percpu<const N: usize>(
    map: &MapHandle,
    slot: u32,
) -> libbpf_rs::Result<[u64; N]> {
    let values = map.lookup_percpu(&slot.to_ne_bytes(), MapFlags::ANY)?;
    let mut sums = [0; N];
    for value in values.unwrap_or_default() {
        for (sum, count) in sums.iter_mut().zip(value.chunks_exact(size_of::<u64>())) {
            *sum += count
                .first_chunk()
                .map_or(0, |count| u64::from_ne_bytes(*count));
        }
    }
    Ok(sums)
}

/// Has the counter at `slot` count from 0 again.
pub(super) fn zero_percpu(map: &MapHandle, slot: u32) -> libbpf_rs::Result<()> {
    let cpus = libbpf_rs::num_possible_cpus()?;
    let zeroes = vec![0u64.to_ne_bytes().to_vec(); cpus];
    map.update_percpu(&slot.to_ne_bytes(), &zeroes, MapFlags::ANY)
}

/// Sets what `key` has in a map; nothing takes it out.
pub(super) fn put<const N: usize>(
    map: &MapHandle,
    key: &[u8],
    value: Option<[u8; N]>,
) -> libbpf_rs::Result<()> {
    let Some(value) = value else {
        return match map.delete(key) {
            Err(e) if e.kind() == libbpf_rs::ErrorKind::NotFound => Ok(()),
            result => result,
        };
    };
    map.update(key, &value, MapFlags::ANY)
}
