//! `bulwarkd`: reads the configuration, opens the data path, serves the API; nothing else.
//! `bulwarkd agent` is the other role, for real servers: see [`director::agent`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use adminapi::Control as _;
use anyhow::{Context, Error, Result};
use clap::{Parser, Subcommand};
use director::agent;
use director::agents;
use director::config::{Config, Survive};
use director::control::{self, Director};
use director::datapath;
use director::host;
use director::listeners::{self, Listeners, Serving};
use director::run::{self, Running};
use director::say::say;
use director::signals::{Order, Signals};
use director::{keep, logging, persist, privilege, supervisor};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

/// How long API clients get to finish when the director stops.
const PATIENCE: Duration = Duration::from_secs(2);

const DEFAULT_CONFIG: &str = "/etc/bulwark/bulwark.toml";

/// The Bulwark director: a layer-4 load balancer on AF_XDP.
#[derive(Parser, Debug)]
#[command(name = "bulwarkd", version, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,

    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,

    /// Only check the configuration: print what is wrong with it, and exit 1 if anything is.
    #[arg(long)]
    check: bool,
}

/// What it is instead of a director.
#[derive(Subcommand, Debug)]
enum Role {
    Agent(agent::Args),
    Detach(Detach),
}

/// Removes the gate, and what was kept, of a director that does not run and is not to be started
/// again.
#[derive(clap::Args, Debug)]
struct Detach {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,

    /// Where the gate is pinned; with it no configuration file is read.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pin: Option<PathBuf>,

    /// Where connections and the like are kept.
    #[arg(long, value_name = "DIR", requires = "pin", default_value = Survive::DEFAULT_STATE)]
    state: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match &args.role {
        Some(Role::Agent(args)) => return agent::main(args),
        Some(Role::Detach(args)) => return detach(args),
        None => {}
    }
    let done = match args.check {
        true => check(&args.config).and_then(|told| say(&told)),
        false => direct(&args.config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// Judges what of the host the configuration names, too, its files and a group, and whether what a director has
/// left can be read. What there is to say of one that holds.
fn check(file: &Path) -> Result<String> {
    let config = Config::load(file)?;
    let mut remarks = Vec::new();
    listeners::group(&config.api)?;
    if let Some(listen) = &config.api.listen {
        let access = listeners::access(listen)?;
        remarks.extend(access.tls.and_then(|shown| shown.get().remark()));
    }
    run::judge(file, &config)?;
    if let Some(survive) = &config.datapath.survive {
        keep::look(&survive.state)?;
    }
    let kept = config.api.persist.as_deref();
    remarks.extend(kept.and_then(persist::homeless));
    if let Some(agents) = &config.agents {
        let shown = agents::shown(&agents.identity).map_err(Error::msg);
        remarks.extend(shown.context("[agents]")?.get().remark());
    }
    let rules = &config.filter.rules;
    let file = file.display();
    remarks.extend(rules.idly_wide().map(|name| {
        format!(
            "{file}: the limit {name:?} is per service, where prefix_v4 and prefix_v6 do nothing: leave them out"
        )
    }));
    remarks.extend(rules.idle_limits().map(|name| {
        format!("{file}: the limit {name:?} counts nothing, since only TCP has SYNs: use packets")
    }));
    let idle = config.idle_queues(&config.services);
    remarks.extend(idle.map(|idle| format!("{file}: {idle}")));
    remarks.push(format!("{file}: ok"));
    Ok(remarks.join("\n"))
}

/// Is a director until a signal ends it.
fn direct(file: &Path) -> Result<()> {
    let [runtime, api] = [threads("director")?, threads("api")?];
    let signals = {
        let _within = runtime.enter();
        Signals::listen().context("bulwarkd: cannot hear signals")?
    };
    let config = Config::load(file)?;
    logging::start(&config.log);
    let served = runtime.block_on(serve(file, &config, signals, api.handle()));
    served.context("bulwarkd")
}

/// Two threads, and those on which they let others block.
fn threads(name: &str) -> Result<Runtime> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(name)
        .enable_all()
        .build();
    threads.context("bulwarkd: cannot start threads")
}

fn detach(args: &Detach) -> ExitCode {
    let removed = match &args.pin {
        Some(pin) => run::remove(&Survive {
            pin: pin.clone(),
            state: args.state.clone(),
        }),
        None => {
            let loaded = Config::load(&args.config).map_err(Error::new);
            loaded.and_then(|config| run::detach(&config))
        }
    };
    match removed.and_then(|done| say(&done)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bulwarkd: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a director from the first socket to the last, and its API on `threads`.
async fn serve(file: &Path, config: &Config, mut signals: Signals, threads: &Handle) -> Result<()> {
    host::check(privilege::AGENT.iter().chain(privilege::DIRECTOR))?;
    privilege::raise_descriptors()?;
    let claim = run::claim(config)?;
    let listeners = Listeners::bind(config).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let (ended, mut failures) = mpsc::unbounded_channel();
    let Running { director, workers } = run::start(config, claim, &stop, move |id, why| {
        // The receiver lives until the workers are joined.
        let _ = ended.send(format!("worker {id} ended: {why}"));
    })
    .await?;
    director.set_source(file.to_owned(), config.clone());
    let director = Arc::new(director);
    let (end, ending) = watch::channel(());
    let serving = listeners.serve(&director, &ending, threads);
    let mut stopping = ending.clone();
    // An error is the sender's end, which is what is awaited.
    let end_of_care = async move { drop(stopping.changed().await) };
    run::look_after(Arc::clone(&director), end_of_care)?;
    let background = [
        tokio::spawn(run::follow(Arc::clone(&director))),
        tokio::spawn(run::hear(Arc::clone(&director))),
        tokio::spawn(run::follow_atlas(Arc::clone(&director))),
        tokio::spawn(run::follow_queues(Arc::clone(&director))),
        tokio::spawn(control::provide_memory(Arc::clone(&director))),
        tokio::spawn(control::fill_tables(Arc::clone(&director))),
        tokio::spawn(supervisor::inform(Arc::clone(&director))),
    ];
    info!(api = %config.api.unix.display(), "ready");
    supervisor::ready();

    let outcome = tokio::select! {
        () = obey(&mut signals, &director, &serving) => Ok(()),
        Some(failure) = failures.recv() => Err(anyhow::anyhow!(failure)),
    };
    supervisor::stopping();
    drop(end);
    background.iter().for_each(JoinHandle::abort);
    let finished = tokio::time::timeout(PATIENCE, serving.finish());
    if finished.await.is_err() {
        warn!("API clients did not finish in time");
    }
    if let Err(error) = director.gate().disconnect() {
        warn!(%error, "what comes to the last is lost");
    }
    let stopped = tokio::task::spawn_blocking(move || datapath::stop(&stop, workers)).await;
    stopped.context("stopping the workers")?;
    director.keep_running();
    director.keep_tally();
    info!("stopped");
    outcome
}

/// Obeys signals until one asks for the end.
async fn obey(signals: &mut Signals, director: &Arc<Director>, serving: &Serving) {
    while signals.next().await == Order::Reload {
        supervisor::reloading();
        serving.refresh();
        reload(director).await;
        supervisor::ready();
    }
}

/// A file that does not hold leaves everything as it is.
async fn reload(director: &Arc<Director>) {
    let director = Arc::clone(director);
    let reloaded = tokio::task::spawn_blocking(move || director.reload_by("SIGHUP"));
    match reloaded.await {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => error!("configuration not reloaded: {problem}"),
        Err(fault) => error!("configuration not reloaded: {fault}"),
    }
}
