use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::flow::{Class, Direction, Entry, Found, Limits, Reader, Table, Tracked};
use crate::sctp;
use crate::time::Tick;
use crate::wire::{Endpoint, Protocol, Tuple};

/// A directory on a tmpfs.
fn place() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap()
}

fn limits() -> Limits {
    Limits {
        connections: 40_000,
        half_open: 5_000,
        workers: 2,
    }
}

fn tuple(n: u16, protocol: Protocol) -> Tuple {
    let endpoint = |host, port| Endpoint::new(Addr::v4([10, 0, 0, host]), port);
    Tuple {
        protocol,
        src: endpoint(1, 1000 + n),
        dst: endpoint(9, 80),
    }
}

fn entry(n: u16) -> Entry {
    let protocol = Protocol::ALL[usize::from(n) % 3];
    let class = [Class::HalfOpen, Class::Answered, Class::Established][usize::from(n / 3) % 3];
    let real = RealId(n.into());
    let mut entry = Entry::new(
        &tuple(n, protocol),
        real,
        8080,
        class,
        Tick(900 + u32::from(n)),
    );
    entry.packets = n.into();
    entry
}

fn fill(table: &Table, count: u16) {
    for n in 0..count {
        let entry = entry(n);
        let place = table.locate(Direction::Original, &entry.original());
        table.take_in(entry, &place, None, &mut |_, _| ()).unwrap();
    }
}

fn read_all(file: &File, shape: &Shape) -> (Vec<Entry>, usize) {
    let (mut entries, damaged) = read_in_order(file, shape);
    entries.sort_by_key(|entry| entry.client().port);
    (entries, damaged)
}

fn read_in_order(file: &File, shape: &Shape) -> (Vec<Entry>, usize) {
    read_by(Reader::ALONE, file, shape)
}

fn read_by(reader: Reader, file: &File, shape: &Shape) -> (Vec<Entry>, usize) {
    let (mut entries, mut damaged) = (Vec::new(), 0);
    let each = |batch: &[Found]| {
        for found in batch {
            match found {
                Found::Entry(entry) => entries.push(*entry),
                Found::Damaged => damaged += 1,
            }
        }
    };
    reader.read(file, shape, each).unwrap();
    (entries, damaged)
}

#[test]
fn a_table_is_read_as_another_process_left_it() {
    let place = place();
    let (keep, former) = Keep::claim(place.path()).unwrap();
    assert!(former.is_none());
    let table = Table::kept(&limits(), &keep.connections().unwrap(), None, Tick(0)).unwrap();
    fill(&table, 3000);
    for n in (0..3000).step_by(7) {
        let protocol = Protocol::ALL[usize::from(n) % 3];
        table.close(&tuple(n, protocol)).unwrap();
    }
    let clock = Clock::start();
    keep.complete(&clock, [table.shape(), table.shape()])
        .unwrap();
    drop((keep, table));

    let (heir, former) = Keep::claim(place.path()).unwrap();
    let former = former.unwrap();
    let used = former.from.bytes();
    assert!((3000 * 104..8 << 20).contains(&used), "{used}");
    assert!(former.clock().now().0.abs_diff(clock.now().0) <= 1);
    let (entries, damaged) = read_all(&former.connections().unwrap(), &former.about.connections);
    let expected: Vec<_> = (0..3000).filter(|n| n % 7 != 0).map(entry).collect();
    assert_eq!((entries.len(), damaged), (expected.len(), 0));
    for (read, written) in entries.iter().zip(&expected) {
        assert_eq!(read.original(), written.original());
        assert_eq!(
            (read.real(), read.packets),
            (written.real(), written.packets)
        );
        assert_eq!(
            (read.class(), read.expires()),
            (written.class(), written.expires())
        );
        assert_eq!(read.tracked, written.tracked);
    }
    let shape = Some(&former.about.connections);
    let again = Table::kept(&limits(), &heir.connections().unwrap(), shape, Tick(9)).unwrap();
    assert_eq!(again.shape(), former.about.connections);
}

#[test]
fn those_who_read_a_table_together_see_each_connection_once() {
    let place = place();
    let (keep, _) = Keep::claim(place.path()).unwrap();
    let left = keep.connections().unwrap();
    let table = Table::kept(&limits(), &left, None, Tick(0)).unwrap();
    fill(&table, 1000);
    let shape = table.shape();
    for of in [1, 2, 3, table.shards(), table.shards() + 5] {
        let readers = (0..of).map(|nth| Reader { nth, of });
        let read = readers.flat_map(|reader| read_by(reader, &left, &shape).0);
        let mut ports: Vec<_> = read.map(|entry| entry.client().port).collect();
        ports.sort_unstable();
        let all = read_all(&left, &shape).0;
        let all: Vec<_> = all.iter().map(|entry| entry.client().port).collect();
        assert_eq!(ports.len(), 1000);
        assert_eq!(ports, all, "{of} readers");
    }
}

/// Shards cannot be cut anew, so each has to make do with its part of what room there is.
#[test]
fn where_there_is_less_room_each_shard_has_its_share() {
    let place = place();
    let (keep, _) = Keep::claim(place.path()).unwrap();
    let left = keep.connections().unwrap();
    let table = Table::kept(&limits(), &left, None, Tick(0)).unwrap();
    fill(&table, 6000);
    let shape = table.shape();
    drop(table);

    let connections = 400;
    let less = Limits {
        connections,
        ..limits()
    };
    let table = Table::kept(&less, &keep.templates().unwrap(), Some(&shape), Tick(0)).unwrap();
    let (entries, _) = read_in_order(&left, &shape);
    for entry in entries.iter().filter(|e| e.class() == Class::Established) {
        let place = table.locate(Direction::Original, &entry.original());
        let _ = table.take_in(*entry, &place, None, &mut |_, _| ());
    }
    let shards = table.shards();
    assert!(shards > 1);
    for shard in 0..shards {
        let mut count = 0;
        table.visit(shard, |all| count = all.count());
        // Where keys fall is chance.
        let is_fair = count * shards > connections / 2;
        assert!(is_fair, "{count} in {shard} of {shards}");
    }
}

