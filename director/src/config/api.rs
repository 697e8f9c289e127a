//! `[api]`: where the API listens.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::read::{Expected, Section};

/// Where the API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Path of the Unix socket, absolute.
    pub unix: PathBuf,
    /// TCP address, always a loopback one; none unless the file says so.
    pub listen: Option<SocketAddr>,
    /// File in which what the API changes outlives the director; none unless the file says so.
    pub persist: Option<PathBuf>,
}

/// The longest path of a Unix socket, in bytes (unix(7): 108 with the zero).
const LONGEST_PATH: usize = 107;

pub(super) fn read(mut section: Section<'_>) -> Option<Api> {
    let path = Expected::Text("an absolute path");
    let unix: PathBuf = section.or("unix", &path, adminapi::DEFAULT_SOCKET.into());
    let unix = checked_path(&section, unix);
    let address = Expected::Text("an address and a port, as in \"127.0.0.1:7070\"");
    let listen = section.optional("listen", &address);
    let insecure = section.or("insecure_loopback", &Expected::BOOLEAN, false);
    let persist: Option<PathBuf> = section.optional("persist", &path);
    if let Some(path) = persist.as_ref().filter(|path| !path.is_absolute()) {
        let message = format!("{path:?} is not an absolute path");
        section.refuse("persist", message, "begin it with /");
    }
    section.not_yet("token_file");
    if let Some(address) = listen {
        check_listen(&section, address, insecure);
    }
    section.finish();
    Some(Api {
        unix: unix?,
        listen,
        persist,
    })
}

fn checked_path(section: &Section<'_>, path: PathBuf) -> Option<PathBuf> {
    if !path.is_absolute() {
        let mend = "begin it with /";
        section.refuse("unix", format!("{path:?} is not an absolute path"), mend);
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

/// There are no tokens yet: whoever reaches the address can change everything.
fn check_listen(section: &Section<'_>, address: SocketAddr, insecure: bool) {
    let message = if !address.ip().is_loopback() {
        format!("{address} is open to other hosts, and the API has no tokens yet")
    } else if !insecure {
        format!("{address} is open to every user of this host, and the API has no tokens yet")
    } else if address.port() == 0 {
        "port 0 is no port".to_owned()
    } else {
        return;
    };
    let mend = if !address.ip().is_loopback() {
        "use the Unix socket, or a loopback address with insecure_loopback = true"
    } else if !insecure {
        "use the Unix socket, or set insecure_loopback = true to accept that"
    } else {
        "use 1 to 65535"
    };
    section.refuse("listen", message, mend);
}
