//! An FTP server, vsftpd, in the namespace of its host.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::Process;
use crate::topology::RealHost;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(10);

/// A vsftpd that serves to everybody, its passive ports of fewer digits than those of a director, `name`, which holds the name of its host, and `data`.
#[derive(Debug)]
pub struct Vsftpd {
    _process: Process,
    directory: TempDir,
}

impl Vsftpd {
    /// Starts it on port 21 with `size` bytes of `data`, and waits until it answers.
    ///
    /// # Errors
    /// When vsftpd is missing or does not come up.
    pub fn start(host: &RealHost, size: usize) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("bulwark-ftp-").tempdir()?;
        let path = directory.path();
        for name in ["", "root", "empty"] {
            let made = path.join(name);
            fs::create_dir_all(&made)?;
            fs::set_permissions(&made, fs::Permissions::from_mode(0o755))?;
        }
        fs::write(path.join("root/name"), &host.name)?;
        let data: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        fs::write(path.join("root/data"), data)?;
        fs::write(path.join("vsftpd.conf"), configuration(path))?;
        let mut command = host.namespace.command("vsftpd");
        command.arg(path.join("vsftpd.conf"));
        let log = File::create(path.join("log"))?;
        command.stdout(log.try_clone()?).stderr(log);
        let process = Process::spawn(&mut command)?;
        let at = SocketAddr::from((host.v4, 21));
        let answers = || {
            host.namespace
                .enter(|| Ok(TcpStream::connect_timeout(&at, PATIENCE)?))
                .map(drop)
        };
        let said = || fs::read_to_string(path.join("log")).unwrap_or_default();
        wait::until("vsftpd to answer", PATIENCE, answers).with_context(said)?;
        Ok(Self {
            _process: process,
            directory,
        })
    }

    /// Where `data` lies.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("root/data")
    }
}

fn configuration(path: &Path) -> String {
    let path = path.display();
    format!(
        "listen_ipv6=YES\n\
         background=NO\n\
         anonymous_enable=YES\n\
         no_anon_password=YES\n\
         anon_root={path}/root\n\
         secure_chroot_dir={path}/empty\n\
         ftp_username=daemon\n\
         connect_from_port_20=YES\n\
         pasv_min_port=10000\n\
         pasv_max_port=10040\n\
         seccomp_sandbox=NO\n\
         isolate_network=NO\n\
         xferlog_enable=NO\n"
    )
}
