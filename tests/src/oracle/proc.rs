//! The captures read and write the files of `/proc/sys/net/ipv4/vs`; the director's sysctls are
//! behind `sysctl`.

use super::case::Command;

const FILES: &str = "/proc/sys/net/ipv4/vs";
/// What the captures' shell says when the kernel refuses a value.
const REFUSED: &str = "sh: 1: echo: echo: I/O error";

/// The same command without those files; as it is when it has none to do with.
pub(super) fn by_sysctl(command: &Command) -> Command {
    let line = match command.line.split(' ').collect::<Vec<_>>().as_slice() {
        ["echo", value @ .., ">", file, "cat", _] => write(&value.join(" "), file),
        ["cat", files @ ..] if files.iter().all(|file| file.starts_with(FILES)) => read(files),
        ["cd", directory, "for", ..] if directory.starts_with(FILES) => list(&command.stdout),
        _ => command.line.clone(),
    };
    Command {
        line,
        ..command.clone()
    }
}

fn name(file: &str) -> String {
    let file = file.trim_start_matches(FILES).trim_matches(['/', ';']);
    format!("net.ipv4.vs.{file}")
}

fn write(value: &str, file: &str) -> String {
    let name = name(file);
    format!("sysctl -qw {name}='{value}' 2>/dev/null || echo '{REFUSED}' >&2; sysctl -n {name}")
}

fn read(files: &[&str]) -> String {
    let names: Vec<_> = files.iter().map(|file| name(file)).collect();
    format!("sysctl -n {}", names.join(" "))
}

/// Those that the capture shows: its kernel is older than some that there are now.
fn list(shown: &[String]) -> String {
    let names = shown.iter().filter_map(|line| line.split(' ').next());
    let names: Vec<_> = names.map(name).collect();
    format!("sysctl {} | sed 's/^net.ipv4.vs.//'", names.join(" "))
}
