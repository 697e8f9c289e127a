//! Which real server has which slot, as 64 bytes each, in the memory of the daemon. A record that
//! was half written does not fit its checksum, and nothing refers to it yet.
//!
//! ```text
//!  word 0    kind, protocol or family, method, tunnel, its port; bits 48.. what the service has of a port
//!  word 1,2  VIP; of a mark its number
//!  word 3,4  RIP, or the address of a speaker
//!  word 5    RIP's port
//!  word 6    0
//!  word 7    a hash of all these
//! ```

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use adminapi::model::Family;

use crate::flow::data_from;
use crate::flow::floor::{Memory, Region};
use crate::forward::{GueChecksum, Tunnel};
use crate::pool::Name;
use crate::service::{Method, RealId, ServiceKey};
use crate::wire::{Addr, Endpoint, Protocol};

type Record = [u64; 8];

/// Slots that are kept; connections of real servers beyond are lost.
const REALS: usize = 1 << 20;
/// Numbers of addresses, which stand behind those.
const SPEAKERS: usize = 1 << 16;

const ADDRESS: u8 = 1;
const MARK: u8 = 2;
const SPEAKER: u8 = 3;

/// The records of this daemon.
pub(super) struct Names(Region<Record>);

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

impl Names {
    /// None yet; `file` is empty.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        Region::zeroed(Memory::Kept(file, 0), REALS + SPEAKERS, 0).map(Self)
    }

    pub(super) fn write(&mut self, name: &Name) {
        self.put(name.id.0 as usize..REALS, sealed(encode(name)));
    }

    pub(super) fn clear(&mut self, id: RealId) {
        self.put(id.0 as usize..REALS, [0; 8]);
    }

    pub(super) fn write_speaker(&mut self, id: u16, addr: Addr) {
        let [high, low] = words(addr);
        let head = u64::from_le_bytes([SPEAKER, 0, 0, 0, 0, 0, 0, 0]);
        let record = sealed([head, 0, 0, high, low, 0, 0, 0]);
        self.put(REALS + usize::from(id)..REALS + SPEAKERS, record);
    }

    /// Writes to the first place of a stretch, if there is one. Where there is no room for it, nothing is
    /// written: the next daemon will not know whose connections these are.
    fn put(&mut self, stretch: Range<usize>, record: Record) {
        if self.0.back(stretch.start, 1).is_err() {
            return;
        }
        if let Some(place) = self.0[..stretch.end].get_mut(stretch.start) {
            *place = record;
        }
    }
}

/// What another daemon has written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) reals: Vec<Name>,
    /// Addresses that it spoke from, by number.
    pub(super) speakers: Vec<(u16, Addr)>,
}

/// Reads what is whole.
pub(super) fn read(file: &File) -> io::Result<Known> {
    let reals = records(file, 0, REALS)?;
    let speakers = records(file, REALS, SPEAKERS)?;
    let name = |(id, record)| decode(RealId(id), &record);
    let speaker = |(id, record): (u32, Record)| {
        let is_one = record[0].to_le_bytes()[0] == SPEAKER;
        is_one.then(|| (id as u16, addr(record[3], record[4])))
    };
    Ok(Known {
        reals: reals.into_iter().filter_map(name).collect(),
        speakers: speakers.into_iter().filter_map(speaker).collect(),
    })
}

/// Records that are read at once.
const PIECE: usize = 1024;

/// Of `count` records from `first` on those that are whole, with their places from there.
fn records(file: &File, first: usize, count: usize) -> io::Result<Vec<(u32, Record)>> {
    const SIZE: usize = size_of::<Record>();
    let mut whole = Vec::new();
    let mut piece = vec![0; PIECE * SIZE];
    let (start, end) = (first * SIZE, (first + count) * SIZE);
    let mut at = start;
    while let Some(data) = data_from(file, at as u64)?.filter(|data| *data < end as u64) {
        // What was written begins with a page, and a page with a record.
        at = at.max(data as usize);
        let wanted = piece.len().min(end - at);
        let length = file.read_at(&mut piece[..wanted], at as u64)? / SIZE * SIZE;
        if length == 0 {
            break;
        }
        let records = piece[..length].chunks_exact(SIZE).map(record);
        let numbered = (((at - start) / SIZE) as u32..).zip(records);
        whole.extend(numbered.filter(|(_, record)| record[0] != 0 && sealed(*record) == *record));
        at += length;
    }
    Ok(whole)
}

fn record(bytes: &[u8]) -> Record {
    let mut words = bytes.chunks_exact(8).map(|word| word.try_into());
    std::array::from_fn(|_| match words.next() {
        Some(Ok(word)) => u64::from_ne_bytes(word),
        _ => 0,
    })
}

