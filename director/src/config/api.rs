//! `[api]`: where the API listens, and what it asks of those who come.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use adminapi::serve::{ClientCertificates, TlsFiles};

use super::read::{Expected, Section};

/// Where the API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Path of the Unix socket, absolute.
    pub unix: PathBuf,
    /// The group that may use it; by default that of the process.
    pub unix_group: Option<String>,
    /// File in which what the API changes outlives the director; none unless the file says so.
    pub persist: Option<PathBuf>,
    /// A TCP address; none unless the file says so.
    pub listen: Option<Listen>,
}

/// A TCP address, and what is asked of those who come there. Only a loopback one can do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub address: SocketAddr,
    /// The file of tokens; without it nobody needs one.
    pub token_file: Option<PathBuf>,
    /// The files for TLS; without them plain HTTP is spoken.
    pub tls: Option<TlsFiles>,
    /// How many requests a token may make; as many as its holder likes if none.
    pub requests: Option<Requests>,
}

/// How many requests a token may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests {
    /// A second.
    pub rate: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// The highest rate of requests, and the largest burst.
const MOST_REQUESTS: u32 = 1_000_000;

/// The longest path of a Unix socket, in bytes (unix(7): 108 with the zero).
const LONGEST_PATH: usize = 107;

const PATH: Expected = Expected::Text("an absolute path");

pub(super) fn read(mut section: Section<'_>) -> Option<Api> {
    let unix: PathBuf = section.or("unix", &PATH, adminapi::DEFAULT_SOCKET.into());
    let unix = socket_path(&section, unix);
    let unix_group = section.optional("unix_group", &Expected::Text("the name of a group"));
    let address = Expected::Text("an address and a port, as in \"127.0.0.1:7070\"");
    let listen = section.optional("listen", &address);
    let insecure = section.or("insecure_loopback", &Expected::BOOLEAN, false);
    let persist = optional_path(&mut section, "persist");
    let token_file = optional_path(&mut section, "token_file");
    let requests = read_requests(&mut section);
    let tls = section.has("tls").then(|| read_tls(section.section("tls")));
    if !section.has("listen") {
        let asks = [
            "token_file",
            "tls",
            "insecure_loopback",
            "request_rate",
            "request_burst",
        ];
        for key in asks.into_iter().filter(|key| section.has(key)) {
            let mend = "the Unix socket needs neither tokens nor TLS; set listen too";
            section.refuse(key, "is for listen, which is not set", mend);
        }
    }
    let listen = listen.map(|address| Listen {
        address,
        token_file,
        tls: tls.flatten(),
        requests,
    });
    if let Some(listen) = &listen {
        check_listen(&section, listen, insecure);
    }
    section.finish();
    Some(Api {
        unix: unix?,
        unix_group,
        listen,
        persist,
    })
}

/// A burst of what ten seconds bring lets a script begin at once.
fn read_requests(section: &mut Section<'_>) -> Option<Requests> {
    const SECONDS: u32 = 10;
    let most = i64::from(MOST_REQUESTS);
    let rate: u32 = section.or("request_rate", &Expected::Number(0..=most), 100);
    let burst: Option<u32> = section.optional("request_burst", &Expected::Number(1..=most));
    let burst = burst.unwrap_or(rate.saturating_mul(SECONDS));
    Some(Requests {
        rate: NonZeroU32::new(rate)?,
        burst: NonZeroU32::new(burst)?,
    })
}

/// `[api.tls]`.
fn read_tls(mut section: Section<'_>) -> Option<TlsFiles> {
    let mend = "name a PEM file, as in \"/etc/bulwark/api.crt\"";
    let mut required = |key| section.required::<PathBuf>(key, &PATH, mend);
    let (certificate, key) = (required("certificate"), required("key"));
    let client_ca = optional_path(&mut section, "client_ca");
    let words = Expected::Word(ClientCertificates::WORDS);
    let client_certificates = section.optional("client_certificates", &words);
    if section.has("client_certificates") && !section.has("client_ca") {
        let mend = "set client_ca too, the file of those who sign them";
        section.refuse("client_certificates", "does nothing by itself", mend);
    }
    for (name, path) in [("certificate", &certificate), ("key", &key)] {
        if let Some(path) = path {
            check_absolute(&section, name, path);
        }
    }
    section.finish();
    Some(TlsFiles {
        certificate: certificate?,
        key: key?,
        client_ca,
        client_certificates: client_certificates.unwrap_or_default(),
    })
}

fn optional_path(section: &mut Section<'_>, key: &'static str) -> Option<PathBuf> {
    let path = section.optional(key, &PATH)?;
    check_absolute(section, key, &path).then_some(path)
}

fn check_absolute(section: &Section<'_>, key: &str, path: &PathBuf) -> bool {
    if !path.is_absolute() {
        let message = format!("{path:?} is not an absolute path");
        section.refuse(key, message, "begin it with /");
    }
    path.is_absolute()
}

fn socket_path(section: &Section<'_>, path: PathBuf) -> Option<PathBuf> {
    if !check_absolute(section, "unix", &path) {
        return None;
    }
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST_PATH {
        let message = format!("a path of {length} bytes is too long for a socket");
        section.refuse("unix", message, format!("use at most {LONGEST_PATH}"));
        return None;
    }
    Some(path)
}

/// Other hosts need a token, and TLS that keeps it secret on the way. On loopback nothing leaves
/// this host, but all its users can come.
fn check_listen(section: &Section<'_>, listen: &Listen, insecure: bool) {
    let address = listen.address;
    // What is there but wrong has been reported.
    let (tokens, tls) = (section.has("token_file"), section.has("tls"));
    let local = address.ip().is_loopback();
    let guarded = tokens && (tls || local);
    let (message, mend) = if address.port() == 0 {
        ("port 0 is no port".to_owned(), "use 1 to 65535")
    } else if !local && !guarded {
        (
            format!("{address} is open to other hosts, which need tokens and TLS"),
            "set token_file and [api.tls], or use the Unix socket; \
             `bulwark token new` makes a token",
        )
    } else if local && !guarded && !insecure {
        (
            format!("{address} is open to every user of this host, and asks for no token"),
            "set token_file, or use the Unix socket, or set insecure_loopback = true to accept that",
        )
    } else {
        return;
    };
    section.refuse("listen", message, mend);
}
