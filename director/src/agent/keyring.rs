//! The keys that the program holds, and what it has made of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use nix::time::{ClockId, clock_gettime};

use super::AgentError;
use crate::channel::{Able, Keys, KeysOf};
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
    able: Able,
    /// What each director has told, the latest last.
    told: Vec<Told>,
    held: BTreeMap<SocketAddr, [u8; BYTES]>,
}

/// What a director has told.
#[derive(Clone, Debug)]
struct Told {
    director: usize,
    keys: Keys,
    /// Until when that is good, by the clock of the program.
    until: u64,
}

impl Keyring {
    /// An empty one.
    pub(super) fn new(guests: MapHandle, declined: MapHandle) -> Self {
        Self {
            guests,
            declined,
            able: Able::default(),
            told: Vec::new(),
            held: BTreeMap::new(),
        }
    }

    /// The endpoints that there are keys for.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = SocketAddr> {
        self.held.keys().copied()
    }

    /// Makes `keys` all that there are of a director, for as long as their lease from now on.
    ///
    /// # Errors
    /// When the map is full; some of the keys are in force then.
    pub(super) fn install(&mut self, director: usize, keys: &Keys) -> Result<(), AgentError> {
        self.told.retain(|told| told.director != director);
        self.told.push(Told {
            director,
            keys: keys.clone(),
            until: until(keys.lease),
        });
        self.write()
    }

    /// Keeps the keys of a director for `lease` seconds from now on.
    ///
    /// # Errors
    /// When the map is full.
    pub(super) fn renew(&mut self, director: usize, lease: u32) -> Result<(), AgentError> {
        let mut told = self.told.iter_mut();
        if let Some(told) = told.find(|told| told.director == director) {
            told.until = until(lease);
        }
        self.write()
    }

    /// Has no more taken up of a cookie than this kernel does: what it refuses is told apart from what
    /// a client has made up. To be called before directors are told.
    ///
    /// # Errors
    /// When the map is full.
    pub(super) fn set_able(&mut self, able: Able) -> Result<(), AgentError> {
        if self.able == able {
            return Ok(());
        }
        self.able = able;
        self.write()
    }

    fn write(&mut self) -> Result<(), AgentError> {
        let now = until(0);
        self.told.retain(|told| told.until > now);
        let wanted = guests(&self.told, able_bits(self.able));
        let gone = self
            .held
            .keys()
            .filter(|endpoint| !wanted.contains_key(endpoint));
        for endpoint in gone.copied().collect::<Vec<_>>() {
            self.guests.delete(&place(endpoint)).map_err(of("guests"))?;
            self.held.remove(&endpoint);
        }
        for (endpoint, bytes) in wanted {
            let told = self.guests.update(&place(endpoint), &bytes, MapFlags::ANY);
            told.map_err(of("guests"))?;
            self.held.insert(endpoint, bytes);
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

/// The bits of `able` in `struct guests`.
fn able_bits(able: Able) -> u8 {
    [able.sack, able.scale, able.timestamps, able.ecn]
        .into_iter()
        .enumerate()
        .map(|(bit, able)| u8::from(able) << bit)
        .sum()
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

/// When a lease of so many seconds ends that begins now.
fn until(lease: u32) -> u64 {
    monotonic_nanoseconds() + u64::from(lease) * 1_000_000_000
}

/// `struct place`.
fn place(endpoint: SocketAddr) -> [u8; 20] {
    let Endpoint { addr, port } = endpoint.into();
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(addr.octets());
    bytes[16..18].copy_from_slice(&port.to_be_bytes());
    bytes
}

/// What there is for one endpoint.
#[derive(Default)]
struct Guests<'t> {
    /// By their numbers: directors that share keys tell of the same ones.
    services: BTreeMap<u16, &'t KeysOf>,
    until: u64,
    scale: u8,
}

/// `struct guests` of each endpoint. A director tells of no more services than there is room for; of
/// what two tell about one, the latest word counts.
fn guests(all: &[Told], able: u8) -> BTreeMap<SocketAddr, [u8; BYTES]> {
    let mut by_endpoint: BTreeMap<SocketAddr, Guests<'_>> = BTreeMap::new();
    for told in all {
        for of in &told.keys.services {
            let guests = by_endpoint.entry(of.endpoint).or_default();
            guests.services.insert(of.service, of);
            guests.until = guests.until.max(told.until);
            guests.scale = told.keys.scale;
        }
    }
    let bytes_of = |guests: &Guests<'_>| {
        let mut bytes = [0; BYTES];
        let services: Vec<_> = guests.services.values().copied().collect();
        let count = services.len().min(SERVICES);
        for (to, of) in bytes
            .chunks_exact_mut(SERVICE_BYTES)
            .zip(&services[..count])
        {
            write(of, to);
        }
        let at = SERVICES * SERVICE_BYTES;
        bytes[at..at + 8].copy_from_slice(&guests.until.to_ne_bytes());
        let at = at + 8;
        bytes[at..at + 4].copy_from_slice(&(count as u32).to_ne_bytes());
        (bytes[at + 4], bytes[at + 5]) = (guests.scale, able);
        bytes
    };
    let entries = by_endpoint.into_iter();
    entries
        .map(|(endpoint, guests)| (endpoint, bytes_of(&guests)))
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
    fn each_ability_has_its_bit() {
        let able = Able {
            sack: true,
            timestamps: true,
            ..Able::default()
        };
        assert_eq!(able_bits(able), 0b0101);
        let able = Able {
            scale: true,
            ecn: true,
            ..Able::default()
        };
        assert_eq!(able_bits(able), 0b1010);
    }

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
        let told = |director, keys: &Keys, until| Told {
            director,
            keys: keys.clone(),
            until,
        };
        let guests = guests(&[told(0, &keys, 9)], 5);
        assert_eq!(guests.len(), 2);
        let both = guests[&"10.0.0.1:80".parse().unwrap()];
        assert_eq!(both[16..32], [1; 16]);
        assert_eq!(both[32..35], [3, 0, 2]);
        assert_eq!(both[56..72], [2; 16]);
        assert_eq!(both[72..75], [4, 0, 2]);
        assert_eq!(
            both[160..176],
            [9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 7, 5, 0, 0]
        );

        // A second director that shares the first service, and has one of its own.
        let others = Keys {
            services: vec![of(3, "10.0.0.1:80", 8), of(9, "10.0.0.1:80", 9)],
            ..keys.clone()
        };
        let guests = super::guests(&[told(0, &keys, 9), told(1, &others, 7)], 5);
        let all = guests[&"10.0.0.1:80".parse().unwrap()];
        assert_eq!(all[16..32], [8; 16], "the latest word");
        assert_eq!(all[160..170], [9, 0, 0, 0, 0, 0, 0, 0, 3, 0]);
    }
}
