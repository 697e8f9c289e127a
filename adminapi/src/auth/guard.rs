//! The guard at a listener: finds out who asks, and whether he may.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::{Caller, Tokens};
use crate::failure::Failure;
use crate::kept::Kept;
use crate::problem::ProblemKind;

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

/// The API for callers that are known and may: who comes by TCP needs one of `tokens`, unless
/// there are none to need. A request that carries no [`Peer`] is not answered.
pub fn guard(api: Router, tokens: Option<Arc<Kept<Tokens>>>) -> Router {
    api.layer(from_fn_with_state(tokens, admit))
}

async fn admit(
    State(tokens): State<Option<Arc<Kept<Tokens>>>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let caller = match caller(peer, request.headers(), tokens.as_deref()) {
        Ok(caller) => caller,
        Err(why) => return unknown(peer, why),
    };
    if !caller.role().may(request.method()) {
        return refused(&caller, &request);
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn caller(
    peer: Option<Peer>,
    headers: &HeaderMap,
    tokens: Option<&Kept<Tokens>>,
) -> Result<Caller, &'static str> {
    let from = match peer.ok_or("the listener does not know who asks")? {
        Peer::Process { uid, pid } => return Ok(Caller::Process { uid, pid }),
        Peer::Host(from) => from,
    };
    let Some(tokens) = tokens else {
        return Ok(Caller::Anybody { from });
    };
    let sent = bearer(headers).ok_or("a token is needed: `Authorization: Bearer TOKEN`")?;
    let tokens = tokens.get();
    let token = tokens.find(sent).ok_or("the token is not known")?;
    Ok(Caller::Token {
        name: token.name.clone(),
        role: token.role,
        from,
    })
}

/// RFC 6750, section 2.1; the scheme is in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

fn unknown(peer: Option<Peer>, why: &'static str) -> Response {
    tracing::warn!(target: "audit", ?peer, why, "not let in");
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"bulwark\"")];
    let failure = Failure::new(ProblemKind::Unauthorized, why);
    (challenge, failure).into_response()
}

fn refused(caller: &Caller, request: &Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    tracing::warn!(target: "audit", who = %caller, %method, path, "not allowed");
    let role = caller.role().name();
    let detail = format!("the role `{role}` may not {method}; use a token of the role `admin`");
    Failure::new(ProblemKind::Forbidden, detail).into_response()
}
