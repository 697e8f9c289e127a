//! How handlers ask the director.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::condition::Condition;
use super::tag::Tagged;
use crate::control::Control;
use crate::error;
use crate::failure::Failure;
use crate::model::listing::Unlisted;
use crate::reads::{Maker, Place, Queue};

/// What a handler has the director do.
pub(super) trait Call<T>: FnOnce(&dyn Control) -> error::Result<T> + Send + 'static {}

impl<T, F: FnOnce(&dyn Control) -> error::Result<T> + Send + 'static> Call<T> for F {}

/// The way from a handler to the director.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) control: Arc<dyn Control>,
    /// Held by the change that is being made, so that nothing comes between its condition and it.
    changing: Arc<Mutex<()>>,
    /// Where it waits for its turn.
    queue: Queue,
}

impl FromRequestParts<Self> for Ask {
    type Rejection = Infallible;

    /// A read waits where its door says. A change does not: others wait for it already.
    async fn from_request_parts(parts: &mut Parts, ask: &Self) -> Result<Self, Infallible> {
        let mut ask = ask.clone();
        let queue = parts.extensions.get::<Queue>();
        if let Some(queue) = queue.filter(|_| parts.method.is_safe()) {
            ask.queue = queue.clone();
        }
        Ok(ask)
    }
}

impl Ask {
    pub(super) fn new(control: Arc<dyn Control>) -> Self {
        Self {
            control,
            changing: Arc::default(),
            queue: Queue::default(),
        }
    }

    /// Runs `call`, which changes nothing that could be configured.
    pub(super) async fn look<T: Send + 'static>(&self, call: impl Call<T>) -> Result<T, Failure> {
        self.run(|control| call(control).map_err(Failure::from))
            .await
    }

    /// The answer to `call`, which changes nothing that could be configured. It is made where it may
    /// take its time: a large one would keep others waiting elsewhere.
    pub(super) async fn show<T: IntoResponse>(
        &self,
        call: impl Call<T>,
    ) -> Result<Response, Failure> {
        let place = self.queue.place();
        self.run(|control| Ok(place.lay(call(control)?.into_response())))
            .await
    }

    /// Where an answer goes that is made while it is being taken.
    pub(super) fn place(&self) -> Place {
        self.queue.place()
    }

    /// The same for an answer in pieces, of this media type, which is sent while it is being made.
    pub(super) async fn send<T>(
        &self,
        kind: &'static str,
        call: impl Call<T>,
    ) -> Result<Response, Failure>
    where
        T: Iterator<Item = Result<Vec<u8>, Unlisted>>,
    {
        let place = self.queue.place();
        let (begun, beginning) = oneshot::channel();
        let made = self.run(move |control| {
            let pieces = call(control)?;
            let (maker, body) = place.begin();
            if begun.send(body).is_ok() {
                make(pieces, maker);
            }
            Ok(())
        });
        let body = tokio::select! {
            biased;
            Ok(body) = beginning => body,
            Err(failure) = made => return Err(failure),
            else => return Err(error::ControlError::Internal("no answer".to_owned()).into()),
        };
        Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
    }

    /// Runs `call`, which changes what is configured, if `condition` holds for what `present`
    /// finds, and keeps the change. One change at a time.
    pub(super) async fn change<P: Tagged, T: Send + 'static>(
        &self,
        condition: Condition,
        present: impl Call<P>,
        call: impl Call<T>,
    ) -> Result<T, Failure> {
        self.in_turn(condition, present, |control| {
            let done = call(control)?;
            control.keep()?;
            Ok(done)
        })
        .await
    }

    /// The same for what is not to be kept.
    pub(super) async fn in_turn<P: Tagged, T: Send + 'static>(
        &self,
        condition: Condition,
        present: impl Call<P>,
        call: impl Call<T>,
    ) -> Result<T, Failure> {
        let changing = Arc::clone(&self.changing);
        self.run(move |control| {
            // A change that has panicked has left nothing half done: the director saw to that.
            let _one_at_a_time = changing.lock().unwrap_or_else(PoisonError::into_inner);
            condition.judge(|| present(control))?;
            Ok(call(control)?)
        })
        .await
    }

    /// Runs `call` where it may block, when it is its turn. A panic in it is an internal error, not
    /// the end of the connection.
    pub(super) async fn run<T, F>(&self, call: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Control) -> Result<T, Failure> + Send + 'static,
    {
        let control = Arc::clone(&self.control);
        let turn = self.queue.turn().await;
        let called = tokio::task::spawn_blocking(move || {
            // It lasts as long as the call, whoever has hung up before.
            let _turn = turn;
            call(control.as_ref())
        });
        match called.await {
            Ok(answer) => answer,
            Err(fault) => Err(error::ControlError::Internal(fault.to_string()).into()),
        }
    }
}

/// Makes an answer of `pieces`, for as long as somebody wants it.
fn make(pieces: impl Iterator<Item = Result<Vec<u8>, Unlisted>>, maker: Maker) {
    for piece in pieces {
        let is_wanted = piece.is_ok_and(|piece| maker.put(piece.into()));
        if !is_wanted {
            return;
        }
    }
    maker.end();
}
