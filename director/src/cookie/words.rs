//! Memory that workers and gate share.

use std::sync::atomic::AtomicU64;

/// Words that the gate sees too.
pub(super) type Words = Box<dyn AsRef<[AtomicU64]> + Send + Sync>;

/// Words of this process alone, for a director without a gate.
pub(super) fn own(count: usize) -> Words {
    struct Own(Vec<AtomicU64>);
    impl AsRef<[AtomicU64]> for Own {
        fn as_ref(&self) -> &[AtomicU64] {
            &self.0
        }
    }
    Box::new(Own((0..count).map(|_| AtomicU64::new(0)).collect()))
}
