//! What an operation that failed is called, in ipvsadm's words.

use super::failure::Failure;
use super::request::{EXISTS, NO_SERVICE};
use crate::director::DirectorError;

/// What a failed operation on a synchronisation daemon is called.
pub(super) fn on_daemon(error: DirectorError) -> Failure {
    match error {
        DirectorError::Exists => Failure::operation("Daemon has already run"),
        DirectorError::NoDaemon => Failure::operation("No daemon is running"),
        DirectorError::NoInterface(_) => Failure::operation("No such device"),
        other => Failure::Director(other),
    }
}

/// What a failed operation on a service is called.
pub(super) fn on_service(error: DirectorError) -> Failure {
    match error {
        DirectorError::Exists => Failure::operation(EXISTS),
        DirectorError::NoService => Failure::operation(NO_SERVICE),
        other => Failure::Director(other),
    }
}

/// What a failed listing of one service is called.
pub(super) fn on_listed(error: DirectorError) -> Failure {
    match error {
        DirectorError::NoService => Failure::NotListed,
        other => on_service(other),
    }
}

/// What a failed operation on a real server is called.
pub(super) fn on_real(error: DirectorError) -> Failure {
    match error {
        DirectorError::Exists => Failure::operation("Destination already exists"),
        DirectorError::NoService => Failure::operation("Service not defined"),
        DirectorError::NoReal => Failure::operation("No such destination"),
        other => Failure::Director(other),
    }
}