fn sealed(mut record: Record) -> Record {
    record[7] = record[..7].iter().fold(1, |hash, word| {
        (hash ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    });
    record
}

fn words(addr: Addr) -> [u64; 2] {
    let bits = u128::from_be_bytes(*addr.octets());
    [(bits >> 64) as u64, bits as u64]
}

fn addr(high: u64, low: u64) -> Addr {
    Addr::v6((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

fn encode(name: &Name) -> Record {
    let (kind, of, vip_port, [a, b]) = match name.service {
        ServiceKey::Address { protocol, vip } => {
            (ADDRESS, protocol.number(), vip.port, words(vip.addr))
        }
        ServiceKey::Mark { mark, family } => (MARK, family as u8, 0, [0, mark.into()]),
    };
    let (method, tunnel_port) = method_number(name.method);
    let [c, d] = words(name.endpoint.addr);
    let (tunnel, vip) = (tunnel_port.to_le_bytes(), vip_port.to_le_bytes());
    let head = [kind, of, method, 0, tunnel[0], tunnel[1], vip[0], vip[1]];
    let port = u64::from(name.endpoint.port);
    [u64::from_le_bytes(head), a, b, c, d, port, 0, 0]
}

fn decode(id: RealId, record: &Record) -> Option<Name> {
    let [kind, of, method, _, t0, t1, v0, v1] = record[0].to_le_bytes();
    let service = match kind {
        ADDRESS => {
            let protocol = Protocol::ALL.into_iter().find(|p| p.number() == of)?;
            let port = u16::from_le_bytes([v0, v1]);
            ServiceKey::at(protocol, Endpoint::new(addr(record[1], record[2]), port))
        }
        MARK => ServiceKey::Mark {
            mark: record[2] as u32,
            family: [Family::Ipv4, Family::Ipv6]
                .into_iter()
                .find(|family| *family as u8 == of)?,
        },
        _ => return None,
    };
    Some(Name {
        id,
        service,
        endpoint: Endpoint::new(addr(record[3], record[4]), record[5] as u16),
        method: method_of(method, u16::from_le_bytes([t0, t1]))?,
    })
}

/// The methods, by the numbers that they are written as.
const METHODS: [Method; 10] = [
    Method::Nat,
    Method::FullNat,
    Method::Dr,
    Method::Bypass,
    Method::Tun(Tunnel::Ipip),
    Method::Tun(Tunnel::Gre { checksum: false }),
    Method::Tun(Tunnel::Gre { checksum: true }),
    gue(0, GueChecksum::None),
    gue(0, GueChecksum::Own),
    gue(0, GueChecksum::Remote),
];

const fn gue(port: u16, checksum: GueChecksum) -> Method {
    Method::Tun(Tunnel::Gue { port, checksum })
}

fn method_number(method: Method) -> (u8, u16) {
    let (plain, port) = match method {
        Method::Tun(Tunnel::Gue { port, checksum }) => (gue(0, checksum), port),
        other => (other, 0),
    };
    let number = METHODS.iter().position(|known| *known == plain);
    (number.map_or(u8::MAX, |number| number as u8), port)
}

fn method_of(number: u8, port: u16) -> Option<Method> {
    Some(match *METHODS.get(usize::from(number))? {
        Method::Tun(Tunnel::Gue { checksum, .. }) => gue(port, checksum),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(id: u32, service: ServiceKey, method: Method) -> Name {
        Name {
            id: RealId(id),
            service,
            endpoint: Endpoint::new(Addr::v4([10, 0, 2, 1]), 8080),
            method,
        }
    }

    #[test]
    fn a_name_is_read_as_it_was_written() {
        let file = tempfile::tempfile().unwrap();
        let mut names = Names::new(&file).unwrap();
        let vip = Endpoint::new(Addr::v6([7; 16]), 443);
        let mark = ServiceKey::Mark {
            mark: 0xdead_beef,
            family: Family::Ipv6,
        };
        let services = [ServiceKey::at(Protocol::Sctp, vip), mark];
        let methods = METHODS.into_iter().chain([gue(6080, GueChecksum::Own)]);
        let all: Vec<_> = methods
            .enumerate()
            .map(|(n, method)| name(n as u32, services[n % 2], method))
            .collect();
        all.iter().for_each(|name| names.write(name));
        names.write_speaker(3, vip.addr);
        let known = read(&file).unwrap();
        assert_eq!((&known.reals, known.speakers), (&all, vec![(3, vip.addr)]));
        names.clear(RealId(0));
        assert_eq!(read(&file).unwrap().reals, all[1..]);
    }

    proptest! {
        /// What nobody has written is nobody's name.
        #[test]
        fn other_bytes_are_no_name(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&bytes, 0).unwrap();
            prop_assert_eq!(read(&file).unwrap(), Known::default());
        }
    }
}
