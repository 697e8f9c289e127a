//! Whether a service was there when one of many changes was made, told by what came of the others.

use adminapi::model::{Change, ServiceId};

use crate::director::DirectorError;

/// What came of a change.
pub(super) type Came = Result<(), DirectorError>;

/// Whether `service` was there when the change at `place` was made: as the nearest change before left
/// it, or else as the nearest after found it. None if no other says.
pub(super) fn was_there(
    service: ServiceId,
    place: usize,
    changes: &[Sight],
    came: &[Came],
) -> Option<bool> {
    let seen = |at: usize| changes[at].seen(service, &came[at]);
    let before = (0..place).rev().find_map(seen);
    let after = || (place + 1..came.len()).find_map(seen);
    before
        .map(|[_, left]| left)
        .or_else(|| after().map(|[found, _]| found))
}

/// What a change can tell of a service.
pub(super) enum Sight {
    /// It adds it.
    Adds(ServiceId),
    /// It removes it.
    Removes(ServiceId),
    /// It changes something of it.
    Changes(ServiceId),
    /// It removes all.
    RemovesAll,
}

impl Sight {
    pub(super) const fn of(change: &Change) -> Self {
        match change {
            Change::AddService(service) => Self::Adds(service.id),
            Change::RemoveService { service } => Self::Removes(*service),
            Change::RemoveServices {} => Self::RemovesAll,
            Change::ChangeService { service, .. }
            | Change::AddReal { service, .. }
            | Change::ChangeReal { service, .. }
            | Change::RemoveReal { service, .. } => Self::Changes(*service),
        }
    }

    /// The service that it is of. The kernel looks for it before it judges what it is to have.
    pub(super) const fn changed(&self) -> Option<ServiceId> {
        match self {
            Self::Removes(service) | Self::Changes(service) => Some(*service),
            Self::Adds(_) | Self::RemovesAll => None,
        }
    }

    /// Whether it found `service` there, and whether it left it there.
    fn seen(&self, service: ServiceId, came: &Came) -> Option<[bool; 2]> {
        let (Self::Adds(of) | Self::Removes(of) | Self::Changes(of)) = self else {
            return None;
        };
        if *of != service {
            return None;
        }
        match (self, came) {
            (Self::Adds(_), Ok(())) => Some([false, true]),
            (Self::Removes(_), Ok(())) => Some([true, false]),
            (_, Err(DirectorError::NoService)) => Some([false, false]),
            (Self::Changes(_), Ok(()))
            | (_, Err(DirectorError::Exists | DirectorError::NoReal)) => Some([true, true]),
            _ => None,
        }
    }
}
