//! The guard at a listener: finds out who asks, and whether he may.

use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::shares::{Full, OF_A_TOKEN, OF_READERS, Share, Shares};
use super::{Allowance, Caller, Digest, Tokens};
use crate::failure::Failure;
use crate::held::hold;
use crate::kept::Kept;
use crate::problem::ProblemKind;
use crate::reads::Reads;

/// The other end of a connection; the listener knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process, by the Unix socket.
    Process {
        /// Whose it is.
        uid: u32,
        /// Its number, if the kernel tells.
        pid: Option<i32>,
    },
    /// A host, by TCP.
    Host(SocketAddr),
}

/// What a listener asks of those who come.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// One of these tokens, of who comes by TCP; without them everybody is let in.
    pub tokens: Option<Arc<Kept<Tokens>>>,
    /// Not to make more requests with a token than this; without it as many as he likes.
    pub allowance: Option<Arc<Allowance>>,
}

/// The API for callers that are known and may. A request that carries no [`Peer`] is not answered.
pub fn guard(api: Router, door: Door) -> Router {
    let guarded = Guarded {
        door,
        shares: Arc::default(),
        reads: Arc::default(),
    };
    api.layer(from_fn_with_state(guarded, admit))
}

/// A door, and who is behind it.
#[derive(Clone, Debug)]
struct Guarded {
    door: Door,
    shares: Arc<Shares>,
    reads: Arc<Reads>,
}

/// What a caller with a token has shown.
struct Pass {
    tokens: Arc<Kept<Tokens>>,
    digest: Digest,
}

impl Pass {
    fn is_known(&self) -> bool {
        self.tokens.get().find(&self.digest).is_some()
    }
}

async fn admit(State(guarded): State<Guarded>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let (caller, pass) = match caller(peer, request.headers(), guarded.door.tokens) {
        Ok(known) => known,
        Err(why) => return unknown(peer, why),
    };
    if matches!(caller, Caller::Anybody { .. }) && !is_of_this_host(request.headers()) {
        return foreign(&caller);
    }
    let allowance = guarded.door.allowance.as_deref();
    let share = match room(&caller, allowance, &guarded.shares) {
        Ok(share) => share,
        Err(Crowd::Early(wait)) => return too_many(&caller, wait),
        Err(Crowd::Full(full)) => return no_room(&caller, full),
    };
    if !caller.role().may(request.method()) {
        return refused(&caller, &request);
    }
    let queue = guarded.reads.queue(&caller);
    request.extensions_mut().insert(queue);
    request.extensions_mut().insert(caller);
    let answer = hold(next.run(request).await, share);
    match pass {
        Some(pass) if is_endless(&answer) => while_known(answer, pass),
        _ => answer,
    }
}

/// Why there is no room for a request.
enum Crowd {
    /// It comes so long before its time.
    Early(Duration),
    /// Too many are under way.
    Full(Full),
}

/// Room for a request of `caller`, if a token has to share it with others.
fn room(
    caller: &Caller,
    allowance: Option<&Allowance>,
    shares: &Arc<Shares>,
) -> Result<Option<Share>, Crowd> {
    let Caller::Token { name, role, .. } = caller else {
        return Ok(None);
    };
    let taken = allowance.map_or(Ok(()), |allowance| allowance.take(name));
    taken.map_err(Crowd::Early)?;
    shares.take(name, *role).map(Some).map_err(Crowd::Full)
}

/// Whether an answer goes on for as long as its reader wants it.
fn is_endless(answer: &Response) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// The answer until the token that was sent is known no more: nothing is told after that.
fn while_known(answer: Response, pass: Pass) -> Response {
    answer.map(|body| {
        let is_known = move |_: &_| ready(pass.is_known());
        Body::from_stream(body.into_data_stream().take_while(is_known))
    })
}

fn caller(
    peer: Option<Peer>,
    headers: &HeaderMap,
    tokens: Option<Arc<Kept<Tokens>>>,
) -> Result<(Caller, Option<Pass>), &'static str> {
    let from = match peer.ok_or("the listener does not know who asks")? {
        Peer::Process { uid, pid } => return Ok((Caller::Process { uid, pid }, None)),
        Peer::Host(from) => from,
    };
    let Some(tokens) = tokens else {
        return Ok((Caller::Anybody { from }, None));
    };
    let sent = bearer(headers).ok_or("a token is needed: `Authorization: Bearer TOKEN`")?;
    let digest = Digest::of(sent);
    let known = tokens.get();
    let token = known.find(&digest).ok_or("the token is not known")?;
    let caller = Caller::Token {
        name: token.name.clone(),
        role: token.role,
        from,
    };
    Ok((caller, Some(Pass { tokens, digest })))
}

/// RFC 6750, section 2.1; the scheme is in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Where no token is asked for, a page in a browser of this host could ask as well: from elsewhere
/// (`Origin`), or by a name that its server has lent to a loopback address (`Host`).
fn is_of_this_host(headers: &HeaderMap) -> bool {
    [header::HOST, header::ORIGIN].iter().all(|name| {
        let mut values = headers.get_all(name).iter();
        values.all(|value| value.to_str().is_ok_and(names_loopback))
    })
}

fn names_loopback(place: &str) -> bool {
    let (_, authority) = place.split_once("://").unwrap_or(("", place));
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

fn foreign(caller: &Caller) -> Response {
    tracing::warn!(target: "audit", who = %caller, "not of this host");
    let detail = "without tokens only programs of this host are answered: `Host`, and `Origin` if \
                  there is one, must name localhost or a loopback address";
    Failure::new(ProblemKind::Forbidden, detail).into_response()
}

fn unknown(peer: Option<Peer>, why: &'static str) -> Response {
    tracing::warn!(target: "audit", ?peer, why, "not let in");
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"bulwark\"")];
    let failure = Failure::new(ProblemKind::Unauthorized, why);
    (challenge, failure).into_response()
}

fn too_many(caller: &Caller, wait: Duration) -> Response {
    tracing::warn!(target: "audit", who = %caller, "too many requests");
    let seconds = wait.as_secs() + 1;
    let detail = "this token has made too many requests; ask again after Retry-After seconds";
    let failure = Failure::new(ProblemKind::TooManyRequests, detail);
    ([(header::RETRY_AFTER, seconds.to_string())], failure).into_response()
}

fn no_room(caller: &Caller, full: Full) -> Response {
    let (kind, detail) = match full {
        Full::Token => (
            ProblemKind::TooManyRequests,
            format!(
                "this token has {OF_A_TOKEN} requests under way, streams among them; end one, or \
                 use another token"
            ),
        ),
        Full::Readers => (
            ProblemKind::Busy,
            format!(
                "tokens of the role `read` have {OF_READERS} requests under way, streams among \
                 them; wait until one ends, or use a token of the role `admin`"
            ),
        ),
    };
    tracing::warn!(target: "audit", who = %caller, ?full, "too many requests under way");
    let wait = [(header::RETRY_AFTER, "1")];
    (wait, Failure::new(kind, detail)).into_response()
}

fn refused(caller: &Caller, request: &Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    tracing::warn!(target: "audit", who = %caller, %method, path, "not allowed");
    let role = caller.role().name();
    let detail = format!("the role `{role}` may not {method}; use a token of the role `admin`");
    Failure::new(ProblemKind::Forbidden, detail).into_response()
}
