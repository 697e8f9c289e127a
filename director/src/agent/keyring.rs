//! The keys that the program holds, and what it has made of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use nix::time::{ClockId, clock_gettime};

use super::AgentError;
use crate::channel::{Keys, KeysOf};
use crate::wire::Endpoint;

/// Services whose connections may come to one endpoint (`SERVICES` in `bpf/agent/cookie.h`).
const SERVICES: usize = 4;

/// Size of `struct service_keys`.
const SERVICE_BYTES: usize = 40;

/// Size of `struct guests`.
const BYTES: usize = SERVICES * SERVICE_BYTES + 16;

/// The maps of the program that are about cookies.
#[derive(Debug)]
pub(super) struct Keyring {
    guests: MapHandle,
    declined: MapHandle,
    held: BTreeMap<SocketAddr, [u8; BYTES]>,
}

impl Keyring {
    /// An empty one.
    pub(super) const fn new(guests: MapHandle, declined: MapHandle) -> Self {
        Self {
            guests,
            declined,
            held: BTreeMap::new(),
        }
    }

    /// The endpoints that there are keys for.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = SocketAddr> {
        self.held.keys().copied()
    }

    /// Makes `keys` all that there are, for as long as their lease from now on.
    ///
    /// # Errors
    /// When the map is full; some of the keys are in force then.
    pub(super) fn install(&mut self, keys: &Keys) -> Result<(), AgentError> {
        let wanted = guests(keys);
        let gone = self
            .held
            .keys()
            .filter(|endpoint| !wanted.contains_key(endpoint));
        for endpoint in gone.copied().collect::<Vec<_>>() {
            self.guests.delete(&place(endpoint)).map_err(of("guests"))?;
            self.held.remove(&endpoint);
        }
        self.held.extend(wanted);
        self.renew(keys.lease)
    }

    /// Keeps the keys for `lease` seconds from now on.
    ///
    /// # Errors
    /// When the map is full.
    pub(super) fn renew(&self, lease: u32) -> Result<(), AgentError> {
        let until = monotonic_nanoseconds() + u64::from(lease) * 1_000_000_000;
        for (endpoint, bytes) in &self.held {
            let mut bytes = *bytes;
            let at = SERVICES * SERVICE_BYTES;
            bytes[at..at + 8].copy_from_slice(&until.to_ne_bytes());
            let told = self.guests.update(&place(*endpoint), &bytes, MapFlags::ANY);
            told.map_err(of("guests"))?;
        }
        Ok(())
    }

    /// How often the kernel has taken no connection to `endpoint`.
    pub(super) fn declined(&self, endpoint: SocketAddr) -> u64 {
        let count = self.declined.lookup(&place(endpoint), MapFlags::ANY);
        let count = count.ok().flatten();
        count
            .and_then(|bytes| Some(u64::from_ne_bytes(*bytes.first_chunk()?)))
            .unwrap_or(0)
    }
}

fn of(map: &'static str) -> impl Fn(libbpf_rs::Error) -> AgentError {
    move |source| AgentError::Map { map, source }
}

/// As `bpf_ktime_get_ns()` has it.
fn monotonic_nanoseconds() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |now| {
        now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
    })
}

/// `struct place`.
fn place(endpoint: SocketAddr) -> [u8; 20] {
    let Endpoint { addr, port } = endpoint.into();
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(addr.octets());
    bytes[16..18].copy_from_slice(&port.to_be_bytes());
    bytes
}

/// `struct guests` of each endpoint, without its end. The director tells of no more services than
/// there is room for.
fn guests(keys: &Keys) -> BTreeMap<SocketAddr, [u8; BYTES]> {
    let mut by_endpoint: BTreeMap<SocketAddr, Vec<&KeysOf>> = BTreeMap::new();
    for of in &keys.services {
        by_endpoint.entry(of.endpoint).or_default().push(of);
    }
    let bytes_of = |services: &[&KeysOf]| {
        let mut bytes = [0; BYTES];
        let count = services.len().min(SERVICES);
        for (to, of) in bytes
            .chunks_exact_mut(SERVICE_BYTES)
            .zip(&services[..count])
        {
            write(of, to);
        }
        let at = SERVICES * SERVICE_BYTES + 8;
        bytes[at..at + 4].copy_from_slice(&(count as u32).to_ne_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&u32::from(keys.scale).to_ne_bytes());
        bytes
    };
    let entries = by_endpoint.into_iter();
    entries
        .map(|(endpoint, services)| (endpoint, bytes_of(&services)))
        .collect()
}

fn write(of: &KeysOf, to: &mut [u8]) {
    for (to, key) in to.chunks_exact_mut(16).zip(of.keys) {
        to.copy_from_slice(&key.map_or([0; 16], |key| key.0));
    }
    to[32..34].copy_from_slice(&of.service.to_ne_bytes());
    let has = |parity: usize| u8::from(of.keys[parity].is_some()) << parity;
    to[34] = has(0) | has(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::SecretKey;

    #[test]
    fn services_of_one_endpoint_stand_together() {
        let of = |service, endpoint: &str, key| KeysOf {
            service,
            endpoint: endpoint.parse().unwrap(),
            keys: [None, Some(SecretKey([key; 16]))],
        };
        let keys = Keys {
            scale: 7,
            services: vec![
                of(3, "10.0.0.1:80", 1),
                of(4, "10.0.0.1:80", 2),
                of(5, "10.0.0.1:81", 3),
            ],
            ..Keys::default()
        };
        let guests = guests(&keys);
        assert_eq!(guests.len(), 2);
        let both = guests[&"10.0.0.1:80".parse().unwrap()];
        assert_eq!(both[16..32], [1; 16]);
        assert_eq!(both[32..35], [3, 0, 2]);
        assert_eq!(both[56..72], [2; 16]);
        assert_eq!(both[72..75], [4, 0, 2]);
        assert_eq!(both[168..176], [2, 0, 0, 0, 7, 0, 0, 0]);
    }
}
