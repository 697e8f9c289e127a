//! `bulwarkd` in the director's namespace.

mod configuration;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use libbpf_rs::MapHandle;
use tempfile::TempDir;

use crate::api::Api;
use crate::bpf;
use crate::namespace::Namespace;
use crate::process::{Process, Signal};
use crate::wait;

pub use configuration::{Configuration, by, service};

/// Enough for an emulated machine, where the kernel checks programs slowly.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running director, killed when dropped.
#[derive(Debug)]
pub struct Director {
    process: Process,
    directory: TempDir,
    api: Api,
}

impl Director {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When the program is missing or the director does not become ready; its log is in the
    /// message.
    pub fn start(namespace: &Namespace, configuration: &Configuration) -> Result<Self> {
        Self::start_with(namespace, configuration, |_| ())
    }

    /// The same, after `prepare` has changed how it is started.
    ///
    /// # Errors
    /// As [`Director::start`].
    pub fn start_with(
        namespace: &Namespace,
        configuration: &Configuration,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        Self::start_by(configuration, |_| {
            let mut command = namespace.command(binary("bulwarkd")?);
            prepare(&mut command);
            Ok(command)
        })
    }

    /// The same, by a command that is given the folder of its files, and needs only the
    /// configuration on top.
    ///
    /// # Errors
    /// As [`Director::start`].
    pub fn start_by(
        configuration: &Configuration,
        command: impl FnOnce(&Path) -> Result<Command>,
    ) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("bulwark-director-")
            .tempdir()?;
        let socket = directory.path().join("api.sock");
        let file = directory.path().join("bulwark.toml");
        fs::write(&file, configuration.text(&socket)?)?;
        let mut command = command(directory.path())?;
        command.env("RUST_BACKTRACE", "1");
        let log = File::create(directory.path().join("log"))?;
        command
            .arg("--config")
            .arg(&file)
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = Process::spawn(&mut command)?;
        let mut director = Self {
            process,
            api: Api::new(&socket)?,
            directory,
        };
        director.wait_ready().with_context(|| director.log())?;
        Ok(director)
    }

    /// What a role of `bulwarkd` says that is given the same file, and how it ends.
    ///
    /// # Errors
    /// When it does not end.
    pub fn ask(&self, namespace: &Namespace, role: &str) -> Result<(ExitStatus, String)> {
        let mut command = namespace.command(binary("bulwarkd")?);
        let file = self.directory.path().join("bulwark.toml");
        let output = command.arg(role).arg("--config").arg(file).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status, String::from_utf8_lossy(&said).into_owned()))
    }

    /// Its API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The socket of its API.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("api.sock")
    }

    /// Its configuration file.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("bulwark.toml")
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A map of its gate.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn gate_map(&self, name: &str) -> Result<MapHandle> {
        bpf::map_of(self.process.id(), name)
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Gives it another configuration file and tells it to read it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn reload(&mut self, text: &str) -> Result<()> {
        fs::write(self.file(), text)?;
        self.process.signal(Signal::Hup)
    }

    /// Asks it to end, and waits for it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.end_by(Signal::Term)
    }

    /// Ends it by a signal, and waits for it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn end_by(&mut self, signal: Signal) -> Result<ExitStatus> {
        self.process.signal(signal)?;
        self.process.wait(PATIENCE).with_context(|| self.log())
    }

    fn wait_ready(&mut self) -> Result<()> {
        let Self { process, api, .. } = self;
        let mut early_end = None;
        wait::until("the director to be ready", PATIENCE, || {
            early_end = process.ended()?;
            if early_end.is_some() {
                Ok(())
            } else {
                api.health()
            }
        })?;
        match early_end {
            Some(status) => bail!("the director ended at once: {status}"),
            None => Ok(()),
        }
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        if is_test() {
            let stats = self.api.stats();
            eprintln!("--- director ---\n{stats:#?}\n{}", self.log());
        }
    }
}

/// What `bulwarkd` says and how it ends when it is given `text` as its configuration file and
/// started by `wrapper`, a command that ends in running another; it may be empty.
///
/// # Errors
/// When it does not end by itself.
pub fn run_to_end(
    namespace: &Namespace,
    wrapper: &[&str],
    text: &str,
) -> Result<(ExitStatus, String)> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("bulwark.toml");
    fs::write(&file, text)?;
    let daemon = binary("bulwarkd")?;
    let mut command = match wrapper {
        [] => namespace.command(daemon),
        [program, arguments @ ..] => {
            let mut command = namespace.command(program);
            command.args(arguments).arg(daemon);
            command
        }
    };
    let log = File::create(directory.path().join("log"))?;
    command
        .arg("--config")
        .arg(&file)
        .stdout(log.try_clone()?)
        .stderr(log);
    let ended = Process::spawn(&mut command)?.wait(PATIENCE);
    let said = fs::read_to_string(directory.path().join("log"))?;
    let status = ended.with_context(|| format!("with\n{text}\nit says\n{said}"))?;
    Ok((status, said))
}

/// Whether this is a test program, whose output is shown only when a test fails.
pub(crate) fn is_test() -> bool {
    std::env::current_exe().is_ok_and(|path| path.parent().is_some_and(|dir| dir.ends_with("deps")))
}

/// A program of the workspace, beside the running one: `target/debug` or `target/release`.
///
/// # Errors
/// When it is not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let running = std::env::current_exe()?;
    let directory = running
        .ancestors()
        .skip(1)
        .find(|path| !path.ends_with("deps") && !path.ends_with("examples"))
        .context("this program has no directory")?;
    let path = directory.join(name);
    if !path.exists() {
        bail!(
            "{} is missing: run `cargo build` (or `make build`) first",
            path.display()
        );
    }
    Ok(path)
}
