//! The synchronisation daemons as they are configured. Nothing is synchronised yet: they are kept
//! so that what configures an IPVS can configure this director too.

use adminapi::error::{ControlError, Result, Subject};
use adminapi::model::{SyncDaemon, SyncRole};
use parking_lot::Mutex;

use crate::neighbour::Link;

/// One of each role at most.
#[derive(Debug, Default)]
pub(super) struct Daemons(Mutex<Vec<SyncDaemon>>);

impl Daemons {
    /// All, the master first.
    pub(super) fn all(&self) -> Vec<SyncDaemon> {
        self.0.lock().clone()
    }

    /// Takes one in, its interface being one of `links`.
    pub(super) fn start(&self, daemon: SyncDaemon, links: &[Link]) -> Result<SyncDaemon> {
        let mut all = self.0.lock();
        if all.iter().any(|known| known.role == daemon.role) {
            return Err(ControlError::AlreadyExists(Subject::Daemon(daemon.role)));
        }
        let settled = settled(daemon, links)?;
        all.push(settled.clone());
        all.sort_by_key(|daemon| daemon.role);
        Ok(settled)
    }

    /// Lets go of one.
    pub(super) fn stop(&self, role: SyncRole) -> Result<()> {
        let mut all = self.0.lock();
        let place = all.iter().position(|daemon| daemon.role == role);
        all.remove(place.ok_or(ControlError::NotFound(Subject::Daemon(role)))?);
        Ok(())
    }

    /// What these would be over `links`, which have their interfaces. One that is there stays as it
    /// is, though its interface may have gone.
    pub(super) fn settled(&self, wanted: &[SyncDaemon], links: &[Link]) -> Result<Vec<SyncDaemon>> {
        let present = self.all();
        let settle = |daemon: SyncDaemon| match present.contains(&daemon) {
            true => Ok(daemon),
            false => settled(daemon, links),
        };
        let mut all = (wanted.iter().cloned().map(settle)).collect::<Result<Vec<_>>>()?;
        all.sort_by_key(|daemon| daemon.role);
        Ok(all)
    }

    /// Makes them these, which are settled.
    pub(super) fn replace(&self, settled: Vec<SyncDaemon>) {
        *self.0.lock() = settled;
    }
}

/// The daemon with what its interface settles.
fn settled(daemon: SyncDaemon, links: &[Link]) -> Result<SyncDaemon> {
    let link = links.iter().find(|link| *link.name == *daemon.interface);
    let link = link.ok_or_else(|| ControlError::NoInterface(daemon.interface.clone()))?;
    Ok(SyncDaemon {
        maxlen: Some(daemon.settled_maxlen(link.mtu)),
        ..daemon
    })
}
