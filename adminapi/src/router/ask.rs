//! How handlers ask the director.

use std::sync::{Arc, Mutex, PoisonError};

use super::condition::Condition;
use super::tag::Tagged;
use crate::control::Control;
use crate::error;
use crate::failure::Failure;

/// The way from a handler to the director.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) control: Arc<dyn Control>,
    /// Held by the change that is being made, so that nothing comes between its condition and it.
    changing: Arc<Mutex<()>>,
}

impl Ask {
    pub(super) fn new(control: Arc<dyn Control>) -> Self {
        Self {
            control,
            changing: Arc::default(),
        }
    }

    /// Runs `call`, which changes nothing that could be configured.
    pub(super) async fn look<T, F>(&self, call: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Control) -> error::Result<T> + Send + 'static,
    {
        self.run(|control| call(control).map_err(Failure::from))
            .await
    }

    /// Runs `call`, which changes what is configured, if `condition` holds for what `present`
    /// finds, and keeps the change. One change at a time.
    pub(super) async fn change<P, T>(
        &self,
        condition: Condition,
        present: impl FnOnce(&dyn Control) -> error::Result<P> + Send + 'static,
        call: impl FnOnce(&dyn Control) -> error::Result<T> + Send + 'static,
    ) -> Result<T, Failure>
    where
        P: Tagged,
        T: Send + 'static,
    {
        self.in_turn(condition, present, |control| {
            let done = call(control)?;
            control.keep()?;
            Ok(done)
        })
        .await
    }

    /// The same for what is not to be kept.
    pub(super) async fn in_turn<P, T>(
        &self,
        condition: Condition,
        present: impl FnOnce(&dyn Control) -> error::Result<P> + Send + 'static,
        call: impl FnOnce(&dyn Control) -> error::Result<T> + Send + 'static,
    ) -> Result<T, Failure>
    where
        P: Tagged,
        T: Send + 'static,
    {
        let changing = Arc::clone(&self.changing);
        self.run(move |control| {
            // A change that has panicked has left nothing half done: the director saw to that.
            let _one_at_a_time = changing.lock().unwrap_or_else(PoisonError::into_inner);
            condition.judge(|| present(control))?;
            Ok(call(control)?)
        })
        .await
    }

    /// Runs `call` where it may block. A panic in it is an internal error, not the end of the
    /// connection.
    pub(super) async fn run<T, F>(&self, call: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Control) -> Result<T, Failure> + Send + 'static,
    {
        let control = Arc::clone(&self.control);
        match tokio::task::spawn_blocking(move || call(control.as_ref())).await {
            Ok(answer) => answer,
            Err(fault) => Err(error::ControlError::Internal(fault.to_string()).into()),
        }
    }
}
