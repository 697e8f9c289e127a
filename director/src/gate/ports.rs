//! Which interface each port of a pinned gate is. The list of the next director may be another one:
//! what was by port then goes on with the interface, and not with the number.

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, libbpf_sys};

use super::{GateError, Interface, MAX_PORTS};

/// The map that says it: index and, up to a zero, name by port.
pub(super) const PORTS: &str = "ports";
const INDEX_BYTES: usize = size_of::<u32>();
const ENTRY_BYTES: usize = INDEX_BYTES + libc::IFNAMSIZ;

/// One port, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    index: u32,
    name: String,
}

/// Writes down which interface each port is.
pub(super) fn write(interfaces: &[Interface]) -> Result<MapHandle, GateError> {
    let error = |error| GateError::Map { map: PORTS, error };
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    let (key, entries) = (size_of::<u32>() as u32, MAX_PORTS as u32);
    let array = MapType::Array;
    let map = MapHandle::create(
        array,
        Some(PORTS),
        key,
        ENTRY_BYTES as u32,
        entries,
        &options,
    );
    let map = map.map_err(error)?;
    for (port, interface) in (0u32..).zip(interfaces) {
        let entry = Port::of(interface).bytes();
        let written = map.update(&port.to_ne_bytes(), &entry, MapFlags::ANY);
        written.map_err(error)?;
    }
    Ok(map)
}

/// What another director has written; what cannot be read is no port.
pub(super) fn read(map: &MapHandle) -> Vec<Port> {
    let entry = |port: u32| map.lookup(&port.to_ne_bytes(), MapFlags::ANY).ok()?;
    let entries = (0..map.max_entries()).map_while(entry);
    entries
        .map_while(|entry| Port::from_bytes(&entry))
        .collect()
}

impl Port {
    fn of(interface: &Interface) -> Self {
        Self {
            index: interface.index,
            name: interface.name.clone(),
        }
    }

    fn bytes(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let (index, name) = bytes.split_at_mut(INDEX_BYTES);
        index.copy_from_slice(&self.index.to_ne_bytes());
        for (to, from) in name.iter_mut().zip(self.name.bytes()) {
            *to = from;
        }
        bytes
    }

    /// None where there is no port.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (index, name) = bytes.split_first_chunk()?;
        let index = u32::from_ne_bytes(*index);
        let name = name.split(|byte| *byte == 0).next()?;
        let name = String::from_utf8_lossy(name).into_owned();
        (index != 0).then_some(Self { index, name })
    }
}

/// For each port of this director which one it was of the former one's. An interface is the same one
/// by its index, whatever it is called now; one that was made anew, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origins(Vec<Option<u32>>);

impl Origins {
    pub(super) fn of(former: &[Port], now: &[Interface]) -> Self {
        let numbered = || (0u32..).zip(former);
        let by_index = |interface: &Interface| {
            let mut same = numbered().filter(|(_, port)| port.index == interface.index);
            same.next().map(|(number, _)| number)
        };
        let known: Vec<_> = now.iter().map(by_index).collect();
        let by_name = |interface: &Interface| {
            let mut same = numbered().filter(|(_, port)| port.name == interface.name);
            let origin = same.next().map(|(number, _)| number);
            origin.filter(|number| !known.contains(&Some(*number)))
        };
        let all = known.iter().zip(now);
        let all = all.map(|(origin, interface)| origin.or_else(|| by_name(interface)));
        Self(all.collect())
    }

    /// Whether each port is the one that had its number.
    pub(super) fn are_the_same(&self) -> bool {
        let mut all = (0u32..).zip(&self.0);
        all.all(|(port, origin)| *origin == Some(port))
    }

    /// The ports that were there, and which ones they were.
    pub(super) fn known(&self) -> impl Iterator<Item = (u32, u32)> {
        let all = (0u32..).zip(&self.0);
        all.filter_map(|(port, origin)| Some((port, (*origin)?)))
    }

    /// Which port was `former`.
    pub(super) fn heir(&self, former: u32) -> Option<u32> {
        let mut known = self.known();
        known.find_map(|(port, origin)| (origin == former).then_some(port))
    }

    /// Which one `port` was.
    pub(super) fn origin(&self, port: usize) -> Option<u32> {
        self.0.get(port).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Queues;

    /// Interfaces of now, and which ports they were.
    type Case<'a> = (&'a [(u32, &'a str)], &'a [Option<u32>]);

    fn interfaces(all: &[(u32, &str)]) -> Vec<Interface> {
        let interface = |(index, name): &(u32, &str)| Interface {
            name: (*name).to_owned(),
            index: *index,
            queues: Queues::ONE,
            is_device: false,
        };
        all.iter().map(interface).collect()
    }

    #[test]
    fn an_interface_is_the_same_one_wherever_it_stands() {
        let former: Vec<_> = interfaces(&[(2, "eth0"), (3, "eth1"), (4, "eth2")])
            .iter()
            .map(Port::of)
            .collect();
        let (new, other) = ((9, "eth9"), (8, "eth1"));
        let cases: [Case<'_>; 8] = [
            (
                &[(2, "eth0"), (3, "eth1"), (4, "eth2")],
                &[Some(0), Some(1), Some(2)],
            ),
            (
                &[(4, "eth2"), (3, "eth1"), (2, "eth0")],
                &[Some(2), Some(1), Some(0)],
            ),
            (&[new, (2, "eth0"), (3, "eth1")], &[None, Some(0), Some(1)]),
            (&[(2, "eth0"), (4, "eth2")], &[Some(0), Some(2)]),
            (&[(2, "eth0"), (3, "eth1")], &[Some(0), Some(1)]),
            // Made anew, renamed, and another one by the name of that.
            (&[(2, "eth0"), other], &[Some(0), Some(1)]),
            (&[(3, "lan")], &[Some(1)]),
            (&[(3, "lan"), other], &[Some(1), None]),
        ];
        for (now, expected) in cases {
            let origins = Origins::of(&former, &interfaces(now));
            assert_eq!(origins.0, expected, "{now:?}");
            let stay = (0u32..)
                .zip(expected)
                .all(|(port, from)| *from == Some(port));
            assert_eq!(origins.are_the_same(), stay, "{now:?}");
        }
        let origins = Origins::of(&former, &interfaces(&[new, (2, "eth0")]));
        assert_eq!(
            [0, 1, 7].map(|port| origins.heir(port)),
            [Some(1), None, None]
        );
        assert_eq!(
            [0, 1, 7].map(|port| origins.origin(port)),
            [None, Some(0), None]
        );
    }

    #[test]
    fn a_port_is_read_as_it_was_written() {
        let longest = "a".repeat(libc::IFNAMSIZ - 1);
        for port in interfaces(&[(1, "lo"), (u32::MAX, &longest)])
            .iter()
            .map(Port::of)
        {
            assert_eq!(Port::from_bytes(&port.bytes()), Some(port));
        }
        assert_eq!(Port::from_bytes(&[0; ENTRY_BYTES]), None);
    }
}
