//! An FTP server, vsftpd, in the namespace of its host.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::namespace::Namespace;
use crate::process::Process;
use crate::topology::RealHost;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(30);

/// How curl asks for a data connection: PASV, EPSV, PORT, EPRT.
pub const MODES: [(&str, &[&str]); 4] = [
    ("PASV", &["--disable-epsv", "--no-ftp-skip-pasv-ip"]),
    ("EPSV", &[]),
    ("PORT", &["--ftp-port", "-", "--disable-eprt"]),
    ("EPRT", &["--ftp-port", "-"]),
];

/// Fetches files over one control connection to `server`; what curl says is on standard error, which
/// comes back.
///
/// # Errors
/// When curl fails or takes more than a minute.
pub fn fetch(
    client: &Namespace,
    server: SocketAddr,
    mode: &[&str],
    files: &[(&str, &Path)],
) -> Result<String> {
    let mut arguments = vec!["-sS", "-v", "--max-time", "60", "--stderr", "-"];
    arguments.extend(mode);
    let urls: Vec<String> = files
        .iter()
        .map(|(name, _)| format!("ftp://{server}/{name}"))
        .collect();
    for (url, (_, into)) in urls.iter().zip(files) {
        arguments.extend([url.as_str(), "-o", into.to_str().context("a path")?]);
    }
    client.run("curl", &arguments)
}

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
        Self::start_in(&host.namespace, &host.name, host.v4.into(), size)
    }

    /// The same anywhere, under a name of its own; it is asked at `address` whether it is there.
    ///
    /// # Errors
    /// As [`Vsftpd::start`].
    pub fn start_in(
        namespace: &Namespace,
        name: &str,
        address: IpAddr,
        size: usize,
    ) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("bulwark-ftp-").tempdir()?;
        let path = directory.path();
        for folder in ["", "root", "empty"] {
            let made = path.join(folder);
            fs::create_dir_all(&made)?;
            fs::set_permissions(&made, fs::Permissions::from_mode(0o755))?;
        }
        fs::write(path.join("root/name"), name)?;
        let data: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        fs::write(path.join("root/data"), data)?;
        fs::write(path.join("vsftpd.conf"), configuration(path))?;
        let mut command = namespace.command("vsftpd");
        command.arg(path.join("vsftpd.conf"));
        let log = File::create(path.join("log"))?;
        command.stdout(log.try_clone()?).stderr(log);
        let process = Process::spawn(&mut command)?;
        let at = SocketAddr::new(address, 21);
        let answers = || {
            namespace
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
