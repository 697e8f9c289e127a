//! What goes on, as it goes on: server-sent events, and the metrics.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::watch;

use super::ask::Ask;
use super::extract::Parameters;
use super::openapi::Refusals;
use crate::control::Control;
use crate::error::{ControlError, Problem, Result};
use crate::failure::Failure;
use crate::metrics;
use crate::model::{EventQuery, Events, Sample, StreamQuery};
use crate::problem::ProblemKind;

/// How long nothing may be said, so that both ends notice when the other one is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Bytes of messages from which on no more are made before these are taken: each client who takes nothing
/// holds as much.
const AHEAD: usize = 16 << 10;

/// The header with which a client resumes.
const LAST_EVENT_ID: &str = "last-event-id";

/// What a client says that resumes.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes what [`Resumed`] reads")]
pub(super) struct ResumedParams {
    /// The number of what the client has seen last.
    #[param(rename = "Last-Event-ID", value_type = u64, required = false)]
    last: Option<u64>,
}

/// The number of what a client has seen last, if it says so.
pub(super) struct Resumed(Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for Resumed {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Failure> {
        let Some(value) = parts.headers.get(LAST_EVENT_ID) else {
            return Ok(Self(None));
        };
        let number = value.to_str().ok().and_then(|text| text.parse().ok());
        let detail = "Last-Event-ID is the number of an event";
        let bad = || Failure::new(ProblemKind::BadRequest, detail);
        number.map(|number| Self(Some(number))).ok_or_else(bad)
    }
}

/// Lists what has happened, or tells it as it happens
///
/// With `Accept: text/event-stream` it goes on: an event a message, its number as `id`, its kind as
/// `event`. `Last-Event-ID` resumes. A message `missed` says how many events were forgotten at its
/// place before the client asked for them.
#[utoipa::path(get, path = "/v1/events", tag = "defence", params(EventQuery, ResumedParams),
    responses((status = 200, content((Events = "application/json"), (String = "text/event-stream"))),
        Refusals))]
pub(super) async fn events(
    ask: Ask,
    headers: HeaderMap,
    Resumed(last): Resumed,
    Parameters(query): Parameters<EventQuery>,
) -> std::result::Result<Response, Failure> {
    let since = last.unwrap_or(query.since);
    if accepts_stream(&headers) {
        return Ok(told(ask, since, 1, |control, since| {
            Ok(control.events(since)?.events)
        }));
    }
    ask.show(move |control| control.events(since).map(Json))
        .await
}

fn accepts_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut kinds = accepted.filter_map(|value| value.to_str().ok());
    kinds.any(|kinds| kinds.contains("text/event-stream"))
}

/// Tells the statistics of each second
///
/// A sample a message, its number as `id`. `Last-Event-ID` resumes within the last minute; a message
/// `missed` says how many seconds are lost, those of a restart among them.
#[utoipa::path(get, path = "/v1/stats/stream", tag = "director", params(StreamQuery, ResumedParams),
    responses((status = 200, body = String, content_type = "text/event-stream"), Refusals))]
pub(super) async fn stats(
    ask: Ask,
    Resumed(last): Resumed,
    Parameters(query): Parameters<StreamQuery>,
) -> std::result::Result<Response, Failure> {
    if !(1..=StreamQuery::LONGEST).contains(&query.interval) {
        let message = format!("{} seconds is no interval", query.interval);
        let mend = format!("use 1 to {}", StreamQuery::LONGEST);
        let problem = Problem::new("/interval", message, mend);
        return Err(ControlError::Invalid(vec![problem]).into());
    }
    let latest = ask
        .look(|control| Ok(*control.news().samples.borrow()))
        .await?;
    // A number above it is of a clock that has been put back since.
    let since = last.map_or(latest, |last| last.min(latest));
    Ok(told(ask, since, query.interval, |control, since| {
        control.samples(since)
    }))
}

