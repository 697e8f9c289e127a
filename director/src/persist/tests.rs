use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

/// A state in which everything says the same number.
fn state(number: u32) -> Configuration {
    let service = |port: u32| {
        let real = |host: u32| json!({"address": format!("10.0.2.{host}"), "weight": number});
        let reals: Vec<_> = (1..=20).map(real).collect();
        json!({"protocol": "tcp", "address": "10.0.0.1", "port": port, "real": reals})
    };
    let services: Vec<_> = (1..=20).map(service).collect();
    let state = json!({"service": services, "marks": [{"mark": number}]});
    serde_json::from_value(state).unwrap()
}

/// The number that everything says.
fn number(state: &Configuration) -> u32 {
    let number = state.marks.as_ref().unwrap()[0].mark;
    let reals: Vec<_> = state.services.iter().flat_map(|s| &s.reals).collect();
    assert_eq!(reals.len(), 400);
    assert!(reals.iter().all(|real| real.weight == number), "a mix");
    number
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(&folder.path().join("state.json"));
    (folder, store)
}

#[test]
fn what_is_written_is_read() {
    let (_folder, store) = store();
    assert_eq!(store.read().unwrap(), Found::Nothing);
    for number in 1..=3 {
        store.write(&state(number)).unwrap();
        let again = Store::at(store.path());
        assert_eq!(again.read().unwrap(), Found::State(state(number)));
        assert_eq!(again.kept(), Some(state(number)));
    }
    let last = read(&store.beside(".last")).unwrap();
    assert_eq!(last, Some(state(2)));
}

