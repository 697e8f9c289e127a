//! `bulwarkd`: reads the configuration, opens the data path, serves the API; nothing else.
//! `bulwarkd agent` is the other role, for real servers: see [`director::agent`].

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use director::agent;
use director::agents;
use director::config::Config;
use director::control::Director;
use director::datapath;
use director::listeners::{self, Listeners, Serving};
use director::run::{self, Running};
use director::{logging, privilege, supervisor};
use tokio::signal::unix::{SignalKind, signal};
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
}

fn main() -> ExitCode {
    let args = Args::parse();
    match &args.role {
        Some(Role::Agent(args)) => return agent::main(args),
        Some(Role::Detach(args)) => return detach(args),
        None => {}
    }
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::FAILURE;
        }
    };
    if args.check {
        return check(&args, &config);
    }
    logging::start(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let served = runtime
        .context("cannot start threads")
        .and_then(|r| r.block_on(serve(&args, &config)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bulwarkd: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// Judges the files that the configuration names, too.
fn check(args: &Args, config: &Config) -> ExitCode {
    match config.api.listen.as_ref().map(listeners::access) {
        Some(Err(problem)) => {
            eprintln!("{problem:#}");
            ExitCode::FAILURE
        }
        _ => {
            println!("{}: ok", args.config.display());
            ExitCode::SUCCESS
        }
    }
}

fn detach(args: &Detach) -> ExitCode {
    let loaded = Config::load(&args.config).map_err(anyhow::Error::new);
    match loaded.and_then(|config| run::detach(&config)) {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("bulwarkd: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a director from the first socket to the last.
async fn serve(args: &Args, config: &Config) -> Result<()> {
    run::check_host(privilege::AGENT.iter().chain(privilege::DIRECTOR))?;
    let claim = run::claim(config)?;
    let listeners = Listeners::bind(&config.api).await?;
    let door = run::door_for_agents(config).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let (ended, mut failures) = mpsc::unbounded_channel();
    let Running { director, workers } = run::start(config, claim, &stop, move |id, why| {
        // The receiver lives until the workers are joined.
        let _ = ended.send(format!("worker {id} ended: {why}"));
    })
    .await?;
    director.set_source(args.config.clone(), config.clone());
    let director = Arc::new(director);
    let (end, ending) = watch::channel(());
    let serving = listeners.serve(director.clone(), &ending);
    if let Some(door) = door {
        let agents = Arc::clone(director.agents());
        tokio::spawn(agents::serve(door, agents, director.clock()));
    }
    let mut stopping = ending.clone();
    // An error is the sender's end, which is what is awaited.
    let end_of_care = async move { drop(stopping.changed().await) };
    run::look_after(Arc::clone(&director), end_of_care)?;
    let background = [
        tokio::spawn(run::follow(Arc::clone(&director))),
        tokio::spawn(run::hear(Arc::clone(&director))),
        tokio::spawn(run::follow_atlas(Arc::clone(&director))),
        tokio::spawn(supervisor::inform(Arc::clone(&director))),
    ];
    info!(api = %config.api.unix.display(), "ready");
    supervisor::ready();

    let outcome = tokio::select! {
        outcome = obey_signals(&director, &serving) => outcome,
        Some(failure) = failures.recv() => Err(anyhow::anyhow!(failure)),
    };
    supervisor::stopping();
    drop(end);
    background.iter().for_each(JoinHandle::abort);
    let finished = tokio::time::timeout(PATIENCE, serving.finish());
    if finished.await.is_err() {
        warn!("API clients did not finish in time");
    }
    let stopped = tokio::task::spawn_blocking(move || datapath::stop(&stop, workers)).await;
    stopped.context("stopping the workers")?;
    director.keep_running();
    director.keep_tally();
    info!("stopped");
    outcome
}

/// SIGHUP reads the files again; SIGTERM and SIGINT end.
async fn obey_signals(director: &Arc<Director>, serving: &Serving) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                supervisor::reloading();
                serving.refresh();
                reload(director).await;
                supervisor::ready();
            }
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
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
