//! Parameters that nothing takes are refused, as unknown fields of a body are: who asks for a trial
//! where there is none must not find it done.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, ParameterIn};

use crate::failure::Failure;
use crate::problem::ProblemKind;

/// The operations that take parameters; they know by themselves which ones.
#[derive(Clone, Debug)]
pub(super) struct Takers(Arc<HashSet<(Method, String)>>);

impl Takers {
    /// Those that `document` says have some.
    pub(super) fn of(document: &OpenApi) -> Self {
        let mut takers = HashSet::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in [
                (Method::GET, &item.get),
                (Method::HEAD, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ] {
                if operation.as_ref().is_some_and(takes_parameters) {
                    takers.insert((method, path.clone()));
                }
            }
        }
        Self(Arc::new(takers))
    }
}

fn takes_parameters(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|parameter| parameter.parameter_in == ParameterIn::Query)
}

/// Refuses the parameters of a request that takes none.
pub(super) async fn judge(State(takers): State<Takers>, request: Request, next: Next) -> Response {
    let has_some = request.uri().query().is_some_and(|query| !query.is_empty());
    let path = request.extensions().get::<MatchedPath>();
    if let (true, Some(path)) = (has_some, path) {
        let operation = (request.method().clone(), path.as_str().to_owned());
        if !takers.0.contains(&operation) {
            let (method, path) = (request.method(), request.uri().path());
            let detail = format!("{method} {path} takes no parameters");
            return Failure::new(ProblemKind::BadRequest, detail).into_response();
        }
    }
    next.run(request).await
}
