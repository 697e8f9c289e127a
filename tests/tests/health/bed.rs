//! Real servers whose health is watched, and what the tests ask about it.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use adminapi::model::{
    CheckKind, ForwardingMethod, HealthPolicy, Real, RealState, RealView, Scheduler, Service,
    ServiceId, ServicePatch, ServiceView,
};
use anyhow::{Context, Result, ensure};
use testbed::api::Api;
use testbed::checks::often;
use testbed::director::binary;
use testbed::namespace::Namespace;
use testbed::process::output;
use testbed::scene::{Family, Scene};
use testbed::servers::OTHER_HTTP_PORT;
use testbed::topology::Plan;
use testbed::wait;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const FAMILY: Family = Family::V4;

/// Watched by requests for `/`.
pub(crate) fn by_http() -> HealthPolicy {
    HealthPolicy {
        check: Some(often(CheckKind::Http)),
        ..HealthPolicy::default()
    }
}

pub(crate) struct Bed {
    pub(crate) scene: Scene,
}

impl Bed {
    /// Real servers of these weights; the HTTP service is watched by `health`.
    pub(crate) fn start(
        scheduler: Scheduler,
        weights: &[u32],
        health: HealthPolicy,
    ) -> Result<Self> {
        let plan = Plan {
            reals: 3,
            ..Plan::default()
        };
        let scene = Scene::start_with(plan, scheduler, weights)?;
        let bed = Self { scene };
        bed.watch(Some(health))?;
        Ok(bed)
    }

    pub(crate) fn watch(&self, health: Option<HealthPolicy>) -> Result<()> {
        let patch = ServicePatch {
            health: Some(health.into()),
            ..ServicePatch::default()
        };
        self.api()
            .call(async |api| api.change_service(Self::id(), patch).await)?;
        Ok(())
    }

    pub(crate) fn id() -> ServiceId {
        FAMILY.http_service()
    }

    pub(crate) fn api(&self) -> &Api {
        self.scene.director.api()
    }

    /// The real server number `number`, from 1.
    pub(crate) fn real(&self, number: usize) -> SocketAddr {
        SocketAddr::from((self.scene.topology.reals[number - 1].v4, OTHER_HTTP_PORT))
    }

    /// The third real server, as one that takes over.
    pub(crate) fn sorry(&self) -> Real {
        Real {
            address: self.scene.topology.reals[2].v4.into(),
            port: Some(OTHER_HTTP_PORT),
            weight: 1,
            method: ForwardingMethod::Nat,
            upper: 0,
            lower: 0,
            tun: None,
            check: None,
        }
    }

    pub(crate) fn service(&self) -> Result<ServiceView> {
        self.api().service(Self::id())
    }

    pub(crate) fn view(&self, number: usize) -> Result<RealView> {
        let at = self.real(number);
        let reals = self.service()?.reals;
        reals
            .into_iter()
            .find(|real| real.endpoint() == at)
            .context("it is not configured")
    }

    /// Waits until a real server is in `state`. Whoever sees that sees what follows from it.
    pub(crate) fn until(&self, number: usize, state: RealState) -> Result<RealView> {
        wait::until(
            &format!("rs{number} to be {}", state.name()),
            PATIENCE,
            || {
                let view = self.view(number)?;
                let condition = view.condition.as_ref().context("it is not watched")?;
                let serves = condition.percent > 0 && !condition.removed;
                assert_eq!(serves, condition.state.is_well(), "{condition:?}");
                ensure!(condition.state == state, "it is {condition:?}");
                Ok(view)
            },
        )
    }

    /// What `bulwark` says, or `ipvsadm` by that name.
    pub(crate) fn say(&self, words: &str) -> Result<String> {
        let mut command = self.scene.topology.director.command(binary("bulwark")?);
        let socket = self.scene.director.socket();
        command.env("BULWARK_API", format!("unix:{}", socket.display()));
        command.args(words.split_whitespace());
        output(&mut command)
    }

    /// Weights in the listing of ipvsadm, by real server, in its order.
    pub(crate) fn listed(&self) -> Result<Vec<(String, u32)>> {
        let text = self.say(&format!("-Ln -t {}", FAMILY.http()))?;
        let rows = text.lines().filter_map(|line| line.strip_prefix("  -> "));
        let rows = rows.filter_map(|row| {
            let mut words = row.split_whitespace();
            let (at, weight) = (words.next()?, words.nth(1)?);
            Some((at.to_owned(), weight.parse().ok()?))
        });
        Ok(rows.collect())
    }

    /// The configured service with other fields.
    pub(crate) fn configured(&self) -> Result<Service> {
        Ok(Service::from(&self.service()?))
    }
}

/// A server that says a line to everyone who connects.
pub(crate) struct Speaker {
    line: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Speaker {
    pub(crate) fn start(namespace: &Namespace, at: SocketAddr, line: &str) -> Result<Self> {
        let listener = namespace.enter(|| Ok(TcpListener::bind(at)?))?;
        listener.set_nonblocking(true)?;
        let (line, stop) = (
            Arc::new(Mutex::new(line.to_owned())),
            Arc::<AtomicBool>::default(),
        );
        let (said, ended) = (Arc::clone(&line), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !ended.load(Relaxed) {
                match listener.accept() {
                    Ok((mut stream, _)) => {
                        let line = said.lock().map(|line| line.clone()).unwrap_or_default();
                        let _ = stream.write_all(format!("{line}\n").as_bytes());
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Ok(Self {
            line,
            stop,
            thread: Some(thread),
        })
    }

    pub(crate) fn say(&self, line: &str) {
        if let Ok(mut said) = self.line.lock() {
            line.clone_into(&mut said);
        }
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