#[test]
fn a_width_that_did_nothing_is_left_out() {
    let (_folder, store) = store();
    let limit =
        |more: &str| format!(r#"{{"name": "a", "of": "syns", "per": "service", "rate": 5{more}}}"#);
    let state = |limit: &str| format!(r#"{{"service": [], "filter": {{"limits": [{limit}]}}}}"#);
    fs::write(store.path(), state(&limit(r#", "prefix_v4": 24"#))).unwrap();
    let mended = serde_json::from_str(&state(&limit(""))).unwrap();
    assert_eq!(store.read().unwrap(), Found::State(mended));
}

#[test]
fn a_file_that_is_of_no_use_gives_way_to_the_one_before() {
    let bad_value = json!({"service": [{"protocol": "tcp", "address": "10.0.0.1", "port": 80,
        "real": [{"address": "224.0.0.1"}]}]});
    for (text, place) in [
        (r#"{"service": [}"#.to_owned(), "state.json:1:14"),
        (String::new(), "state.json:1:0"),
        ("\0\0\0\0".to_owned(), "state.json:1:1"),
        (
            r#"{"service": [{"port": "x"}]}"#.to_owned(),
            "/service/0/port",
        ),
        (bad_value.to_string(), "/service/0/real/0/address"),
        (
            r#"{"service": [], "marks": [], "marks": []}"#.to_owned(),
            "/marks: stands twice",
        ),
        (
            r#"{"service": [], "sysctls": {"drop_entry": 1, "drop_entry": 2}}"#.to_owned(),
            "/sysctls/drop_entry: stands twice",
        ),
    ] {
        let (_folder, store) = store();
        store.write(&state(1)).unwrap();
        store.write(&state(2)).unwrap();
        fs::write(store.path(), &text).unwrap();
        let Found::Before {
            state: found, why, ..
        } = store.read().unwrap()
        else {
            panic!("{text}");
        };
        assert_eq!(found, state(1));
        assert!(why.contains(place), "{why}");
        assert_eq!(fs::read_to_string(store.beside(".corrupt")).unwrap(), text);
        // Not under two names: who mends one of them in place has the other.
        assert_eq!(fs::metadata(store.path()).unwrap().nlink(), 1);
        let next = Store::at(store.path());
        assert_eq!(
            next.read().unwrap(),
            Found::State(state(1)),
            "the next start"
        );
        store.write(&state(3)).unwrap();
        assert_eq!(read(&store.beside(".last")).unwrap(), Some(state(1)));
        assert_eq!(next.read().unwrap(), Found::State(state(3)));
    }
    let (_folder, store) = store();
    fs::write(store.path(), "{").unwrap();
    let why = store.read().unwrap_err().to_string();
    assert!(
        why.contains("state.json:1:1") && why.contains("no file"),
        "{why}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_told_before_the_first_change() {
    let (folder, _) = store();
    let home = folder.path().join("not-mounted");
    let store = Store::at(&home.join("state.json"));
    let why = store.read().unwrap_err().to_string();
    assert_eq!(homeless(store.path()).as_ref(), Some(&why));
    assert!(why.contains(&format!("make {}", home.display())), "{why}");
    fs::create_dir(&home).unwrap();
    assert_eq!(homeless(store.path()), None);
    assert_eq!(store.read().unwrap(), Found::Nothing);
    store.write(&state(1)).unwrap();
}

/// As on a full disk.
#[test]
fn a_file_that_cannot_be_set_aside_at_once_does_not_take_the_place_of_the_one_before() {
    let (folder, store) = store();
    for number in [1, 2] {
        store.write(&state(number)).unwrap();
    }
    fs::write(store.path(), "{ broken").unwrap();
    let in_the_way = folder.path().join("state.json.new");
    fs::create_dir(&in_the_way).unwrap();
    let store = Store::at(store.path());
    let found = store.read().unwrap();
    assert!(
        matches!(found, Found::Before { left: Some(_), .. }),
        "{found:?}"
    );
    fs::remove_dir(&in_the_way).unwrap();
    store.write(&state(3)).unwrap();
    let beside = |ending: &str| {
        let name = format!("state.json{ending}");
        fs::read_to_string(folder.path().join(name)).unwrap()
    };
    assert_eq!(beside(".corrupt"), "{ broken");
    let before = Store::at(&folder.path().join("state.json.last"));
    let Found::State(before) = before.read().unwrap() else {
        panic!("it is of no use");
    };
    assert_eq!(number(&before), 1);
}

#[test]
fn what_cannot_be_written_leaves_the_file() {
    let (_folder, store) = store();
    store.write(&state(1)).unwrap();
    fs::create_dir(store.beside(".new")).unwrap();
    assert!(store.write(&state(2)).is_err());
    assert_eq!(store.kept(), Some(state(1)));
    assert_eq!(read(store.path()).unwrap(), Some(state(1)));
}

/// A disk that is full for a moment.
struct Full {
    is_over: bool,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::mem::replace(&mut self.is_over, true) {
            true => Ok(bytes.len()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_state_of_which_something_is_missing_is_not_written() {
    let written = put(Full { is_over: false }, &state(1));
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn nothing_is_left_of_what_cannot_be_written() {
    let (_folder, store) = store();
    store.write(&state(1)).unwrap();
    fs::create_dir(store.beside(".link")).unwrap();
    assert!(store.write(&state(2)).is_err());
    assert!(!store.beside(".new").exists());
    assert_eq!(read(store.path()).unwrap(), Some(state(1)));
}

#[test]
fn a_file_is_judged_and_left_where_it_is() {
    let (_folder, store) = store();
    assert_eq!(look(store.path()), Ok(None));
    store.write(&state(1)).unwrap();
    assert_eq!(look(store.path()), Ok(Some(state(1))));
    let future = "{\"service\": [], \"future\": 1}";
    fs::write(store.path(), future).unwrap();
    let why = look(store.path()).unwrap_err();
    assert!(why.contains("/future") && why.contains(".last"), "{why}");
    assert_eq!(fs::read_to_string(store.path()).unwrap(), future);
}

const WRITER: &str = "BULWARK_TEST_WRITER";

/// Writes one state after another, and each number when it is written, until it is killed. Does
/// nothing unless the test below has started it.
#[test]
fn a_writer_that_is_killed() {
    let Some(path) = std::env::var_os(WRITER) else {
        return;
    };
    let store = Store::at(Path::new(&path));
    let from = match store.read().unwrap() {
        Found::State(state) => number(&state),
        Found::Nothing => 0,
        Found::Before { why, .. } => panic!("{why}"),
    };
    for number in from + 1.. {
        store.write(&state(number)).unwrap();
        fs::write(
            path.to_str().unwrap().to_owned() + ".told",
            number.to_string(),
        )
        .unwrap();
    }
}

#[test]
fn a_kill_leaves_the_old_state_or_the_new_one() {
    let (_folder, store) = store();
    let told = || {
        let text = fs::read_to_string(store.beside(".told")).unwrap_or_default();
        text.parse::<u32>().unwrap_or(0)
    };
    let (mut killed_while_writing, mut reached) = (0, 0);
    for round in 0..100 {
        let mut writer = Command::new(std::env::current_exe().unwrap());
        writer.args(["--exact", "persist::tests::a_writer_that_is_killed"]);
        let mut writer = (writer.env(WRITER, store.path()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while told() == reached && begun.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        // Another moment of the writing each time.
        std::thread::sleep(Duration::from_micros(round * 37));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let Found::State(state) = Store::at(store.path()).read().unwrap() else {
            panic!("no state after round {round}");
        };
        // The number is told after its state is written; a kill may come in between, and it may
        // hit the telling.
        let (number, told) = (number(&state), told());
        assert!(
            number == told || number == told + 1 || told == 0,
            "{number}, {told}"
        );
        assert!(number > reached, "{number} after {reached}");
        killed_while_writing += u32::from(store.beside(".new").exists());
        reached = number;
        fs::write(store.beside(".told"), number.to_string()).unwrap();
    }
    assert!(
        killed_while_writing > 0,
        "every kill came between two states"
    );
}