/// Exposes the metrics
#[utoipa::path(get, path = "/metrics", tag = "director",
    responses((status = 200, body = String, content_type = "text/plain"), Refusals))]
pub(super) async fn metrics(ask: Ask) -> std::result::Result<Response, Failure> {
    let kind = [(header::CONTENT_TYPE, metrics::MEDIA_TYPE)];
    ask.show(move |control| Ok((kind, metrics::expose(control)?)))
        .await
}

/// What can be told: it has a number, one above that of what has happened before it.
pub(super) trait Told: Serialize + Send + 'static {
    fn number(&self) -> u64;
    fn kind(&self) -> &str;
    fn news(control: &dyn Control) -> watch::Receiver<u64>;
}

impl Told for crate::model::Event {
    fn number(&self) -> u64 {
        self.id
    }

    fn kind(&self) -> &str {
        &self.kind
    }

    fn news(control: &dyn Control) -> watch::Receiver<u64> {
        control.news().events
    }
}

impl Told for Sample {
    fn number(&self) -> u64 {
        self.id
    }

    fn kind(&self) -> &'static str {
        "stats"
    }

    fn news(control: &dyn Control) -> watch::Receiver<u64> {
        control.news().samples
    }
}

/// What a client has still to be told. It holds a few messages; a client that is so slow that the
/// director forgets what comes after them misses something, and is told so.
struct Feed<T> {
    ask: Ask,
    look: fn(&dyn Control, u64) -> Result<Vec<T>>,
    news: watch::Receiver<u64>,
    /// Numbers that are multiples of this are told.
    every: u64,
    /// The number of the last that is told, or is in a message that waits.
    last: u64,
    waiting: VecDeque<sse::Event>,
}

fn told<T: Told>(
    ask: Ask,
    since: u64,
    every: u32,
    look: fn(&dyn Control, u64) -> Result<Vec<T>>,
) -> Response {
    let news = T::news(&*ask.control);
    // A number beyond the latest is of a director that has been started anew since.
    let last = if since > *news.borrow() { 0 } else { since };
    let feed = Feed {
        ask,
        look,
        news,
        every: every.into(),
        last,
        waiting: VecDeque::new(),
    };
    let messages = stream::unfold(feed, |mut feed| async {
        let message = feed.next().await?;
        Some((Ok::<_, Infallible>(message), feed))
    });
    let heartbeat = KeepAlive::new().interval(HEARTBEAT);
    Sse::new(messages).keep_alive(heartbeat).into_response()
}

impl<T: Told> Feed<T> {
    /// The next message; none when the director ends.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Some(message);
            }
            self.news.borrow_and_update();
            let (look, last, every) = (self.look, self.last, self.every);
            let made = self
                .ask
                .look(move |control| messages(look(control, last)?, last, every))
                .await;
            (self.last, self.waiting) = made.ok()?;
            if self.last == last {
                self.news.changed().await.ok()?;
            }
        }
    }
}

/// The next messages of what is new since number `last`, no more than a client may leave untaken, and
/// the number of the last that is in them. They are small; what they are made of need not be.
fn messages<T: Told>(
    new: Vec<T>,
    mut last: u64,
    every: u64,
) -> Result<(u64, VecDeque<sse::Event>)> {
    let (mut made, mut size) = (VecDeque::new(), 0);
    for item in new {
        if size >= AHEAD {
            break;
        }
        let missed = item.number().saturating_sub(last + 1);
        if missed > 0 {
            let text = format!("{{\"missed\":{missed}}}");
            made.push_back(sse::Event::default().event("missed").data(text));
        }
        last = item.number();
        if last % every == 0 {
            let text = serde_json::to_string(&item);
            let text = text.map_err(|error| ControlError::Internal(error.to_string()))?;
            size += text.len();
            let named = sse::Event::default().id(last.to_string());
            made.push_back(named.event(item.kind()).data(text));
        }
    }
    Ok((last, made))
}
