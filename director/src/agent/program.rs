//! The program in the kernel: loaded, told, asked.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::attachment::Attachment;
use super::keyring::Keyring;
use super::skel::AgentSkelBuilder;
use super::{AgentError, Hook, Outcomes, Welcomes};
use crate::bpf_link;
use crate::config::{AgentConfig, HookChoice, Tunnel};
use crate::neighbour::{Link, Prefix};
use crate::wire::Addr;

/// Who may send, and to whom: each a map and what it holds.
#[derive(Debug)]
struct Lists {
    directors: (MapHandle, BTreeSet<PrefixKey>),
    vips: (MapHandle, BTreeSet<PrefixKey>),
}

impl Lists {
    fn replace(&mut self, config: &AgentConfig) -> Result<(), AgentError> {
        for ((map, held), name, prefixes) in [
            (&mut self.directors, "directors", &config.directors),
            (&mut self.vips, "vips", &config.vips),
        ] {
            let wanted = prefix_keys(prefixes);
            replace(map, name, held, &wanted)?;
            *held = wanted;
        }
        Ok(())
    }
}

/// The program on an interface. Dropping it detaches it.
#[derive(Debug)]
pub struct Decapsulator {
    attachment: Attachment,
    lists: Lists,
    outcomes: MapHandle,
    welcomes: MapHandle,
    guests: MapHandle,
    declined: MapHandle,
    locals: MapHandle,
}

impl Decapsulator {
    /// Loads the program, tells it what `config` says and attaches it to `link`. Until
    /// [`Self::set_local`] has named the host's addresses it passes everything.
    ///
    /// # Errors
    /// Why not, and what to do about it. Nothing stays attached.
    pub fn attach(config: &AgentConfig, link: &Link) -> Result<Self, AgentError> {
        let mut storage = MaybeUninit::uninit();
        let mut open = AgentSkelBuilder::default()
            .open(&mut storage)
            .map_err(refused)?;
        if let Some(data) = open.maps.rodata_data.as_deref_mut() {
            data.GUE_PORT = config.gue_port.to_be();
            data.TUNNELS = tunnel_bits(&config.tunnels);
            data.MSL = u32::from(config.msl) * 1_000_000;
        }
        let skel = open.load().map_err(refused)?;
        let directors = MapHandle::try_from(&skel.maps.directors).map_err(refused)?;
        let vips = MapHandle::try_from(&skel.maps.vips).map_err(refused)?;
        let mut lists = Lists {
            directors: (directors, BTreeSet::new()),
            vips: (vips, BTreeSet::new()),
        };
        lists.replace(config)?;
        let program = skel.progs.agent.as_fd().try_clone_to_owned();
        let program = program.map_err(|error| refused(error.into()))?;
        Ok(Self {
            lists,
            outcomes: MapHandle::try_from(&skel.maps.outcomes).map_err(refused)?,
            welcomes: MapHandle::try_from(&skel.maps.welcomes).map_err(refused)?,
            guests: MapHandle::try_from(&skel.maps.guests).map_err(refused)?,
            declined: MapHandle::try_from(&skel.maps.declined).map_err(refused)?,
            locals: MapHandle::try_from(&skel.maps.locals).map_err(refused)?,
            attachment: Attachment::new(program, hook_of(config), link)?,
        })
    }

    /// Makes `directors` and `vips` those of `config`; the rest of it stays as it was.
    ///
    /// # Errors
    /// When a map is full; some of the entries are the new ones then.
    pub fn set_lists(&mut self, config: &AgentConfig) -> Result<(), AgentError> {
        self.lists.replace(config)
    }

    /// How it is attached.
    pub const fn hook(&self) -> Hook {
        self.attachment.hook()
    }

    /// Attaches it again if somebody has taken it off; true when that was so.
    ///
    /// # Errors
    /// Why the kernel does not attach it.
    pub fn keep(&mut self) -> Result<bool, AgentError> {
        self.attachment.keep()
    }

    /// Says whether `addr` is an address of this host.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_local(&self, addr: Addr, local: bool) -> Result<(), AgentError> {
        let key = addr.octets();
        let told = if local {
            self.locals.update(key, &1u32.to_ne_bytes(), MapFlags::ANY)
        } else {
            self.locals.delete(key)
        };
        told.map_err(|source| AgentError::Map {
            map: "locals",
            source,
        })
    }

    /// What became of the packets so far.
    ///
    /// # Errors
    /// The kernel's.
    pub fn outcomes(&self) -> Result<Outcomes, AgentError> {
        counts(&self.outcomes, "outcomes").map(Outcomes::new)
    }

    /// What became of the segments that clients may have brought cookies by.
    ///
    /// # Errors
    /// The kernel's.
    pub fn welcomes(&self) -> Result<Welcomes, AgentError> {
        let [welcomed, stray, declined, recycled] = counts(&self.welcomes, "welcomes")?;
        Ok(Welcomes {
            welcomed,
            stray,
            declined,
            recycled,
        })
    }

    /// What it holds keys in.
    ///
    /// # Errors
    /// When there are too many open files.
    pub(super) fn keyring(&self) -> Result<Keyring, AgentError> {
        let guests = MapHandle::try_from(&self.guests).map_err(refused)?;
        let declined = MapHandle::try_from(&self.declined).map_err(refused)?;
        Ok(Keyring::new(guests, declined))
    }
}

