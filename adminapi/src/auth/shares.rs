//! How many requests the holders of tokens may have under way at a time: a stream that is told, or
//! an answer that is taken a byte at a time, lasts as long as its reader likes, and each has one of
//! the listener's connections to itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Role;

/// Connections of one listener at a time. For one more an idle one ends; if none is, it waits.
pub const CONNECTIONS: usize = 256;

/// Requests of one token at a time.
pub const OF_A_TOKEN: usize = CONNECTIONS / 2;

/// Those of all tokens that may only read: the rest is left to whoever has to mend something.
pub const OF_READERS: usize = CONNECTIONS / 4 * 3;

/// Why there is no room for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The token has all that it may have.
    Token,
    /// Tokens that may only read have all that they may have together.
    Readers,
}

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Shares(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    by_token: HashMap<String, usize>,
    by_readers: usize,
}

impl Shares {
    /// Room for a request with the token of this name, until it is dropped.
    pub(super) fn take(self: &Arc<Self>, token: &str, role: Role) -> Result<Share, Full> {
        let mut taken = self.taken();
        let own = taken.by_token.get(token).copied().unwrap_or(0);
        let is_reader = role == Role::Read;
        if own >= OF_A_TOKEN {
            return Err(Full::Token);
        }
        if is_reader && taken.by_readers >= OF_READERS {
            return Err(Full::Readers);
        }
        taken.by_token.insert(token.to_owned(), own + 1);
        taken.by_readers += usize::from(is_reader);
        Ok(Share {
            of: Arc::clone(self),
            token: token.to_owned(),
            is_reader,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The room that a request has.
#[derive(Debug)]
pub(super) struct Share {
    of: Arc<Shares>,
    token: String,
    is_reader: bool,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        taken.by_readers -= usize::from(self.is_reader);
        match taken.by_token.get_mut(&self.token) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.by_token.remove(&self.token)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_share_and_readers_leave_the_rest() {
        let shares = Arc::new(Shares::default());
        let take = |token, role| shares.take(token, role);
        let all = |token, role, most: usize| -> Vec<Share> {
            (0..most).map(|_| take(token, role).unwrap()).collect()
        };
        let first = all("a", Role::Read, OF_A_TOKEN);
        assert_eq!(take("a", Role::Read).unwrap_err(), Full::Token);
        let second = all("b", Role::Read, OF_READERS - OF_A_TOKEN);
        assert_eq!(take("b", Role::Read).unwrap_err(), Full::Readers);
        let admin = all("c", Role::Admin, CONNECTIONS - OF_READERS);
        drop(first);
        drop(take("b", Role::Read).unwrap());
        drop((second, admin));
        let taken = shares.taken();
        assert_eq!((taken.by_token.len(), taken.by_readers), (0, 0));
    }
}
