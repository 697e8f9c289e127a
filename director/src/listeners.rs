//! The listeners of the API, as the configuration has them.

use std::sync::Arc;

use adminapi::Control;
use adminapi::auth::{Allowance, Door, Tokens};
use adminapi::kept::Kept;
use adminapi::serve::{Access, BoundUnix, bind_unix, serve_tcp, serve_unix};
use anyhow::{Context, Error, Result, bail};
use nix::unistd::Group;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;

use crate::config::{Api, Listen};

/// Sockets that are bound, so that nobody else can have them, and are not served yet.
pub struct Listeners {
    unix: BoundUnix,
    tcp: Option<(TcpListener, Access)>,
}

impl Listeners {
    /// Binds them.
    ///
    /// # Errors
    /// What is wrong with an address or a file, and what to do.
    pub async fn bind(config: &Api) -> Result<Self> {
        let group = config.unix_group.as_deref().map(group_id).transpose()?;
        Ok(Self {
            unix: bind_unix(&config.unix, group).await?,
            tcp: match &config.listen {
                None => None,
                Some(listen) => Some((bind_tcp(listen).await?, access(listen)?)),
            },
        })
    }

    /// Serves `director` until `ending` hears of the end.
    pub fn serve(self, director: Arc<dyn Control>, ending: &watch::Receiver<()>) -> Serving {
        let api = adminapi::audited(director);
        let mut open = JoinSet::new();
        let access = self.tcp.map(|(listener, access)| {
            let end = after(ending.clone());
            open.spawn(serve_tcp(listener, access.clone(), api.clone(), end));
            access
        });
        open.spawn(serve_unix(self.unix, api, after(ending.clone())));
        if let Some(access) = access.clone() {
            // It watches files only, and ends with the program.
            tokio::spawn(access.follow());
        }
        Serving { open, access }
    }
}

/// Listeners that are served.
pub struct Serving {
    open: JoinSet<()>,
    access: Option<Access>,
}

impl Serving {
    /// Reads the files of tokens and certificates again.
    pub fn refresh(&self) {
        self.access.iter().for_each(Access::refresh);
    }

    /// Waits until the last request is answered.
    pub async fn finish(self) {
        self.open.join_all().await;
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
    let tls = listen.tls.clone().map(|files| files.keep().map(Arc::new));
    let allowance =
        (listen.requests).map(|requests| Arc::new(Allowance::new(requests.rate, requests.burst)));
    let access = Access {
        door: Door {
            tokens: tokens.transpose().map_err(Error::msg)?,
            allowance,
        },
        tls: tls.transpose().map_err(Error::msg)?,
    };
    let known = access.door.tokens.as_ref().map(|tokens| tokens.get().len());
    info!(address = %listen.address, tokens = ?known, tls = access.tls.is_some(), "API over TCP");
    Ok(access)
}

async fn bind_tcp(listen: &Listen) -> Result<TcpListener> {
    let address = listen.address;
    let listener = TcpListener::bind(address).await;
    listener
        .with_context(|| format!("cannot listen on {address}; set another `listen` under [api]"))
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
