//! What is configured over the API outlives the director, when `[api] persist` says where.

use adminapi::error::{ControlError, Result};
use adminapi::model::{Configuration, Levels};
use adminapi::sysctl::Sysctl;
use tracing::{error, info, warn};

use super::Director;
use crate::persist::{Found, Store, Unusable};

/// What a store has instead of the configuration file.
const KEPT: &str = "services, timeouts, marks, filters, sysctls and levels";

impl Director {
    /// Writes to `store` from now on what the API changes, and says what is in it.
    ///
    /// # Errors
    /// When what is in it is of no use.
    pub fn open_store(&self, store: Store) -> std::result::Result<Option<Configuration>, Unusable> {
        let path = store.path().display().to_string();
        let state = match store.read()? {
            Found::Nothing => None,
            Found::State(state) => Some(state),
            Found::Before { state, why, left } => {
                error!("{why}");
                match left {
                    None => warn!(
                        "the state before is used, {path}.last; the file is {path}.corrupt now"
                    ),
                    Some(left) => warn!(
                        "the state before is used, {path}.last; the file cannot be set aside yet: {left}"
                    ),
                }
                Some(state)
            }
        };
        if state.is_some() {
            info!("{KEPT} are those of {path}");
        }
        // A director opens one store.
        let _ = self.store.set(store);
        Ok(state)
    }

    /// What to tell who reads the configuration file again, when the word of the API stands above it.
    pub(super) fn stays_stored(&self) -> Option<String> {
        let store = self.store.get().filter(|store| store.is_written())?;
        let path = store.path().display();
        Some(format!(
            "{KEPT} stay those of {path}; to have the file's, remove it and restart"
        ))
    }

    /// What is kept, if anything has been.
    pub fn stored(&self) -> Option<Configuration> {
        let store = self.store.get()?;
        store.is_written().then(|| store.kept()).flatten()
    }

    /// Takes what is configured now for the state to go back to, until one is kept.
    ///
    /// # Errors
    /// As [`Director::configuration`].
    pub fn assume(&self) -> Result<()> {
        match self.store.get() {
            Some(store) if !store.is_written() => store.assume(self.to_keep()?),
            _ => {}
        }
        self.note_leaving();
        self.watch.lock().confirm();
        Ok(())
    }

    /// [`adminapi::Control::keep`]. It is written down for the next daemon, too: by an answer a change is
    /// known to hold.
    pub(super) fn keep_change(&self) -> Result<()> {
        self.keep_state()?;
        self.watch.lock().confirm();
        self.keep_since();
        Ok(())
    }

    /// Writes down what is configured. What cannot be written down is taken back.
    fn keep_state(&self) -> Result<()> {
        let Some(store) = self.store.get() else {
            return Ok(());
        };
        let Err(error) = store.write(&self.to_keep()?) else {
            self.note_leaving();
            return Ok(());
        };
        let path = store.path().display();
        error!(%error, "{path} cannot be written");
        if let Some(before) = store.kept() {
            self.put_back(before)?;
        }
        let text = format!("{path} cannot be written, so the change was taken back: {error}");
        Err(ControlError::Limit(text))
    }

    /// What is configured. Files that the configuration file names are left to it, which may name
    /// others when it is read next.
    fn to_keep(&self) -> Result<Configuration> {
        let mut now = self.configuration()?;
        if let Some(file) = self.configured_filter() {
            now.filter = now.filter.map(|rules| rules.without_files_of(&file));
        }
        Ok(now)
    }

    /// Makes everything what it was `before`, and whoever was being drained be drained on. What was removed
    /// counts on.
    fn put_back(&self, mut before: Configuration) -> Result<()> {
        if let Some(file) = self.configured_filter() {
            before.filter = before.filter.map(|rules| rules.with_files_of(&file));
        }
        let mut before = instead(before, &self.configuration()?);
        let leaving = self.keeping.leaving.lock().clone();
        before.services = leaving.with_leaving(before.services);
        let put = self.put_whole(&before);
        self.take_levels_back();
        put?;
        let counted = self.keeping.kept.lock().clone();
        self.change(|pool, _| {
            pool.count_on(&counted);
            Ok(())
        })?;
        let mut drains = leaving.drains.iter();
        drains.try_for_each(|drained| self.drain_on(drained))
    }
}

/// `before`, with what has been set since and is to be as if nobody had.
fn instead(mut before: Configuration, now: &Configuration) -> Configuration {
    for name in now.sysctls.keys() {
        if let (false, Ok(sysctl)) = (before.sysctls.contains_key(name), name.parse::<Sysctl>()) {
            before.sysctls.insert(name.clone(), sysctl.default_value());
        }
    }
    if let Some(now) = &now.filter {
        before.filter = before.filter.map(|rules| rules.without_files_gone(now));
    }
    // Nobody sets levels: they are taken back.
    before.defense = Levels::default();
    before
}
