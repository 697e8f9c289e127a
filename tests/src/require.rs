//! What a test needs of the machine. A test that cannot run says so loudly, and fails where
//! `BULWARK_REQUIRE_ALL=1` says that all must run.

use std::io::Write;
use std::path::{Path, PathBuf};

const PROGRAMS: [&str; 6] = ["ip", "ethtool", "nginx", "curl", "sysctl", "ping"];

/// Whether this machine can run namespaces with real servers.
///
/// # Panics
/// When it cannot and `BULWARK_REQUIRE_ALL` is `1`.
pub fn machine() -> bool {
    programs(&PROGRAMS)
}

/// As [`machine`], for the programs named.
///
/// # Panics
/// As [`machine`].
pub fn programs(names: &[&str]) -> bool {
    match lacking(names) {
        None => true,
        Some(why) => {
            skip(&why);
            false
        }
    }
}

/// A tool that `make deps` puts below `target/`; without it the test cannot run.
///
/// # Panics
/// As [`machine`].
pub fn tool(name: &str) -> Option<PathBuf> {
    let place = [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "target",
        name,
        "bin",
        name,
    ];
    let path: PathBuf = place.iter().collect();
    if !path.exists() {
        skip(&format!("`{}` is missing (make deps)", path.display()));
        return None;
    }
    Some(path)
}

fn lacking(names: &[&str]) -> Option<String> {
    if !is_root() {
        return Some("not root; network namespaces need it (sudo make test)".to_owned());
    }
    names
        .iter()
        .find(|name| !installed(name))
        .map(|name| format!("`{name}` is not installed (make deps)"))
}

fn skip(why: &str) {
    assert!(
        std::env::var_os("BULWARK_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "cannot run here: {why}"
    );
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not eprintln!: the test runner hides that of a test that passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
    })
}

fn installed(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .any(|directory| Path::new(directory).join(name).exists())
}
