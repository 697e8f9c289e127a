//! In which mode the queues can be had, and how long they are waited for.

use std::thread;
use std::time::{Duration, Instant};

use super::{DatapathError, Mode};
use crate::xsk::CopyMode;

/// The kernel takes sockets apart after they have been closed, or their process has ended.
pub(super) const TAKE_OVER_PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait before the next attempt.
const PAUSE: Duration = Duration::from_millis(10);

/// What `open` gives in the best way that `mode` allows; `is_native` says whether all interfaces have the
/// gate in their drivers. Queues that somebody has are waited for as long as `patience` says.
///
/// # Errors
/// Those of `open`.
pub(super) fn best<T>(
    mode: Mode,
    is_native: bool,
    patience: Duration,
    open: impl Fn(CopyMode) -> Result<T, DatapathError>,
) -> Result<(CopyMode, T), DatapathError> {
    let tried = |copy, patience| patiently(patience, || open(copy)).map(|opened| (copy, opened));
    match mode {
        Mode::ZeroCopy => tried(CopyMode::ZeroCopy, patience),
        // What the first attempt has opened before it failed is the kernel's for a while yet.
        Mode::Auto if is_native => tried(CopyMode::ZeroCopy, patience)
            .or_else(|_| tried(CopyMode::Copy, TAKE_OVER_PATIENCE)),
        _ => tried(CopyMode::Copy, patience),
    }
}

fn patiently<T>(
    patience: Duration,
    open: impl Fn() -> Result<T, DatapathError>,
) -> Result<T, DatapathError> {
    let start = Instant::now();
    loop {
        match open() {
            Err(error) if error.is_busy() && start.elapsed() < patience => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;

    use super::*;

    fn failed(code: i32) -> DatapathError {
        DatapathError::Socket {
            interface: "eth0".to_owned(),
            queue: 0,
            error: io::Error::from_raw_os_error(code),
        }
    }

    #[test]
    fn what_a_first_attempt_had_open_is_waited_for() {
        let busy = Cell::new(3);
        let open = |copy| match (copy, busy.get()) {
            (CopyMode::ZeroCopy, _) => Err(failed(libc::EOPNOTSUPP)),
            (CopyMode::Copy, 0) => Ok(()),
            (CopyMode::Copy, left) => {
                busy.set(left - 1);
                Err(failed(libc::EBUSY))
            }
        };
        let best = |mode| best(mode, true, Duration::ZERO, open).map(|(copy, ())| copy);
        assert!(best(Mode::Copy).is_err_and(|error| error.is_busy()));
        assert!(best(Mode::ZeroCopy).is_err_and(|error| !error.is_busy()));
        assert_eq!(best(Mode::Auto).unwrap(), CopyMode::Copy);
        assert_eq!(busy.get(), 0);
    }
}
