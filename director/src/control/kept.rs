//! What is configured over the API outlives the director, when `[api] persist` says where.

use adminapi::error::{ControlError, Result};
use adminapi::model::Configuration;
use adminapi::sysctl::Sysctl;
use tracing::{error, info, warn};

use super::Director;
use crate::persist::{Found, Store, Unusable};

impl Director {
    /// Makes the director as `store` says that it was left, if it says anything, and writes there
    /// from now on what the API changes.
    ///
    /// # Errors
    /// When what is in the store is of no use, or cannot be done here.
    pub fn resume(&self, store: Store) -> std::result::Result<(), ResumeError> {
        let path = store.path().display().to_string();
        let state = match store.read()? {
            Found::Nothing => None,
            Found::State(state) => Some(state),
            Found::Before { state, why } => {
                error!("{why}");
                warn!(
                    "{path}.last is used, the state before the last change; the file is {path}.corrupt now"
                );
                Some(state)
            }
        };
        if let Some(state) = &state {
            let refused = |source| ResumeError::Refused {
                path: path.clone(),
                source,
            };
            self.put_whole(state).map_err(refused)?;
            info!("services, timeouts, marks, sysctls and levels are those of {path}");
        }
        // A director resumes once.
        let _ = self.store.set(store);
        Ok(())
    }

    /// Whether services and what else the API can change come from a store now, and not from the
    /// configuration file.
    pub fn is_resumed(&self) -> bool {
        self.store.get().is_some_and(Store::is_written)
    }

    /// Takes what is configured now for the state to go back to, until there is a stored one.
    ///
    /// # Errors
    /// As [`Director::configuration`].
    pub fn settle(&self) -> Result<()> {
        match self.store.get() {
            Some(store) if !store.is_written() => store.assume(self.configuration()?),
            _ => {}
        }
        Ok(())
    }

    /// Writes down what is configured. What cannot be written down is taken back.
    pub(super) fn keep_state(&self) -> Result<()> {
        let Some(store) = self.store.get() else {
            return Ok(());
        };
        let Err(error) = store.write(&self.configuration()?) else {
            return Ok(());
        };
        let path = store.path().display();
        error!(%error, "{path} cannot be written");
        if let Some(before) = store.kept() {
            self.put_whole(&instead(before, &self.configuration()?))?;
        }
        let text = format!("{path} cannot be written, so the change was taken back: {error}");
        Err(ControlError::Limit(text))
    }
}

/// `before`, with what has been set since and is to be as if nobody had.
fn instead(mut before: Configuration, now: &Configuration) -> Configuration {
    for name in now.sysctls.keys() {
        if let (false, Ok(sysctl)) = (before.sysctls.contains_key(name), name.parse::<Sysctl>()) {
            before.sysctls.insert(name.clone(), sysctl.default_value());
        }
    }
    before.defense.level.get_or_insert_default();
    for id in now.defense.services.keys() {
        let is_there = before.services.iter().any(|service| service.id == *id);
        if is_there {
            before.defense.services.entry(*id).or_default();
        }
    }
    before
}

/// Why a director cannot be as it was left.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// Nothing can be read.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// It does not go together with this host, or with the configuration file.
    #[error("{path}: {source}")]
    Refused {
        /// The file.
        path: String,
        /// What is refused of it.
        source: ControlError,
    },
}
