//! Whose turn it is to read from the director: a read may go through all that it knows, which takes
//! a core for as long as it lasts. So each door reads a little at a time, and the next one waits,
//! first come, first served. One who waits holds nothing, and is gone when his connection is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::Caller;

/// Reads of a door that run at a time.
pub(crate) const OF_A_DOOR: usize = 2;

/// Those of a token: it leaves room for others, and waits behind itself alone.
const OF_A_TOKEN: usize = 1;

/// The reads of a door.
#[derive(Debug)]
pub(crate) struct Reads {
    door: Arc<Semaphore>,
    /// Of tokens that read or wait, and some that did.
    by_token: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Default for Reads {
    fn default() -> Self {
        Self {
            door: Arc::new(Semaphore::new(OF_A_DOOR)),
            by_token: Mutex::default(),
        }
    }
}

impl Reads {
    /// Where a caller waits.
    pub(crate) fn queue(&self, caller: &Caller) -> Queue {
        let own = match caller {
            Caller::Token { name, .. } => Some(self.own(name)),
            Caller::Process { .. } | Caller::Anybody { .. } => None,
        };
        Queue {
            own,
            door: Arc::clone(&self.door),
        }
    }

    /// A read that nobody waits for any more still counts until it has ended.
    fn own(&self, token: &str) -> Arc<Semaphore> {
        let by_token = self.by_token.lock();
        let mut by_token = by_token.unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = by_token.get(token).and_then(Weak::upgrade) {
            return own;
        }
        by_token.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(OF_A_TOKEN));
        by_token.insert(token.to_owned(), Arc::downgrade(&own));
        own
    }
}

/// Where a caller waits: behind the reads of his token, then behind those of the door.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    own: Option<Arc<Semaphore>>,
    door: Arc<Semaphore>,
}

impl Default for Queue {
    /// That of a door by itself.
    fn default() -> Self {
        Self {
            own: None,
            door: Reads::default().door,
        }
    }
}

impl Queue {
    /// Waits until it is his turn.
    pub(crate) async fn turn(&self) -> Turn {
        let own = match &self.own {
            Some(own) => place(own).await,
            None => None,
        };
        Turn {
            _own: own,
            _door: place(&self.door).await,
        }
    }
}

async fn place(of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // It fails only when somebody closes the semaphore, which nobody does.
    Arc::clone(of).acquire_owned().await.ok()
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _own: Option<OwnedSemaphorePermit>,
    _door: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
mod tests;
