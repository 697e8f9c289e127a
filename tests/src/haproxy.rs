//! HAProxy in TCP mode in the director's place: a proxy, whose connections end there.

use std::fmt::Write;
use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use adminapi::model::{Service, ServiceId};
use anyhow::Result;
use tempfile::TempDir;

use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running HAProxy, killed when dropped.
#[derive(Debug)]
pub struct HaProxy {
    _process: Process,
    _directory: TempDir,
}

impl HaProxy {
    /// Proxies `services` round robin, by one thread.
    ///
    /// # Errors
    /// When it is missing or does not come up.
    pub fn start(director: &Namespace, services: &[Service]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, configuration(services))?;
        let mut command = director.command("haproxy");
        let process = Process::spawn(command.args(["-db", "-q"]).arg("-f").arg(&file))?;
        for service in services {
            let ServiceId::Address { vip, .. } = service.id else {
                continue;
            };
            director.enter(|| {
                wait::until("haproxy", PATIENCE, || Ok(TcpStream::connect(vip)?)).map(drop)
            })?;
        }
        Ok(Self {
            _process: process,
            _directory: directory,
        })
    }
}

fn configuration(services: &[Service]) -> String {
    let mut text =
        "global\n  nbthread 1\n  maxconn 8000\ndefaults\n  mode tcp\n  timeout connect 5s\n  \
                    timeout client 60s\n  timeout server 60s\n"
            .to_owned();
    for (number, service) in services.iter().enumerate() {
        let ServiceId::Address { vip, .. } = service.id else {
            continue;
        };
        let _ = writeln!(text, "listen s{number}\n  bind {vip}\n  balance roundrobin");
        for (index, real) in service.reals.iter().enumerate() {
            let address = std::net::SocketAddr::new(real.address, real.port.unwrap_or(vip.port()));
            let _ = writeln!(text, "  server r{index} {address}");
        }
    }
    text
}
