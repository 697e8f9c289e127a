//! The keys that the program holds, and what it has made of them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use nix::time::{ClockId, clock_gettime};

use super::AgentError;
use crate::channel::{Able, Keys, KeysOf};
use crate::wire::Endpoint;

/// Services whose connections may come to one endpoint (`SERVICES` in `bpf/agent/cookie.h`).
const SERVICES: usize = 4;

/// A director says something twice a second; after so long, in nanoseconds, it is taken for gone.
const SILENCE: u64 = 5_000_000_000;

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

/// What a director has told; moments by the clock of the program.
#[derive(Clone, Debug)]
struct Told {
    director: usize,
    keys: Keys,
    /// When it has said so, or that it stays so.
    heard: u64,
    /// Until when that is good.
    until: u64,
}

impl Told {
    /// Who is silent makes room for others.
    const fn is_silent(&self, now: u64) -> bool {
        self.heard + SILENCE < now
    }
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

    /// Makes `keys` all that there are of a director, for as long as their lease from now on; false when
    /// an endpoint has no room for some, beside those of other directors. These are left out.
    ///
    /// # Errors
    /// When the map is full; some of the keys are in force then.
    pub(super) fn install(&mut self, director: usize, keys: &Keys) -> Result<bool, AgentError> {
        let now = monotonic_nanoseconds();
        self.told.retain(|told| told.director != director);
        let others = self.told.iter();
        let fitting = fitting(others.filter(|told| !told.is_silent(now)), keys);
        let all = fitting.len() == keys.services.len();
        self.told.push(Told {
            director,
            keys: Keys {
                services: fitting,
                ..keys.clone()
            },
            heard: now,
            until: now + nanoseconds(keys.lease),
        });
        self.write().map(|()| all)
    }

    /// Keeps the keys of a director for `lease` seconds from now on.
    ///
    /// # Errors
    /// When the map is full.
    pub(super) fn renew(&mut self, director: usize, lease: u32) -> Result<(), AgentError> {
        let now = monotonic_nanoseconds();
        let mut told = self.told.iter_mut();
        if let Some(told) = told.find(|told| told.director == director) {
            (told.heard, told.until) = (now, now + nanoseconds(lease));
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
        let now = monotonic_nanoseconds();
        self.told.retain(|told| told.until > now);
        let wanted = guests(&self.told, now, able_bits(self.able));
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

const fn nanoseconds(seconds: u32) -> u64 {
    seconds as u64 * 1_000_000_000
}

/// `struct place`.
fn place(endpoint: SocketAddr) -> [u8; 20] {
    let Endpoint { addr, port } = endpoint.into();
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(addr.octets());
    bytes[16..18].copy_from_slice(&port.to_be_bytes());
    bytes
}

/// Whether two directors tell of one service of an endpoint: those that have a secret in common have the
/// same number and the same keys for it, if not always both. Others may use that number for another.
fn are_of_one_service(a: &KeysOf, b: &KeysOf) -> bool {
    let held = a.keys.iter().flatten();
    a.service == b.service && held.into_iter().any(|key| b.keys.contains(&Some(*key)))
}

/// Puts a service among those of an endpoint if it is there already or there is room.
fn takes<'k>(services: &mut Vec<&'k KeysOf>, of: &'k KeysOf) -> bool {
    if services.iter().any(|other| are_of_one_service(other, of)) {
        return true;
    }
    let room = services.len() < SERVICES;
    if room {
        services.push(of);
    }
    room
}

/// The services of `keys` that their endpoints have room for, beside those of `others`.
fn fitting<'t>(others: impl Iterator<Item = &'t Told>, keys: &'t Keys) -> Vec<KeysOf> {
    let mut taken: HashMap<SocketAddr, Vec<&KeysOf>> = HashMap::new();
    for of in others.flat_map(|told| &told.keys.services) {
        takes(taken.entry(of.endpoint).or_default(), of);
    }
    let fits = |of: &&'t KeysOf| takes(taken.entry(of.endpoint).or_default(), of);
    keys.services.iter().filter(fits).cloned().collect()
}

/// What there is for one endpoint.
#[derive(Default)]
struct Guests<'t> {
    services: Vec<&'t KeysOf>,
    until: u64,
    scale: u8,
}

