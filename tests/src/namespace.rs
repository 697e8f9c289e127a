//! Network namespaces with names of their own, gone when dropped.
//!
//! A name is `bw<pid>-<n>-<label>`. A run that was killed leaves its namespaces behind; the
//! next run finds them by the pid that no longer lives and removes them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

use crate::backlog::Backlog;
use crate::floor;
use crate::process::{output, output_with_input};

const PREFIX: &str = "bw";
const DIRECTORY: &str = "/run/netns";

static NEXT: AtomicU32 = AtomicU32::new(0);
static SWEEP: Once = Once::new();

/// A network namespace of this process.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    _backlog: Backlog,
}

impl Namespace {
    /// Makes a namespace whose loopback is up.
    ///
    /// # Errors
    /// When `ip netns add` fails: most often, not root.
    pub fn new(label: &str) -> Result<Self> {
        SWEEP.call_once(sweep);
        let number = NEXT.fetch_add(1, Relaxed);
        let name = format!("{PREFIX}{}-{number}-{label}", std::process::id());
        output(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self {
            name,
            _backlog: Backlog::widen(),
        };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside. Its process id is the program's own: `ip netns exec`
    /// replaces itself.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs lines of ip(8) inside, each without the leading `ip`.
    ///
    /// # Errors
    /// At the first line that fails, with all of them in the message.
    pub fn ip(&self, lines: &str) -> Result<()> {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name, "-batch", "-"]);
        output_with_input(&mut command, lines).map(drop)
    }

    /// Runs a program inside to its end and gives its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        output(self.command(program).args(arguments))
    }

    /// Sets kernel parameters inside, each `name=value`.
    ///
    /// # Errors
    /// When one is not there.
    pub fn sysctl(&self, settings: &[&str]) -> Result<()> {
        output(self.command("sysctl").args(["-q", "-w"]).args(settings)).map(drop)
    }

    /// Runs `work` on a thread that lives inside: the sockets it opens belong here.
    ///
    /// # Panics
    /// When `work` does.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or what `work` fails with.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let handle = self.handle()?;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                floor::enter_network_namespace(&handle)?;
                work()
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread that lives inside for as long as `work` runs.
    ///
    /// # Errors
    /// When the namespace is gone.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let handle = self.handle()?;
        Ok(thread::spawn(move || {
            floor::enter_network_namespace(&handle)?;
            work()
        }))
    }

    fn handle(&self) -> Result<File> {
        let path = Path::new(DIRECTORY).join(&self.name);
        File::open(&path).with_context(|| format!("cannot open {}", path.display()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Kills what lives in a namespace and deletes it.
fn remove(name: &str) {
    let processes = output(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
    let own = std::process::id().to_string();
    for process in processes.split_whitespace().filter(|id| *id != own) {
        let _ = output(Command::new("kill").args(["-s", "KILL", process]));
    }
    let _ = output(Command::new("ip").args(["netns", "del", name]));
}

/// Removes all namespaces of this process, whoever holds them: for a signal handler.
pub fn remove_own() {
    let own = std::process::id().to_string();
    remove_where(|id| id == own);
}

/// Removes the namespaces of processes that are gone.
fn sweep() {
    remove_where(|id| !Path::new("/proc").join(id).exists());
}

fn remove_where(unwanted: impl Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(DIRECTORY) else {
        return;
    };
    let names: HashSet<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    for name in names {
        if owner(&name).is_some_and(&unwanted) {
            remove(&name);
        }
    }
}

/// The process id in a name of ours.
fn owner(name: &str) -> Option<&str> {
    let (id, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn only_our_names_have_an_owner() {
        assert_eq!(owner("bw123-0-client"), Some("123"));
        for foreign in ["", "bw", "bw-0-client", "bwx1-0", "web", "bw12"] {
            assert_eq!(owner(foreign), None, "{foreign}");
        }
    }
}
