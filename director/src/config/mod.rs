//! The configuration file: a first reading, to be replaced by the checked one.

use std::path::{Path, PathBuf};

use adminapi::model;
use serde::Deserialize;

use crate::datapath::Settings;

/// What the file says.
#[derive(Debug)]
pub struct Config {
    /// `[datapath]`
    pub datapath: Settings,
    /// `[api]`
    pub api: Api,
    /// `[limits]`
    pub limits: Limits,
    /// `[timeouts]`
    pub timeouts: model::Timeouts,
    /// `[log]`
    pub log: Log,
    /// `[[service]]`
    pub services: Vec<model::Service>,
}

/// `[api]`
#[derive(Debug, Deserialize)]
pub struct Api {
    /// Path of the socket.
    pub unix: PathBuf,
}

/// `[limits]`
#[derive(Debug)]
pub struct Limits {
    /// Connections.
    pub connections: usize,
    /// Half-open ones.
    pub half_open: usize,
}

/// `[log]`
#[derive(Debug)]
pub struct Log;

impl Log {
    /// Starts logging to standard error.
    pub fn start(&self) {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .init();
    }
}

#[derive(Deserialize)]
struct File {
    datapath: Datapath,
    api: Api,
    #[serde(default)]
    service: Vec<model::Service>,
}

#[derive(Deserialize)]
struct Datapath {
    interfaces: Vec<String>,
}

impl Config {
    /// Reads `path`.
    ///
    /// # Errors
    /// What is wrong, as text.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let file: File = toml_edit::de::from_str(&text).map_err(|e| e.to_string())?;
        let interfaces = file.datapath.interfaces;
        Ok(Self {
            datapath: Settings {
                interfaces,
                mode: Default::default(),
                workers: None,
                frames: 16384,
                ring: 2048,
            },
            api: file.api,
            limits: Limits {
                connections: 1_000_000,
                half_open: 250_000,
            },
            timeouts: model::Timeouts::default(),
            log: Log,
            services: file.service,
        })
    }
}
