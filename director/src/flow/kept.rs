//! What a process leaves in the file of [`Table::kept`](super::Table::kept), read by another one.
//!
//! A file holds the slabs of all shards, one behind the other, each a plain list of entries. What
//! is read is judged: a free place, an entry that may have lived, or bytes that are neither.
//! Nothing is mapped, so that a file that was cut short ends early and no more.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;

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
/// Places of a slab that are read at once.
const PIECE: usize = 256;
/// Places that are shown at once: so many can be looked for in caches at one time.
const BATCH: usize = 32;

/// Some of those who read a file together: number `nth` of `of`, each with slabs of its own.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// Below `of`.
    pub nth: usize,
    /// At least one.
    pub of: usize,
}

impl Reader {
    /// The only one.
    pub const ALONE: Self = Self { nth: 0, of: 1 };

    /// As many as this machine runs at one time.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = thread::available_parallelism().map_or(1, usize::from);
        (0..of).map(move |nth| Self { nth, of })
    }

    /// Shows all that its slabs hold to `each`, some of each slab in turn: if there is less room for them
    /// than before, each shard gets its share of it.
    ///
    /// # Errors
    /// When the file cannot be read, or its shape is none.
    pub fn read(
        self,
        file: &File,
        shape: &Shape,
        mut each: impl FnMut(&[Found]),
    ) -> io::Result<()> {
        if !shape.is_sound() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let shards = (self.nth..shape.shards).step_by(self.of);
        let mut slabs: Vec<_> = shards.map(|shard| Rest::of(shape, shard)).collect();
        let mut batch = Vec::with_capacity(BATCH);
        let mut at = 0;
        let mut end = Ok(());
        while !slabs.is_empty() {
            at %= slabs.len();
            match slabs[at].next(file) {
                Ok(Some(found)) => {
                    batch.push(found);
                    at += 1;
                }
                Ok(None) => drop(slabs.swap_remove(at)),
                Err(error) => {
                    slabs.clear();
                    end = Err(error);
                }
            }
            if batch.len() == BATCH || slabs.is_empty() {
                each(&batch);
                batch.clear();
            }
        }
        end
    }
}

/// What is still to be read of a slab.
struct Rest {
    /// Where it begins, where to go on, and where it ends.
    start: u64,
    at: u64,
    end: u64,
    /// What was read last, and how much of that was shown.
    piece: Vec<u8>,
    shown: usize,
}

impl Rest {
    /// All of the slab of a shard.
    fn of(shape: &Shape, shard: usize) -> Self {
        let start = shard as u64 * Slab::stride(shape.places);
        Self {
            start,
            at: start,
            end: start + (shape.places * SIZE) as u64,
            piece: Vec::new(),
            shown: 0,
        }
    }

    /// What stands in the next place that is not free.
    fn next(&mut self, file: &File) -> io::Result<Option<Found>> {
        loop {
            while let Some(place) = self.piece[self.shown..].first_chunk() {
                self.shown += SIZE;
                if let Some(found) = found(place) {
                    return Ok(Some(found));
                }
            }
            if !self.fill(file)? {
                return Ok(None);
            }
        }
    }

    /// Reads the next piece that was written; false at the end.
    fn fill(&mut self, file: &File) -> io::Result<bool> {
        let Some(data) = data_from(file, self.at)?.filter(|data| *data < self.end) else {
            return Ok(false);
        };
        // An entry may begin in the page before.
        let data = data.max(self.at);
        let first = data - (data - self.start) % SIZE as u64;
        let wanted = (PIECE * SIZE).min((self.end - first) as usize);
        self.piece.resize(wanted, 0);
        let length = read_at(file, &mut self.piece, first)?;
        self.piece.truncate(length);
        self.shown = 0;
        self.at = match length < wanted {
            true => self.end,
            false => first + length as u64,
        };
        Ok(true)
    }
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