/// `struct guests` of each endpoint. Of what two directors tell about one service the latest word counts;
/// who is silent comes last.
fn guests(all: &[Told], now: u64, able: u8) -> BTreeMap<SocketAddr, [u8; BYTES]> {
    let mut by_endpoint: BTreeMap<SocketAddr, Guests<'_>> = BTreeMap::new();
    let latest_first = all.iter().rev();
    let (silent, heard): (Vec<_>, Vec<_>) = latest_first.partition(|told| told.is_silent(now));
    for told in heard.into_iter().chain(silent) {
        for of in &told.keys.services {
            let guests = by_endpoint.entry(of.endpoint).or_default();
            takes(&mut guests.services, of);
            guests.until = guests.until.max(told.until);
            guests.scale = told.keys.scale;
        }
    }
    let bytes_of = |guests: &Guests<'_>| {
        let mut bytes = [0; BYTES];
        let places = bytes.chunks_exact_mut(SERVICE_BYTES);
        places
            .zip(&guests.services)
            .for_each(|(to, of)| write(of, to));
        let at = SERVICES * SERVICE_BYTES;
        bytes[at..at + 8].copy_from_slice(&guests.until.to_ne_bytes());
        let at = at + 8;
        bytes[at..at + 4].copy_from_slice(&(guests.services.len() as u32).to_ne_bytes());
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

    fn of(service: u16, endpoint: &str, key: u8) -> KeysOf {
        KeysOf {
            service,
            endpoint: endpoint.parse().unwrap(),
            keys: [None, Some(SecretKey([key; 16]))],
        }
    }

    fn keys(services: Vec<KeysOf>) -> Keys {
        Keys {
            scale: 7,
            services,
            ..Keys::default()
        }
    }

    fn told(director: usize, services: Vec<KeysOf>, until: u64) -> Told {
        Told {
            director,
            keys: keys(services),
            heard: 0,
            until,
        }
    }

    /// Of each service at the endpoint its number and its key.
    fn held(all: &[Told], now: u64) -> Vec<(u8, u8)> {
        let guests = guests(all, now, 0);
        let bytes = guests[&"10.0.0.1:80".parse().unwrap()];
        let count = usize::from(bytes[SERVICES * SERVICE_BYTES + 8]);
        let places = bytes.chunks_exact(SERVICE_BYTES).take(count);
        places.map(|place| (place[32], place[16])).collect()
    }

    #[test]
    fn services_of_one_endpoint_stand_together() {
        let services = vec![
            of(3, "10.0.0.1:80", 1),
            of(4, "10.0.0.1:80", 2),
            of(5, "10.0.0.1:81", 3),
        ];
        let guests = guests(&[told(0, services, 9)], 0, 5);
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
    }

    #[test]
    fn directors_that_share_keys_share_a_place_and_others_have_their_own() {
        let at = "10.0.0.1:80";
        let first = told(0, vec![of(3, at, 1)], 9);
        let mut turned = of(3, at, 1);
        turned.keys[0] = Some(SecretKey([2; 16]));
        let shares = told(1, vec![turned.clone()], 7);
        let all = [first.clone(), shares];
        assert_eq!(held(&all, 0), [(3, 1)]);
        let bytes = guests(&all, 0, 0)[&at.parse().unwrap()];
        assert_eq!(bytes[..16], [2; 16], "the latest word");
        assert_eq!(bytes[160], 9, "the longest");

        let stranger = told(1, vec![of(3, at, 8)], 7);
        assert_eq!(held(&[first, stranger], 0), [(3, 8), (3, 1)]);
    }

    #[test]
    fn who_comes_last_gets_what_room_there_is_and_who_is_silent_makes_some() {
        let at = "10.0.0.1:80";
        let three = |key| {
            (0..3)
                .map(|service| of(service, at, key))
                .collect::<Vec<_>>()
        };
        let first = told(0, three(1), 9);
        let second = keys(three(2));
        let fit = fitting([&first].into_iter(), &second);
        assert_eq!(fit, second.services[..1]);
        assert_eq!(
            fitting([&first].into_iter(), &first.keys),
            first.keys.services
        );

        let later = Told {
            heard: SILENCE + 1,
            ..told(1, three(2), 9)
        };
        let all = [first, later];
        assert_eq!(held(&all, SILENCE + 1), [(0, 2), (1, 2), (2, 2), (0, 1)]);
    }
}
