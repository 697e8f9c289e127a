//! A director that forwards, and whose API is asked for much over TCP.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use adminapi::model::{Protocol, Scheduler, Service};
use anyhow::Result;
use tempfile::TempDir;
use testbed::certificates::Authority;
use testbed::director::{Configuration, binary, service};
use testbed::namespace::Namespace;
use testbed::process::{output, resident};
use testbed::scene::{Family, Scene};
use testbed::topology::{Plan, VIP_V4};
use testbed::traffic::{HttpConnection, UdpClient};

use crate::ask::{Asked, LITTLE, MUCH, Way};

/// The director as the client sees it.
const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 254);

/// The port of the service whose listing is large. Nobody asks for it.
const LARGE: u16 = 7;

/// Between a visitor's visits: the machine is not to be busy with them alone.
const PACE: Duration = Duration::from_millis(10);

/// A scene with a door for tokens.
pub(crate) struct Bed {
    pub(crate) scene: Scene,
    door: SocketAddr,
    way: Way,
    reals: u32,
    /// Of those who take nothing.
    slow: String,
    /// Of who takes what he has asked for.
    honest: String,
    _files: (TempDir, Authority),
}

impl Bed {
    /// Plain HTTP, which is spoken on loopback alone. So many real servers are listed.
    pub(crate) fn plain(reals: u32) -> Result<Self> {
        let door = (Ipv4Addr::LOCALHOST, 7070).into();
        let (authority, tls) = (Authority::new()?, toml::Table::new());
        Self::start(door, authority, Way::Plain, tls, reals)
    }

    /// The same by TLS.
    pub(crate) fn tls(reals: u32) -> Result<Self> {
        let authority = Authority::new()?;
        let files = authority.certify("director", &[DIRECTOR.into()])?;
        let mut tls = toml::Table::new();
        for (key, file) in [("certificate", &files.certificate), ("key", &files.key)] {
            tls.insert(key.to_owned(), file.display().to_string().into());
        }
        let (door, way) = ((DIRECTOR, 7070).into(), Way::tls(&files)?);
        Self::start(door, authority, way, tls, reals)
    }

    fn start(
        door: SocketAddr,
        authority: Authority,
        way: Way,
        tls: toml::Table,
        reals: u32,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("tokens");
        let (slow, honest) = (token(&file, "slow")?, token(&file, "honest")?);
        let shape = |configuration: Configuration| {
            let configuration = configuration
                .api("listen", door.to_string())
                .api("token_file", file.display().to_string())
                .service(large(reals));
            match way {
                Way::Plain => configuration,
                Way::Tls(_) => configuration.api("tls", toml::Value::Table(tls)),
            }
        };
        let scene = Scene::start_shaped(Plan::default(), Scheduler::Rr, &[1, 1, 1], shape)?;
        Ok(Self {
            scene,
            door,
            way,
            reals,
            slow,
            honest,
            _files: (folder, authority),
        })
    }

    /// Gives all the real servers that are listed another weight. The change is an event.
    pub(crate) fn change(&self, weight: u32) -> Result<()> {
        let mut service = large(self.reals);
        service
            .reals
            .iter_mut()
            .for_each(|real| real.weight = weight);
        self.scene.director.api().put_service(&service)
    }

    /// Asks for each of `paths` with the token of those who take nothing.
    pub(crate) fn leave(&self, paths: &[&str]) -> Result<Vec<Asked>> {
        self.ask((&self.slow, LITTLE), paths)
    }

    /// All of the answers to who takes them. Bytes of each.
    pub(crate) fn take(&self, paths: &[&str]) -> Result<Vec<usize>> {
        let asked = self.ask((&self.honest, MUCH), paths)?;
        asked.into_iter().map(Asked::whole).collect()
    }

    fn ask(&self, caller: (&str, usize), paths: &[&str]) -> Result<Vec<Asked>> {
        let from = match self.way {
            Way::Plain => &self.scene.topology.director,
            Way::Tls(_) => &self.scene.topology.client,
        };
        from.enter(|| {
            let paths = paths.iter();
            paths
                .map(|path| Asked::of(self.door, &self.way, caller, path))
                .collect()
        })
    }

    /// The director's memory, bytes.
    pub(crate) fn memory(&mut self) -> Result<usize> {
        Ok(usize::try_from(resident(
            self.scene.director.process().id(),
        )?)?)
    }
}

/// A new token of the role `read`, its hash added to a file.
fn token(file: &Path, name: &str) -> Result<String> {
    let mut command = Command::new(binary("bulwark")?);
    command.args(["token", "new", "--name", name, "--role", "read", "--file"]);
    Ok(output(command.arg(file))?.trim().to_owned())
}

fn large(reals: u32) -> Service {
    let reals = (0..reals).map(|n| (([10, 128, (n >> 8) as u8, n as u8], 80).into(), 1));
    service(Protocol::Tcp, (VIP_V4, LARGE).into(), Scheduler::Rr, reals)
}

/// A client of the services, who loses no connection.
pub(crate) struct Visitor {
    is_over: Arc<AtomicBool>,
    visits: JoinHandle<Result<usize>>,
}

impl Visitor {
    pub(crate) fn start(client: &Namespace) -> Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let echo = UdpClient::open(client, Family::V4.echo())?;
        let visits = client.spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let mut live = HttpConnection::open_here(Family::V4.http())?;
                let mut count = 0;
                while !is_over.load(Relaxed) {
                    // The answers that are taken share the link, which may have no room for a datagram.
                    echo.echo_again(b"here")?;
                    live.ask_name()?;
                    HttpConnection::open_here(Family::V4.http())?.ask_name()?;
                    count += 1;
                    std::thread::sleep(PACE);
                }
                Ok(count)
            }
        })?;
        Ok(Self { is_over, visits })
    }

    /// How often he has been answered.
    pub(crate) fn end(self) -> Result<usize> {
        self.is_over.store(true, Relaxed);
        match self.visits.join() {
            Ok(count) => count,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
