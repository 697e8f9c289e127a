//! Keys that several directors have in common, without a word to each other: all follow from a secret
//! and from the time.
//!
//! ```text
//!  epoch   e-1         |  e                          |  e+1
//!  mints with e-1      |  mints with e               |  mints with e+1
//!  takes e-2, then e   |  takes e-1 ...... then e+1  |  takes e, ...
//!                                          ^ `AHEAD` before the next epoch
//! ```
//!
//! The next key is taken, and given to real servers, before anybody makes cookies with it, so clocks
//! may differ by as much.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Key;
use crate::wire::Endpoint;

/// How long before its epoch a key is taken, unless that is more than a third of one.
const AHEAD: Duration = Duration::from_secs(5);

/// A secret is no shorter, in bytes.
const SHORTEST: usize = 32;

/// Nor longer.
const LONGEST: u64 = 4096;

/// What the directors have in common.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

/// Not what it is.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a file is no secret.
#[derive(Debug, thiserror::Error)]
pub enum NoSecret {
    /// It cannot be read.
    #[error(transparent)]
    Unread(#[from] std::io::Error),
    /// Others may read it.
    #[error("others may read it")]
    Open,
    /// It has too few bytes, or far too many.
    #[error("has {0} bytes")]
    Size(u64),
}

impl Secret {
    /// The bytes of a file that nobody else may read, without white space around them.
    ///
    /// # Errors
    /// Why they are no secret.
    pub fn read(path: &Path) -> Result<Self, NoSecret> {
        let mut file = File::open(path)?;
        let about = file.metadata()?;
        if about.mode() & 0o077 != 0 {
            return Err(NoSecret::Open);
        }
        if about.len() > LONGEST {
            return Err(NoSecret::Size(about.len()));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let secret = bytes.trim_ascii();
        match secret.len() {
            size if size < SHORTEST => Err(NoSecret::Size(size as u64)),
            _ => Ok(Self(secret.into())),
        }
    }

    fn derive(&self, use_of: &str, vip: Endpoint, epoch: u64) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update((self.0.len() as u64).to_be_bytes());
        hasher.update(&self.0);
        hasher.update(use_of);
        hasher.update(vip.addr.octets());
        hasher.update(vip.port.to_be_bytes());
        hasher.update(epoch.to_be_bytes());
        hasher.finalize().into()
    }

    /// The number of the TCP service at `vip` in the MAC: all directors give it the same.
    pub fn number(&self, vip: Endpoint) -> u16 {
        let [high, low, ..] = self.derive("number", vip, 0);
        u16::from_be_bytes([high, low])
    }

    fn key(&self, vip: Endpoint, epoch: u64) -> Key {
        let derived = self.derive("key", vip, epoch);
        let mut key = [0; 16];
        key.copy_from_slice(&derived[..16]);
        Key(key)
    }

    /// The keys of the TCP service at `vip` at a time since 1970, where a key makes cookies for
    /// `period`.
    pub fn keys(&self, vip: Endpoint, now: Duration, period: Duration) -> SharedKeys {
        let period = period.as_millis().max(1);
        let epoch = (now.as_millis() / period) as u64;
        let left = period - now.as_millis() % period;
        let ahead = AHEAD.as_millis().min(period / 3);
        let other = match left <= ahead {
            true => Some(epoch + 1),
            false => epoch.checked_sub(1),
        };
        let parity = (epoch & 1) as u8;
        let mut keys = [None; 2];
        keys[usize::from(parity)] = Some(self.key(vip, epoch));
        keys[usize::from(parity ^ 1)] = other.map(|other| self.key(vip, other));
        SharedKeys { keys, parity }
    }
}

/// The keys of a service at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedKeys {
    /// By parity.
    pub keys: [Option<Key>; 2],
    /// Of the one that makes cookies.
    pub parity: u8,
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::wire::Addr;

    const PERIOD: Duration = Duration::from_secs(30);

    fn vip(port: u16) -> Endpoint {
        Endpoint::new(Addr::v4([192, 0, 2, 1]), port)
    }

    fn secret(byte: u8) -> Secret {
        Secret([byte; 32].as_slice().into())
    }

    fn keys(seconds: u64) -> SharedKeys {
        secret(1).keys(vip(80), Duration::from_secs(seconds), PERIOD)
    }

    #[test]
    fn keys_follow_from_the_secret_the_service_and_the_time() {
        let now = Duration::from_secs(3000);
        let known = secret(1).keys(vip(80), now, PERIOD);
        assert_eq!(secret(1).keys(vip(80), now, PERIOD), known);
        assert_ne!(secret(2).keys(vip(80), now, PERIOD), known);
        assert_ne!(secret(1).keys(vip(81), now, PERIOD), known);
        assert_eq!(secret(1).number(vip(80)), secret(1).number(vip(80)));
    }

    #[test]
    fn a_key_is_taken_before_it_is_used_and_for_a_time_after() {
        let early = keys(3001);
        let late = keys(3026);
        let next = keys(3030);
        assert_eq!((early.parity, late.parity, next.parity), (0, 0, 1));
        assert_eq!(early.keys[0], late.keys[0]);
        assert_ne!(early.keys[1], late.keys[1], "the last one makes room");
        assert_eq!(late.keys, next.keys, "for the next one");
        // Clocks that differ by some seconds, on either side of a change.
        for at in [3000u64, 3024, 3025, 3029, 3030, 3031, 3059, 3060] {
            let (slow, fast) = (keys(at), keys(at + 4));
            for (one, other) in [(slow, fast), (fast, slow)] {
                let used = one.keys[usize::from(one.parity)];
                assert!(other.keys.contains(&used), "{at}");
            }
        }
    }

    #[test]
    fn a_secret_is_nobody_elses_and_long_enough() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let set = |mode| {
            let rights = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), rights).unwrap();
        };
        set(0o640);
        assert!(matches!(Secret::read(file.path()), Err(NoSecret::Open)));
        set(0o600);
        assert!(matches!(Secret::read(file.path()), Err(NoSecret::Size(0))));
        let written = [b'x'; 32];
        file.write_all(&written).unwrap();
        file.write_all(b"\n").unwrap();
        let read = Secret::read(file.path()).unwrap();
        assert_eq!(read, Secret(written.as_slice().into()));
    }
}
