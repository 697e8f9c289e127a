//! Tables of schedulers that take long to fill are filled here, beside the changes that call for them
//! and off the packet path.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::Director;
use super::roles::Touched;
use crate::pool::Pool;

/// After tables have been filled none are for so many times as long: that takes a tenth of a CPU at
/// most, and the changes that come in the meantime share the next ones.
const REST: u32 = 9;

/// Fills tables of `director` as they are called for. Never ends.
pub async fn fill_tables(director: Arc<Director>) {
    loop {
        director.behind.notified().await;
        let here = Arc::clone(&director);
        match tokio::task::spawn_blocking(move || here.catch_up()).await {
            Ok(took) => tokio::time::sleep(took * REST).await,
            Err(fault) => warn!(%fault, "a scheduler does not know its real servers"),
        }
    }
}

impl Director {
    /// Has schedulers know their lists that do not yet. Says how long it took to fill their tables.
    fn catch_up(&self) -> Duration {
        let start = Instant::now();
        let prepared = self.unrefused().prepare();
        let took = start.elapsed();
        let mut master = self.master.lock();
        let old = self.shared.pool.load_full();
        let mut new = Pool::clone(&old);
        new.catch_up(prepared);
        self.call_for_tables(&new);
        self.shared.pool.store(Arc::new(new));
        master.note(&Touched::default(), &old);
        took
    }

    /// The pool, and none that the gate may still refuse.
    fn unrefused(&self) -> Arc<Pool> {
        let _nobody_changes_it = self.master.lock();
        self.shared.pool.load_full()
    }

    /// Has tables filled if `pool` wants any.
    pub(super) fn call_for_tables(&self, pool: &Pool) {
        if pool.has_behind() {
            self.behind.notify_one();
        }
    }
}
