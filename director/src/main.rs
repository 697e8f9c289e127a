//! `bulwarkd`: reads the configuration, opens the data path, serves the API; nothing else.
//! `bulwarkd agent` is the other role, for real servers: see [`director::agent`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use adminapi::serve::{bind_unix, serve_tcp, serve_unix};
use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use director::agent;
use director::config::Config;
use director::control::Director;
use director::datapath;
use director::run::{self, Running};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
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
        println!("{}: ok", args.config.display());
        return ExitCode::SUCCESS;
    }
    run::log(&config.log);
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
    run::check_host()?;
    let claim = run::claim(config)?;
    let unix = bind_unix(&config.api.unix).await?;
    let tcp = listen(config.api.listen).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let (ended, mut failures) = mpsc::unbounded_channel();
    let Running { director, workers } = run::start(config, claim, &stop, move |id, why| {
        // The receiver lives until the workers are joined.
        let _ = ended.send(format!("worker {id} ended: {why}"));
    })
    .await?;
    let director = Arc::new(director);
    let (end, ending) = watch::channel(());
    let router = adminapi::router(director.clone());
    let mut api = JoinSet::new();
    if let Some(tcp) = tcp {
        api.spawn(serve_tcp(tcp, router.clone(), after(ending.clone())));
    }
    api.spawn(serve_unix(unix, router, after(ending.clone())));
    run::look_after(Arc::clone(&director), after(ending))?;
    let followers = tokio::spawn(run::follow(Arc::clone(&director)));
    let hearers = tokio::spawn(run::hear(Arc::clone(&director)));
    info!(api = %config.api.unix.display(), "ready");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    let outcome = tokio::select! {
        outcome = obey_signals(args, &director) => outcome,
        Some(failure) = failures.recv() => Err(anyhow::anyhow!(failure)),
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    drop(end);
    followers.abort();
    hearers.abort();
    let finished = tokio::time::timeout(PATIENCE, api.join_all());
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

async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await;
    let busy = || format!("cannot listen on {address}; set another `listen` under [api]");
    listener.map(Some).with_context(busy)
}

async fn after(mut ending: watch::Receiver<()>) {
    // An error is the sender's end, which is what is awaited.
    let _ = ending.changed().await;
}

/// SIGHUP reloads the services; SIGTERM and SIGINT end.
async fn obey_signals(args: &Args, director: &Arc<Director>) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = hangup.recv() => reload(args, director).await,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// A file that does not hold leaves everything as it is.
async fn reload(args: &Args, director: &Arc<Director>) {
    let (path, director) = (args.config.clone(), Arc::clone(director));
    let reloaded = tokio::task::spawn_blocking(move || {
        let config = match Config::load(&path) {
            Ok(config) => config,
            Err(problems) => bail!("{problems}"),
        };
        run::configure(&director, &config)
    });
    match reloaded.await {
        Ok(Ok(())) => info!("configuration reloaded: services, timeouts, sysctls, local addresses"),
        Ok(Err(problem)) => error!("configuration not reloaded: {problem:#}"),
        Err(fault) => error!("configuration not reloaded: {fault}"),
    }
}
