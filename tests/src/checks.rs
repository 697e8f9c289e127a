//! Health checks that find out soon.

use adminapi::model::{Check, CheckKind, Millis, Pace};

/// A check of this kind five times a second; two in a row count. A busy machine has time to answer.
pub fn often(kind: CheckKind) -> Check {
    let pace = Pace {
        interval: Millis(200),
        timeout: Millis(5000),
        rise: 2,
        fall: 2,
        jitter: 10,
    };
    Check::paced(kind, pace)
}
