//! Opens the sockets of one UMEM.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::socket::{Binding, RingSizes, Socket};
use super::umem::Umem;

/// Opens the sockets of one UMEM: the first registers the memory, the others share it. It may stand in
/// another thread than the sockets.
#[derive(Debug)]
pub struct Opener {
    umem: Umem,
    first: Option<OwnedFd>,
}

impl Opener {
    /// One that has opened nothing yet.
    pub fn new(umem: &Umem) -> Self {
        Self {
            umem: umem.clone(),
            first: None,
        }
    }

    /// The memory.
    pub fn umem(&self) -> &Umem {
        &self.umem
    }

    /// Opens a socket.
    ///
    /// # Errors
    /// The kernel's: EBUSY when the queue has a socket, EOPNOTSUPP when the driver cannot do the
    /// wanted mode, EPERM without CAP_NET_RAW and CAP_BPF.
    pub fn open(&mut self, binding: Binding, sizes: RingSizes) -> io::Result<Socket> {
        if let Some(first) = &self.first {
            return Socket::sharing(&self.umem, first.as_fd(), binding, sizes);
        }
        let socket = Socket::first(&self.umem, binding, sizes)?;
        self.first = Some(socket.as_fd().try_clone_to_owned()?);
        Ok(socket)
    }
}
