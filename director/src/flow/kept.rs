//! What a process leaves in the file of [`Table::kept`](super::Table::kept), read by another one.
//!
//! A file holds the slabs of all shards, one behind the other, each a plain list of entries. What
//! is read is judged: a free place, an entry that may have lived, or bytes that are neither.
//! Nothing is mapped, so that a file that was cut short ends early and no more.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::unistd::{Whence, lseek};
use serde::{Deserialize, Serialize};

use super::entry::{Class, Entry};
use super::floor::{bytes_of, call_at, entry_of, sctp_state_at, tag_of};
use super::slab::Slab;
use super::tracked::Tracked;
use crate::service::RealId;
use crate::tcp::Tracking;
use crate::time::Tick;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{Addr, Endpoint, Protocol, Tuple};
use crate::{sctp, sip, tcp};

/// The most shards that a table has.
pub(super) const MOST_SHARDS: usize = 256;

/// How a table lies in its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub(super) shards: usize,
    /// Entries in the slab of one shard.
    pub(super) places: usize,
    /// What tuples are hashed with: where the answer to FullNAT is looked for hangs on it.
    pub(super) key: [u64; 2],
}

impl Shape {
    /// What the table is hashed with.
    pub(crate) const fn hash_key(&self) -> [u64; 2] {
        self.key
    }

    /// Whether any table has it.
    pub(super) fn is_sound(&self) -> bool {
        (1..=MOST_SHARDS).contains(&self.shards) && self.places < 1 << 31
    }
}

/// What stands in a place.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// A connection.
    Entry(Entry),
    /// Something that no director has written.
    Damaged,
}

const SIZE: usize = size_of::<Entry>();
/// Places that are read at once.
const PIECE: usize = 4096;

/// Shows all that a file holds to `each`.
///
/// # Errors
/// When it cannot be read, or its shape is none.
pub fn read(file: &File, shape: &Shape, mut each: impl FnMut(Found)) -> io::Result<()> {
    if !shape.is_sound() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut piece = vec![0; PIECE * SIZE];
    for shard in 0..shape.shards {
        let start = shard as u64 * Slab::stride(shape.places);
        let end = start + (shape.places * SIZE) as u64;
        let mut at = start;
        while let Some(data) = data_from(file, at)?.filter(|data| *data < end) {
            // An entry may begin in the page before.
            let first = data.max(start) - (data.max(start) - start) % SIZE as u64;
            let wanted = piece.len().min((end - first) as usize);
            let length = read_at(file, &mut piece[..wanted], first)?;
            let places = piece[..length].chunks_exact(SIZE);
            let places = places.filter_map(|place| place.try_into().ok());
            places.filter_map(found).for_each(&mut each);
            if length < wanted {
                break;
            }
            at = first + length as u64;
        }
    }
    Ok(())
}

/// Where the next stretch of a file that was written begins.
pub(crate) fn data_from(file: &File, at: u64) -> io::Result<Option<u64>> {
    match lseek(file, at as i64, Whence::SeekData) {
        Ok(data) => Ok(Some(data as u64)),
        Err(nix::errno::Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Fills `into`, or what of it the file has.
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < into.len() {
        match file.read_at(&mut into[length..], at + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// What these bytes are, unless they are a free place.
fn found(bytes: &[u8; SIZE]) -> Option<Found> {
    match entry_of(bytes) {
        Some(entry) if entry.is_free() => None,
        Some(entry) if entry.has_class() => Some(Found::Entry(entry)),
        _ => Some(Found::Damaged),
    }
}

/// Goes up when a field comes to mean something else where it stands, which its bytes do not tell.
/// 2: of a spliced connection, `packets` is a clock and a note of TCP what its numbers differ by.
const MEANING: u8 = 2;

/// A number that changes with the way in which an entry is laid out, and with what it means: another
/// program, or the same one built otherwise, may not read what this one has written.
pub fn layout() -> u64 {
    let octets = |from: u8| std::array::from_fn(|n| from + n as u8);
    let tuple = Tuple {
        protocol: Protocol::Tcp,
        src: Endpoint::new(Addr::v6(octets(1)), 0x1112),
        dst: Endpoint::new(Addr::v6(octets(0x21)), 0x3132),
    };
    let segment = Segment {
        seq: 0x4142_4344,
        ack: 0x5152_5354,
        flags: Flags(Flags::ACK),
        ..Segment::default()
    };
    let (real, expires) = (RealId(0x6162_6364), Tick(0x7172_7374));
    let mut sample = Entry::new(&tuple, real, 0x8182, Class::Established, expires);
    (sample.local_port, sample.local_id) = (0x8384, 0x8586);
    sample.packets = 0x9192_9394;
    sample.tracked = Tracked::Tcp(Tracking::resumed(&segment));
    let others = [
        Tracked::Udp,
        Tracked::Sctp(sctp::Tracking::default()),
        Tracked::Call(sip::Call::default()),
    ];
    let tags = others.map(|tracked| tag_of(&tracked));
    let rest = [
        MEANING,
        sctp_state_at() as u8,
        call_at() as u8,
        tcp::State::COUNT as u8,
        sctp::State::COUNT as u8,
    ];
    let bytes = bytes_of(&sample).map_or(&[][..], |bytes| bytes);
    let all = bytes.iter().chain(&tags).chain(&rest);
    // FNV-1a.
    all.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
