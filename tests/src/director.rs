//! `bulwarkd` in the director's namespace.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use adminapi::model::{
    CookiePolicy, ForwardingMethod, Protocol, Real, Scheduler, SchedulerFlags, Service, ServiceId,
    Tunnel,
};
use anyhow::{Context, Result, bail};
use libbpf_rs::MapHandle;
use serde::Serialize;
use tempfile::TempDir;

use crate::api::Api;
use crate::bpf;
use crate::certificates::Files;
use crate::namespace::Namespace;
use crate::process::{Process, Signal};
use crate::wait;

/// Enough for an emulated machine, where the kernel checks programs slowly.
const PATIENCE: Duration = Duration::from_secs(60);

/// The configuration file that a director is started with.
#[derive(Clone, Debug, Serialize)]
pub struct Configuration {
    datapath: Datapath,
    api: ApiPlace,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    limits: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    defense: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    agents: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    cookies: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    filter: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    timeouts: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    sysctl: toml::Table,
    service: Vec<Service>,
}

#[derive(Clone, Debug, Serialize)]
struct Datapath {
    interfaces: Vec<String>,
    fast_path: bool,
    #[serde(flatten)]
    more: toml::Table,
}

#[derive(Clone, Debug, Default, Serialize)]
struct ApiPlace {
    unix: PathBuf,
    #[serde(flatten)]
    more: toml::Table,
}

impl Configuration {
    /// Forwards between `interfaces`, without a service.
    pub fn new(interfaces: Vec<String>) -> Self {
        Self {
            datapath: Datapath {
                interfaces,
                fast_path: is_fast(),
                more: toml::Table::new(),
            },
            api: ApiPlace::default(),
            limits: toml::Table::new(),
            defense: toml::Table::new(),
            agents: toml::Table::new(),
            cookies: toml::Table::new(),
            filter: toml::Table::new(),
            timeouts: toml::Table::new(),
            sysctl: toml::Table::new(),
            service: Vec::new(),
        }
    }

    /// Adds a service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.service.push(service);
        self
    }

    /// Adds services.
    #[must_use]
    pub fn services(mut self, services: impl IntoIterator<Item = Service>) -> Self {
        self.service.extend(services);
        self
    }

    /// Has no service answer with cookies, which would keep the pools empty and take the place of
    /// whatever else is tried.
    #[must_use]
    pub fn without_cookies(self) -> Self {
        self.policy(CookiePolicy::Off)
    }

    /// Says when services answer with cookies.
    #[must_use]
    pub fn policy(mut self, policy: CookiePolicy) -> Self {
        for service in &mut self.service {
            service.cookies = policy;
        }
        self
    }

    /// Sets a key of `[datapath]`.
    #[must_use]
    pub fn datapath(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.datapath.more.insert(key.to_owned(), value.into());
        self
    }

    /// Without what would outlive the director.
    #[must_use]
    pub fn unpinned(mut self) -> Self {
        for key in ["pin", "state"] {
            self.datapath.more.remove(key);
        }
        self
    }

    /// Forwards between these interfaces instead.
    #[must_use]
    pub fn interfaces(mut self, interfaces: &[&str]) -> Self {
        let names = interfaces.iter().map(ToString::to_string);
        self.datapath.interfaces = names.collect();
        self
    }

    /// With the fast path, or without.
    #[must_use]
    pub fn fast_path(mut self, fast_path: bool) -> Self {
        self.datapath.fast_path = fast_path;
        self
    }

    /// Whether it is with the fast path.
    pub fn is_fast(&self) -> bool {
        self.datapath.fast_path
    }

    /// Sets a key of `[api]`.
    #[must_use]
    pub fn api(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.api.more.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of `[limits]`.
    #[must_use]
    pub fn limit(mut self, key: &str, value: i64) -> Self {
        self.limits.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of `[defense]`.
    #[must_use]
    pub fn defense(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.defense.insert(key.to_owned(), value.into());
        self
    }

    /// Takes agents in at `listen`, with what `files` say.
    #[must_use]
    pub fn agents(mut self, listen: SocketAddr, files: &Files) -> Self {
        let path = |path: &Path| path.display().to_string();
        let pairs = [
            ("listen", listen.to_string()),
            ("certificate", path(&files.certificate)),
            ("key", path(&files.key)),
            ("client_ca", path(&files.authority)),
        ];
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.into()));
        self.agents.extend(pairs);
        self
    }

    /// Sets a key of `[cookies]`.
    #[must_use]
    pub fn cookies(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.cookies.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of `[filter]`.
    #[must_use]
    pub fn filter(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.filter.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of `[timeouts]`, seconds.
    #[must_use]
    pub fn timeout(mut self, key: &str, seconds: i64) -> Self {
        self.timeouts.insert(key.to_owned(), seconds.into());
        self
    }

    /// Sets a key of `[sysctl]`.
    #[must_use]
    pub fn sysctl(mut self, name: &str, value: i64) -> Self {
        self.sysctl.insert(name.to_owned(), value.into());
        self
    }

    /// The file, with the API on `socket`.
    ///
    /// # Errors
    /// When it has no TOML form.
    pub fn text(&self, socket: &Path) -> Result<String> {
        let mut placed = self.clone();
        placed.api.unix = socket.to_owned();
        Ok(toml::to_string(&placed)?)
    }
}

/// Whether directors have their fast path unless a test says otherwise: `BULWARK_FAST_PATH=off` runs
/// all tests without.
pub fn is_fast() -> bool {
    std::env::var_os("BULWARK_FAST_PATH").is_none_or(|word| word != "off")
}

/// A NAT service on `vip` with real servers and their weights.
pub fn service(
    protocol: Protocol,
    vip: SocketAddr,
    scheduler: Scheduler,
    reals: impl IntoIterator<Item = (SocketAddr, u32)>,
) -> Service {
    let reals = reals.into_iter().map(|(address, weight)| Real {
        address: address.ip(),
        port: Some(address.port()),
        weight,
        method: ForwardingMethod::Nat,
        tun: None,
        upper: 0,
        lower: 0,
        check: None,
    });
    Service {
        id: ServiceId::at(protocol, vip),
        scheduler,
        scheduler_flags: SchedulerFlags::NONE,
        persistence: None,
        engine: None,
        one_packet: false,
        health: None,
        cookies: Default::default(),
        udp_repeats: None,
        helper: Default::default(),
        reals: reals.collect(),
    }
}

/// The same service, with packets reaching its real servers in another way.
pub fn by(service: Service, method: ForwardingMethod, tun: Option<Tunnel>) -> Service {
    let reals = service.reals.into_iter().map(|real| Real {
        method,
        tun,
        ..real
    });
    Service {
        reals: reals.collect(),
        ..service
    }
}

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
