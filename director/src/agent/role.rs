//! `bulwarkd agent`: starts, follows the host's addresses, obeys signals, ends.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::claim::Claim;
use super::leftover;
use super::reporter::Reporter;
use super::{AgentError, Decapsulator};
use crate::channel;
use crate::config::AgentConfig;
use crate::host;
use crate::logging;
use crate::neighbour::{Link, Neighbourhood};
use crate::privilege;
use crate::say::say;
use crate::wire::Addr;

/// Between two looks whether the program is where it was put.
const LOOK: Duration = Duration::from_millis(500);

/// How long the director may take to let this real server go.
const PATIENCE: Duration = Duration::from_secs(4);

/// Decapsulates on a real server: IPIP, GRE and GUE packets of the directors reach the VIP on its
/// loopback.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration file of the agent (TOML).
    #[arg(long, value_name = "FILE", default_value = "/etc/bulwark/agent.toml")]
    config: PathBuf,

    /// Only check the configuration: print what is wrong with it, and exit 1 if anything is.
    #[arg(long)]
    check: bool,

    /// Only take off what agents that were killed have left on any interface.
    #[arg(long, conflicts_with = "check")]
    detach: bool,
}

/// The whole life of an agent. Problems go to standard error.
pub fn main(args: &Args) -> ExitCode {
    if args.detach {
        return detach();
    }
    let config = match AgentConfig::load(&args.config) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::FAILURE;
        }
    };
    if args.check {
        let file = args.config.display();
        let told = judge(&config).and_then(|mut remarks| {
            remarks.push(format!("{file}: ok"));
            say(&remarks.join("\n"))
        });
        return match told {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                eprintln!("{file}: {problem:#}");
                ExitCode::FAILURE
            }
        };
    }
    logging::start(&config.log);
    let served = runtime().and_then(|runtime| runtime.block_on(serve(args, config)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bulwarkd agent: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("cannot start")
}

fn detach() -> ExitCode {
    let host = runtime().and_then(|runtime| runtime.block_on(Host::follow()));
    let removed = host.and_then(|host| {
        let links = Arc::clone(&host.links.borrow());
        Ok(leftover::remove(&links)?)
    });
    let told = removed.and_then(|names| match names.as_slice() {
        [] => say("there was nothing"),
        names => say(&format!("the filter is removed from {}", names.join(", "))),
    });
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bulwarkd agent: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// Judges the files that a configuration names: what is worth a word is no fault.
fn judge(config: &AgentConfig) -> Result<Vec<String>> {
    let mut remarks = Vec::new();
    for source in &config.sources {
        let shown = channel::keep_client(&source.identity);
        let shown =
            shown.map_err(|problem| anyhow!("for the director {}: {problem}", source.address))?;
        remarks.extend(shown.get().remark());
    }
    Ok(remarks)
}

/// What of the host's network an agent has to know.
struct Host {
    addresses: watch::Receiver<Arc<[Addr]>>,
    links: watch::Receiver<Arc<[Link]>>,
    // Its tasks feed the receivers.
    _neighbourhood: Neighbourhood,
}

impl Host {
    async fn follow() -> Result<Self> {
        // An agent drives no interfaces.
        let neighbourhood = Neighbourhood::follow::<&str>(&[]).await;
        let neighbourhood = neighbourhood.context("cannot follow the kernel's addresses")?;
        Ok(Self {
            addresses: neighbourhood.addresses(),
            links: neighbourhood.links(),
            _neighbourhood: neighbourhood,
        })
    }

    fn interface(&self, name: &str) -> Result<Link, AgentError> {
        let links = self.links.borrow();
        let link = links.iter().find(|link| &*link.name == name);
        let link = link.ok_or_else(|| AgentError::MissingInterface(name.to_owned()))?;
        // That of the loopback is all zeroes.
        if link.mac.is_none_or(|mac| mac == [0; 6]) {
            return Err(AgentError::NotEthernet(name.to_owned()));
        }
        Ok(link.clone())
    }

    fn has(&self, ifindex: u32) -> bool {
        self.links
            .borrow()
            .iter()
            .any(|link| link.ifindex == ifindex)
    }
}

async fn serve(args: &Args, config: AgentConfig) -> Result<()> {
    host::check(privilege::AGENT)?;
    let mut host = Host::follow().await?;
    let link = host.interface(config.interface.as_str())?;
    let _claim = Claim::of(&link)?;
    let program = Decapsulator::attach(&config, &link)?;
    let known = tell_addresses(&program, &[], &host.addresses.borrow_and_update())?;
    let (leave, leaving) = watch::channel(false);
    let attached = watch::Sender::new(true);
    let keyring = Arc::new(Mutex::new(program.keyring()?));
    let mut reporting = Vec::new();
    for (number, source) in config.sources.iter().enumerate() {
        let (keyring, leaving) = (Arc::clone(&keyring), leaving.clone());
        let reporter = Reporter::new(source, number, keyring, leaving, attached.subscribe());
        let reporter = reporter.context("cannot ask a director for keys")?;
        reporting.push(tokio::spawn(reporter.run()));
    }
    let mut agent = Agent {
        args,
        config,
        program,
        attached,
        known,
    };
    info!(interface = %link.name, hook = %agent.program.hook(), "decapsulating");
    agent.warn_of_anybody();
    leftover::warn_of_any(&host.links.borrow(), &link);
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let outcome = agent.follow(&mut host, &link).await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    // The receiver is gone when nobody reports.
    let _ = leave.send(true);
    let patience = tokio::time::Instant::now() + PATIENCE;
    for reporting in reporting {
        let _ = tokio::time::timeout_at(patience, reporting).await;
    }
    agent.tell_outcomes();
    info!("stopped");
    outcome
}

/// An agent at work.
struct Agent<'a> {
    args: &'a Args,
    config: AgentConfig,
    program: Decapsulator,
    /// Whether packets come by it.
    attached: watch::Sender<bool>,
    /// The addresses of the host that the program holds.
    known: Arc<[Addr]>,
}

impl Agent<'_> {
    /// Until a signal ends it: SIGTERM or SIGINT. SIGHUP reloads, SIGUSR1 logs the counters.
    async fn follow(&mut self, host: &mut Host, link: &Link) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut user = signal(SignalKind::user_defined1())?;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = hangup.recv() => self.reload(),
                _ = user.recv() => self.tell_outcomes(),
                _ = look.tick() => self.keep_attached(),
                Ok(()) = host.addresses.changed() => {
                    let now = host.addresses.borrow_and_update();
                    self.known = tell_addresses(&self.program, &self.known, &now)?;
                }
                Ok(()) = host.links.changed() => {
                    host.links.mark_unchanged();
                    if !host.has(link.ifindex) {
                        return Err(AgentError::LostInterface(link.name.to_string()).into());
                    }
                }
            }
        }
    }

    /// A file that does not hold leaves everything as it is.
    fn reload(&mut self) {
        let config = match AgentConfig::load(&self.args.config) {
            Ok(config) => config,
            Err(problems) => return error!("configuration not reloaded: {problems}"),
        };
        if let Err(problem) = self.program.set_lists(&config) {
            return error!("configuration not reloaded: {problem}");
        }
        let lists = AgentConfig {
            directors: config.directors.clone(),
            vips: config.vips.clone(),
            ..self.config.clone()
        };
        if config != lists {
            warn!(
                "only directors and vips can change while the agent runs; restart it for the rest"
            );
        }
        self.config = lists;
        info!("configuration reloaded: directors and vips");
        self.warn_of_anybody();
    }

    /// Others may take a filter off, or the qdisc that it is in.
    fn keep_attached(&mut self) {
        let attached = match self.program.keep() {
            Ok(false) => true,
            Ok(true) => {
                warn!("somebody had taken the program off the interface; it is attached again");
                true
            }
            Err(error) => {
                if *self.attached.borrow() {
                    warn!(%error, "somebody has taken the program off the interface");
                }
                false
            }
        };
        self.attached.send_replace(attached);
    }

    fn warn_of_anybody(&self) {
        if self.config.directors.is_empty() {
            warn!("any host may send tunnel packets; name your `directors` under [agent]");
        }
    }

    fn tell_outcomes(&self) {
        match self.program.outcomes() {
            Ok(outcomes) => info!(target: logging::ANSWER, "packets: {outcomes}"),
            Err(error) => warn!(%error, "cannot read the counters"),
        }
        if self.config.sources.is_empty() {
            return;
        }
        match self.program.welcomes() {
            Ok(welcomes) => info!("cookies: {welcomes}"),
            Err(error) => warn!(%error, "cannot read the counters"),
        }
    }
}