/// The counters of a map that each CPU has its own of.
fn counts<const N: usize>(map: &MapHandle, name: &'static str) -> Result<[u64; N], AgentError> {
    let mut packets = [0; N];
    for (slot, packets) in packets.iter_mut().enumerate() {
        let slot = (slot as u32).to_ne_bytes();
        let values = map.lookup_percpu(&slot, MapFlags::ANY);
        let values = values.map_err(|source| AgentError::Map { map: name, source })?;
        let words = values.unwrap_or_default();
        *packets = words
            .iter()
            .filter_map(|word| Some(u64::from_ne_bytes(*word.first_chunk()?)))
            .sum();
    }
    Ok(packets)
}

/// Where there are keys, a filter: it works on when the agent is killed, so that connections which
/// are under way to it find what they were promised.
fn hook_of(config: &AgentConfig) -> HookChoice {
    match (config.hook, &config.sources[..]) {
        (HookChoice::Auto, [_, ..]) => HookChoice::Clsact,
        (hook, _) => hook,
    }
}

/// `TUNNELS` in `bpf/agent/tunnel.h`: a bit for each kind's place in `enum outcome`.
fn tunnel_bits(tunnels: &[Tunnel]) -> u32 {
    tunnels
        .iter()
        .map(|tunnel| match tunnel {
            Tunnel::Ipip => 1 << 4,
            Tunnel::Gre => 1 << 5,
            Tunnel::Gue => 1 << 6,
        })
        .fold(0, |bits, bit| bits | bit)
}

/// What a map holds for `prefixes`: anybody when there are none.
fn prefix_keys(prefixes: &[Prefix]) -> BTreeSet<PrefixKey> {
    let anybody = [0; size_of::<PrefixKey>()];
    let all = prefixes.is_empty().then_some(anybody);
    prefixes.iter().map(prefix_key).chain(all).collect()
}

/// Makes a map that holds `old` hold `new`. Who is in both is never left out.
fn replace(
    map: &MapHandle,
    name: &'static str,
    old: &BTreeSet<PrefixKey>,
    new: &BTreeSet<PrefixKey>,
) -> Result<(), AgentError> {
    let mut added = new.difference(old);
    let mut gone = old.difference(new);
    added
        .try_for_each(|key| map.update(key, &1u32.to_ne_bytes(), MapFlags::ANY))
        .and_then(|()| gone.try_for_each(|key| map.delete(key)))
        .map_err(|source| AgentError::Map { map: name, source })
}

/// `struct prefix` of `bpf/agent/maps.h`.
type PrefixKey = [u8; 20];

/// The length counts the bits of the mapped form of an IPv4 address.
fn prefix_key(prefix: &Prefix) -> PrefixKey {
    let mapped = if prefix.addr().is_v4() { 96 } else { 0 };
    let mut key = [0; 20];
    key[..4].copy_from_slice(&(mapped + u32::from(prefix.bits())).to_ne_bytes());
    key[4..].copy_from_slice(prefix.addr().octets());
    key
}

fn refused(error: libbpf_rs::Error) -> AgentError {
    match bpf_link::lacks_privilege(&error) {
        true => AgentError::Permission,
        false => AgentError::Load(format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_prefix_counts_the_bits_of_the_mapped_form() {
        for (address, bits, length) in [
            ("10.0.0.0", 8, 104u32),
            ("10.0.0.1", 32, 128),
            ("0.0.0.0", 0, 96),
            ("fd00::", 8, 8),
        ] {
            let addr = Addr::from(address.parse::<IpAddr>().unwrap());
            let key = prefix_key(&Prefix::new(addr, bits));
            assert_eq!(key[..4], length.to_ne_bytes(), "{address}/{bits}");
            assert_eq!(key[4..], addr.octets()[..], "{address}/{bits}");
        }
    }

    #[test]
    fn the_bits_of_tunnels_are_their_places_among_the_outcomes() {
        let names: Vec<_> = Outcomes::default().iter().map(|(name, _)| name).collect();
        for (tunnel, name) in Tunnel::ALL.into_iter().zip(["ipip", "gre", "gue"]) {
            let place = names.iter().position(|n| *n == name).unwrap();
            assert_eq!(tunnel_bits(&[tunnel]), 1 << place, "{name}");
        }
        assert_eq!(tunnel_bits(&Tunnel::ALL), 0b111 << 4);
    }
}