#[test]
fn a_generation_that_was_not_completed_does_not_count() {
    let place = place();
    let shape = |keep: &Keep| {
        let file = keep.connections().unwrap();
        Table::kept(&limits(), &file, None, Tick(0))
            .unwrap()
            .shape()
    };
    let (first, _) = Keep::claim(place.path()).unwrap();
    let written = shape(&first);
    first
        .complete(&Clock::start(), [written.clone(), written.clone()])
        .unwrap();
    drop(first);
    for _ in 0..2 {
        let (killed, former) = Keep::claim(place.path()).unwrap();
        assert_eq!(former.unwrap().about.connections, written);
        drop(killed);
    }
}

#[test]
fn starts_that_fail_do_not_pile_up() {
    let place = place();
    let count = || {
        let entries = fs::read_dir(place.path()).unwrap();
        entries
            .filter(|e| e.as_ref().unwrap().path().is_dir())
            .count()
    };
    let fail = || {
        let (failed, former) = Keep::claim(place.path()).unwrap();
        failed.connections().unwrap();
        former.is_some()
    };
    for _ in 0..3 {
        assert!(!fail());
        assert_eq!(count(), 1);
    }
    let (complete, _) = Keep::claim(place.path()).unwrap();
    let file = complete.connections().unwrap();
    let shape = Table::kept(&limits(), &file, None, Tick(0))
        .unwrap()
        .shape();
    let shapes = [shape.clone(), shape];
    complete.complete(&Clock::start(), shapes).unwrap();
    drop(complete);
    for _ in 0..3 {
        assert!(fail(), "what is taken over is gone");
        assert_eq!(count(), 2);
    }
}

#[test]
fn two_daemons_do_not_share_a_directory() {
    let place = place();
    let (_keep, _) = Keep::claim(place.path()).unwrap();
    let refused = Keep::claim(place.path()).unwrap_err();
    let own = std::process::id();
    assert!(matches!(refused, KeepError::Taken { owner, .. } if owner == Some(own)));
    assert!(matches!(remove(place.path()), Err(KeepError::Taken { .. })));
}

#[test]
fn another_layout_is_refused_and_what_is_no_layout_is_given_up() {
    let place = place();
    let about = |text: &str| {
        let path = place.path().join("5");
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(ABOUT), text).unwrap();
        let looked = look(place.path()).map_err(|error| error.to_string());
        let claimed = Keep::claim(place.path()).map(drop);
        assert_eq!(looked, claimed.map_err(|error| error.to_string()));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(ABOUT), text).unwrap();
        Keep::claim(place.path()).map(|(_, former)| former.is_some())
    };
    let other = about(r#"{"format":99,"program":"9.9.9","entries":1,"new":true}"#).unwrap_err();
    let text = other.to_string();
    assert!(
        text.contains("9.9.9") && text.contains("bulwarkd detach"),
        "{text}"
    );
    for nonsense in ["", "{", "[]", "\0\0\0\0", r#"{"format":"one"}"#] {
        assert!(!about(nonsense).unwrap(), "{nonsense:?}");
    }
    assert!(remove(place.path()).unwrap());
    assert!(!remove(place.path()).unwrap());
}

#[test]
fn what_is_not_in_memory_is_no_place_to_keep_anything() {
    let disk = TempDir::new_in("/proc/self/cwd").unwrap();
    let refused = Keep::claim(disk.path()).unwrap_err();
    assert!(matches!(refused, KeepError::NotInMemory(_)), "{refused}");
    let place = place();
    let (keep, _) = Keep::claim(place.path()).unwrap();
    keep.check_room(1 << 20, None).unwrap();
    let refused = keep.check_room(1 << 60, None).unwrap_err();
    assert!(matches!(refused, KeepError::Small { .. }), "{refused}");
}

proptest! {
    /// Whatever is in the files, they are read to the end: nothing is taken for an entry that has no
    /// state, and nothing is read twice.
    #[test]
    fn any_bytes_can_be_read(
        pieces in prop::collection::vec((0u64..4 << 20, any::<[u8; 32]>()), 0..40),
        cut in 0u64..8 << 20,
    ) {
        let place = place();
        let (keep, _) = Keep::claim(place.path()).unwrap();
        let file = keep.connections().unwrap();
        let table = Table::kept(&limits(), &file, None, Tick(0)).unwrap();
        fill(&table, 200);
        let shape = table.shape();
        drop(table);
        for (at, bytes) in pieces {
            file.write_all_at(&bytes, at).unwrap();
        }
        file.set_len(cut).unwrap();
        let (entries, _) = read_all(&file, &shape);
        for entry in entries {
            let known = match entry.tracked {
                Tracked::Tcp(tcp) => crate::tcp::State::ALL.contains(&tcp.state),
                Tracked::Sctp(sctp) => sctp::State::ALL.contains(&sctp.state),
                Tracked::Udp | Tracked::Call(_) => true,
            };
            prop_assert!(known);
        }
    }
}