/// Makes the addresses that the program holds, `known`, those that there are `now`. Both are
/// sorted.
fn tell_addresses(
    program: &Decapsulator,
    known: &[Addr],
    now: &Arc<[Addr]>,
) -> Result<Arc<[Addr]>, AgentError> {
    let gone = known.iter().filter(|addr| now.binary_search(addr).is_err());
    gone.into_iter()
        .try_for_each(|addr| program.set_local(*addr, false))?;
    let new = now.iter().filter(|addr| known.binary_search(addr).is_err());
    new.into_iter()
        .try_for_each(|addr| program.set_local(*addr, true))?;
    Ok(Arc::clone(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_reads_the_files_that_keys_are_fetched_with() {
        let folder = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(["10.0.2.1".to_owned()]).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("cert"), own.cert.pem()).unwrap();
        std::fs::write(at("key"), own.signing_key.serialize_pem()).unwrap();
        let with_key = |key: &str| {
            let (cert, key) = (at("cert"), at(key));
            let text = format!(
                "[agent]\ninterface = \"eth0\"\n[agent.director]\naddress = \"10.0.2.254:7071\"\n\
                 certificate = {cert:?}\nkey = {key:?}\nca = {cert:?}\n"
            );
            judge(&AgentConfig::parse(&text, "f").unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(with_key("key"), Ok(Vec::new()));
        let told = with_key("nowhere").unwrap_err();
        assert!(
            told.starts_with("for the director 10.0.2.254:7071: cannot use "),
            "{told}"
        );
        assert!(told.contains("nowhere"), "{told}");
    }
}
