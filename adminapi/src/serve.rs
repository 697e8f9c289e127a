//! Listening: on a Unix socket that only its owner and group may use, or on TCP for those who
//! have a token.

mod connections;
mod plain;
mod room;
mod tls;

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};
use tokio::sync::watch;

use crate::auth::{Door, guard};
use crate::certificate::Shown;
use crate::kept::Kept;
use connections::{Connections, Listener};

pub use crate::auth::CONNECTIONS;
pub use tls::{ClientCertificates, TlsFiles, bad_pem};
pub(crate) use tls::{certificates, private_key, roots};

/// Read and write for owner and group.
const SOCKET_MODE: u32 = 0o660;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// How often the file of a socket is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Why the API cannot listen on a Unix socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error("{}: another director is running and answers on this socket", .0.display())]
    InUse(PathBuf),
    /// A file that is no socket is in the way; it is left alone.
    #[error("{}: is not a socket; remove it or set another path", .0.display())]
    NotASocket(PathBuf),
    /// The system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// A Unix socket that listens; its file goes when it is dropped.
#[derive(Debug)]
pub struct BoundUnix {
    listener: UnixListener,
    file: SocketFile,
    group: Option<u32>,
}

/// The file of a socket, known by its inode: the file of a director that came after is not ours
/// to remove.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode);
        if ours {
            // Nothing to do about a failure: the next start replaces a stale file.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens on `path`, mode 0660, for the owner and `group`, by default that of the process. The folder is made when it is missing; the file of a director
/// that is gone is replaced, that of one that answers is not.
pub async fn bind_unix(path: &Path, group: Option<u32>) -> Result<BoundUnix, BindError> {
    let failed = |source| BindError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    make_room(path).await?;
    let socket = UnixSocket::new_stream().map_err(failed)?;
    socket.bind(path).map_err(failed)?;
    // Between bind and listen nobody can connect, so nobody can before group and mode are set.
    chown(path, None, group).map_err(failed)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(SOCKET_MODE)).map_err(failed)?;
    let inode = std::fs::symlink_metadata(path).map_err(failed)?.ino();
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    let path = path.to_owned();
    Ok(BoundUnix {
        listener,
        file: SocketFile { path, inode },
        group,
    })
}

/// Removes the socket file of a director that is gone.
async fn make_room(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Io {
        path: path.to_owned(),
        source,
    };
    let file = match std::fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !file.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
        // A full backlog (EAGAIN) is a director too.
        Ok(_) | Err(_) => Err(BindError::InUse(path.to_owned())),
    }
}

/// Serves `api` to whom the socket's mode lets in until `end`, then lets requests under way
/// finish, and removes the socket. When somebody removes its file before, it is made anew.
pub async fn serve_unix(
    mut bound: BoundUnix,
    api: Router,
    end: impl Future<Output = ()> + Send + 'static,
) {
    let ending = told_of(end);
    let mut connections = Connections::new(guard(api, Door::default()), ending.clone());
    loop {
        let BoundUnix {
            listener,
            file,
            group,
        } = bound;
        let listener = Listener::Unix(listener);
        let until = ended_or_lost(ending.clone(), &file);
        connections.accept(&listener, until).await;
        if *ending.borrow() {
            return connections.finish().await;
        }
        bound = loop {
            match bind_unix(&file.path, group).await {
                Ok(bound) => break bound,
                Err(_) if *ending.borrow() => return connections.finish().await,
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        };
    }
}

/// Waits for the end, or until the file of a socket is missing. One of somebody else in its place
/// is not ours to judge.
async fn ended_or_lost(mut ending: watch::Receiver<bool>, file: &SocketFile) {
    let is_lost = || {
        let found = std::fs::symlink_metadata(&file.path);
        found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    while !is_lost() {
        tokio::select! {
            _ = ending.wait_for(|end| *end) => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Turns true at `end`.
fn told_of(end: impl Future<Output = ()> + Send + 'static) -> watch::Receiver<bool> {
    let (ended, ending) = watch::channel(false);
    tokio::spawn(async move {
        end.await;
        ended.send_replace(true);
    });
    ending
}

/// What a TCP listener asks of those who come.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// To be let in.
    pub door: Door,
    /// To speak TLS; without it plain HTTP is spoken.
    pub tls: Option<Arc<Kept<Shown<ServerConfig>>>>,
}

impl Access {
    /// Reads its files again.
    pub fn refresh(&self) {
        self.door.tokens.iter().for_each(|kept| kept.refresh());
        self.tls.iter().for_each(|kept| kept.refresh());
    }

    /// Reads its files again whenever they have changed. Never ends.
    pub async fn follow(self) {
        let tokens = async {
            match self.door.tokens {
                Some(kept) => kept.follow().await,
                None => std::future::pending().await,
            }
        };
        let tls = async {
            match self.tls {
                Some(kept) => kept.tend().await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(tokens, tls);
    }
}

/// Serves `api` until `end` to those who have what `access` asks for, then lets requests under
/// way finish.
pub async fn serve_tcp(
    listener: TcpListener,
    access: Access,
    api: Router,
    end: impl Future<Output = ()> + Send + 'static,
) {
    let mut ending = told_of(end);
    let mut connections = Connections::new(guard(api, access.door), ending.clone());
    let until = async move {
        // An error is the sender's end, which is what is awaited.
        let _ = ending.wait_for(|end| *end).await;
    };
    connections
        .accept(&Listener::Tcp(listener, access.tls), until)
        .await;
    connections.finish().await;
}

#[cfg(test)]
mod tests;
