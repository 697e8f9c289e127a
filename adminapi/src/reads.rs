//! Whose turn it is to read from the director: a read may go through all that it knows, which takes
//! a core for as long as it lasts. So each door reads a little at a time, and the next one waits,
//! first come, first served. One who waits holds nothing, and is gone when his connection is. What a
//! read has made waits on a shelf of the door.

mod shelf;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::Caller;
use shelf::{Holder, Shelf};

pub(crate) use shelf::{Maker, Place};

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
    shelf: Arc<Shelf>,
}

impl Default for Reads {
    fn default() -> Self {
        Self {
            door: Arc::new(Semaphore::new(OF_A_DOOR)),
            by_token: Mutex::default(),
            shelf: Arc::default(),
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
            place: Place {
                shelf: Arc::clone(&self.shelf),
                whose: caller.into(),
            },
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

/// Where a caller waits: behind the reads of his token, then for room on the shelf, then behind the
/// reads of the door.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    own: Option<Arc<Semaphore>>,
    door: Arc<Semaphore>,
    place: Place,
}

impl Default for Queue {
    /// That of a door by itself.
    fn default() -> Self {
        let Reads { door, shelf, .. } = Reads::default();
        Self {
            own: None,
            door,
            place: Place {
                shelf,
                whose: Holder::default(),
            },
        }
    }
}

impl Queue {
    /// Waits until it is his turn.
    pub(crate) async fn turn(&self) -> Turn {
        let own = match &self.own {
            Some(own) => permit(own).await,
            None => None,
        };
        let Place { shelf, whose } = &self.place;
        loop {
            shelf.room(whose).await;
            let door = permit(&self.door).await;
            // Others may have come before, and nobody of the door is to wait for room.
            if shelf.has_room(whose) {
                return Turn {
                    _own: own,
                    _door: door,
                };
            }
        }
    }

    /// Where his answer goes.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }
}

async fn permit(of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
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
