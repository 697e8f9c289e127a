//! Unix time, which the API and what is kept go by.

use std::time::{SystemTime, UNIX_EPOCH};

/// The second that it is now.
pub(super) fn unix_now() -> u64 {
    unix(SystemTime::now())
}

/// The second of a moment.
pub(super) fn unix(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
