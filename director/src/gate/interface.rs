//! What has to be known of an interface before it is driven.

use std::ffi::CString;
use std::path::Path;

use super::{GateError, MAX_QUEUES, Queues};

/// Where the kernel tells of interfaces.
const DEVICES: &str = "/sys/class/net";

/// A network interface of this namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its queues in use when it was looked up.
    pub queues: Queues,
    /// Whether there is a device behind it, and not the kernel alone (veth).
    pub is_device: bool,
}

impl Interface {
    /// Looks `name` up.
    ///
    /// # Errors
    /// When there is none, or it has more receive queues than the gate has room for.
    pub fn find(name: &str) -> Result<Self, GateError> {
        let missing = || GateError::MissingInterface(name.to_owned());
        let c_name = CString::new(name).map_err(|_| missing())?;
        // SAFETY: `c_name` is a NUL-terminated string.
        let index = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
        if index == 0 || name.len() >= libc::IFNAMSIZ {
            return Err(missing());
        }
        let queues = Queues::of(name).unwrap_or(Queues::ONE);
        let found = Self {
            name: name.to_owned(),
            index,
            queues,
            is_device: Path::new(DEVICES).join(name).join("device").exists(),
        };
        found.check_room(queues.receive)?;
        Ok(found)
    }

    /// Checks that the gate has room for so many receive queues of it.
    ///
    /// # Errors
    /// When it has not.
    pub fn check_room(&self, queues: u32) -> Result<(), GateError> {
        if queues > MAX_QUEUES {
            return Err(GateError::TooManyQueues {
                name: self.name.clone(),
                queues,
                max: MAX_QUEUES,
            });
        }
        Ok(())
    }
}
