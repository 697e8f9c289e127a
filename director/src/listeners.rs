//! The listeners, as the configuration has them: those of the API, and the one for agents.

use std::sync::Arc;

use adminapi::audit;
use adminapi::auth::{self, Allowance, Tokens};
use adminapi::certificate::Shown;
use adminapi::kept::Kept;
use adminapi::serve::{Access, BoundUnix, TlsFiles, bind_unix, serve_tcp, serve_unix};
use anyhow::{Context, Error, Result, bail};
use nix::unistd::Group;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;

use crate::agents::{self, Door};
use crate::config::{Api, Config, Listen};
use crate::control::{Certificate, Director};

/// Sockets that are bound, so that nobody else can have them, and are not served yet.
pub struct Listeners {
    unix: BoundUnix,
    tcp: Option<(TcpListener, Access)>,
    agents: Option<Door>,
}

impl Listeners {
    /// Binds them.
    ///
    /// # Errors
    /// What is wrong with an address or a file, and what to do.
    pub async fn bind(config: &Config) -> Result<Self> {
        let api = &config.api;
        let group = group(api)?;
        Ok(Self {
            unix: bind_unix(&api.unix, group).await?,
            tcp: match &api.listen {
                None => None,
                Some(listen) => Some((bind_tcp(listen).await?, access(listen)?)),
            },
            agents: door_for_agents(config).await?,
        })
    }

    /// Serves `director` until `ending` hears of the end: the API on `threads` of its own, so that
    /// nobody who asks holds up what the director does by itself.
    pub fn serve(
        self,
        director: &Arc<Director>,
        ending: &watch::Receiver<()>,
        threads: &Handle,
    ) -> Serving {
        let mut certificates = Vec::new();
        let shown = self
            .tcp
            .as_ref()
            .and_then(|(_, access)| access.tls.as_ref());
        certificates.extend(shown.map(|shown| certificate("api", shown)));
        let agents = self.agents.map(|door| {
            certificates.push(certificate("agents", door.shown()));
            serve_agents(door, director)
        });
        director.show(certificates);
        let api = adminapi::audited(director.clone());
        let mut open = JoinSet::new();
        let access = self.tcp.map(|(listener, access)| {
            let end = after(ending.clone());
            let served = serve_tcp(listener, access.clone(), api.clone(), end);
            open.spawn_on(served, threads);
            access
        });
        let served = serve_unix(self.unix, api, after(ending.clone()));
        open.spawn_on(served, threads);
        if let Some(access) = access.clone() {
            // It watches files only, and ends with the program.
            threads.spawn(access.follow());
        }
        Serving {
            director: Arc::clone(director),
            open,
            access,
            agents,
        }
    }
}

/// Listeners that are served.
pub struct Serving {
    director: Arc<Director>,
    open: JoinSet<()>,
    access: Option<Access>,
    agents: Option<Arc<Kept<Shown<ServerConfig>>>>,
}

impl Serving {
    /// Reads the files of tokens and certificates again.
    pub fn refresh(&self) {
        self.access.iter().for_each(Access::refresh);
        self.agents.iter().for_each(|shown| shown.refresh());
    }

    /// Waits until the last request is answered, and the last change told of.
    pub async fn finish(self) {
        self.open.join_all().await;
        audit::settled(self.director.as_ref()).await;
    }
}

/// What a listener asks for, with its files read.
///
/// # Errors
/// What is wrong with the files.
pub fn access(listen: &Listen) -> Result<Access> {
    let tokens = listen.token_file.clone().map(|path| {
        let files = vec![path.clone()];
        let read = move || Tokens::load(&path).map_err(|bad| bad.to_string());
        Kept::new("API tokens", files, read).map(Arc::new)
    });
    let tls = listen.tls.clone().map(TlsFiles::keep);
    let allowance =
        (listen.requests).map(|requests| Arc::new(Allowance::new(requests.rate, requests.burst)));
    let access = Access {
        door: auth::Door {
            tokens: tokens.transpose().map_err(Error::msg)?,
            allowance,
        },
        tls: tls.transpose().map_err(Error::msg)?,
    };
    let known = access.door.tokens.as_ref().map(|tokens| tokens.get().len());
    info!(address = %listen.address, tokens = ?known, tls = access.tls.is_some(), "API over TCP");
    Ok(access)
}

/// Where agents come in, if any are to.
async fn door_for_agents(config: &Config) -> Result<Option<Door>> {
    let Some(wanted) = &config.agents else {
        return Ok(None);
    };
    let door = Door::open(wanted.listen, &wanted.identity).await;
    let door = door.with_context(|| format!("cannot take agents in at {}", wanted.listen))?;
    Ok(Some(door))
}

fn serve_agents(door: Door, director: &Arc<Director>) -> Arc<Kept<Shown<ServerConfig>>> {
    let shown = Arc::clone(door.shown());
    let agents = Arc::clone(director.agents());
    tokio::spawn(agents::serve(door, agents, director.clock()));
    // It watches files only, and ends with the program.
    tokio::spawn(Arc::clone(&shown).tend());
    shown
}

fn certificate(listener: &'static str, shown: &Arc<Kept<Shown<ServerConfig>>>) -> Certificate {
    Certificate {
        listener,
        shown: Arc::clone(shown),
    }
}

async fn bind_tcp(listen: &Listen) -> Result<TcpListener> {
    let address = listen.address;
    let listener = TcpListener::bind(address).await;
    listener
        .with_context(|| format!("cannot listen on {address}; set another `listen` under [api]"))
}

/// The number of the group that may use the socket, if the file names one.
///
/// # Errors
/// When there is none of that name.
pub fn group(api: &Api) -> Result<Option<u32>> {
    api.unix_group.as_deref().map(group_id).transpose()
}

fn group_id(name: &str) -> Result<u32> {
    match Group::from_name(name).context("cannot look for groups")? {
        Some(group) => Ok(group.gid.as_raw()),
        None => bail!("there is no group {name}; set another `unix_group` under [api], or make it"),
    }
}

async fn after(mut ending: watch::Receiver<()>) {
    // An error is the sender's end, which is what is awaited.
    let _ = ending.changed().await;
}
