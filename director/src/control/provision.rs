//! Memory for the connections that come next is made ready here, off the packet path.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use super::Director;

/// How often it is looked whether there is enough.
const PERIOD: Duration = Duration::from_millis(100);

/// Has memory at hand before a worker of `director` needs it. Ends where the kernel does not do that
/// (before Linux 5.14): there the worker waits for it, as it does when many come at once.
pub async fn provide_memory(director: Arc<Director>) {
    let mut look = tokio::time::interval(PERIOD);
    loop {
        look.tick().await;
        let here = Arc::clone(&director);
        match tokio::task::spawn_blocking(move || here.shared.table.provide()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => return,
            // Whoever needs it finds out as well, and is refused.
            Ok(Err(error)) => debug!(%error, "no memory for the connections that come next"),
            Err(fault) => warn!(%fault, "memory is not made ready"),
        }
    }
}
