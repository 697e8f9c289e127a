//! The description of the API (OpenAPI 3.1), made of the handlers and the types of the model.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{IntoResponses, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::ask::Ask;
use super::extract::MERGE_PATCH;
use super::query::{self, Takers};
use crate::model::{ConnectionId, FilterList, Numbers, Order, Side, TemplateId};
use crate::path;
use crate::problem::{MEDIA_TYPE, ProblemDocument};
use crate::table::Columns;

#[derive(OpenApi)]
#[openapi(
    components(schemas(ProblemDocument, ConnectionId, TemplateId, FilterList, Numbers, Order, Side, Columns)),
    info(
        title = "Bulwark",
        description = "The admin API of a Bulwark director, a layer-4 load balancer.\n\n\
            What can be set has an entity tag: a change with `If-Match` is done only if nobody else \
            has changed it since. What fails is answered with `application/problem+json`, which \
            points at each bad value.",
        license(name = "MIT", identifier = "MIT"),
        contact(),
    ),
    tags(
        (name = "director", description = "The director as a whole"),
        (name = "services", description = "Virtual services and their real servers"),
        (name = "connections", description = "What is tracked"),
        (name = "defence", description = "Levels of defence, and what has happened"),
        (name = "ipvs", description = "What IPVS has: marks, sysctls, synchronisation"),
    ),
)]
struct Described;

/// A router that knows what its handlers say of themselves.
pub(super) fn described() -> OpenApiRouter<Ask> {
    OpenApiRouter::with_openapi(Described::openapi())
}

/// The router, which tells what it has at [`path::OPENAPI`].
pub(super) fn told(router: OpenApiRouter<Ask>) -> axum::Router<Ask> {
    let (router, mut document) = router.split_for_parts();
    for (path, item) in &mut document.paths.paths {
        complete(path, item);
    }
    tell_token(&mut document);
    // Descriptions are the documentation of the types, whose links lead nowhere here.
    let text = document.to_json().unwrap_or_default();
    let text = Bytes::from(text.replace("[`", "`").replace("`]", "`"));
    let show = async move || ([(header::CONTENT_TYPE, "application/json")], text);
    let takers = Takers::of(&document);
    let router = router.route(path::OPENAPI, get(show));
    router.route_layer(from_fn_with_state(takers, query::judge))
}

/// Ends of paths whose changes look at no condition: what is there comes and goes, or has no name yet.
const UNCONDITIONAL: [&str; 6] = [
    "/stats",
    "/connections/{connection}",
    "/templates",
    "/templates/{template}",
    "/filter/networks",
    "/reload",
];

/// What all operations have in common: a name of their own and, of what can be set, the conditions.
fn complete(path: &str, item: &mut PathItem) {
    let can_be_set = item.put.is_some() || item.post.is_some() || item.delete.is_some();
    let is_conditional = can_be_set && !UNCONDITIONAL.iter().any(|end| path.ends_with(end));
    let methods = [
        ("get", &mut item.get, false),
        ("put", &mut item.put, true),
        ("post", &mut item.post, true),
        ("patch", &mut item.patch, true),
        ("delete", &mut item.delete, true),
    ];
    for (method, operation, changes) in methods {
        let Some(operation) = operation else {
            continue;
        };
        let words = path
            .split(['/', '.', '{', '}'])
            .filter(|word| !word.is_empty());
        let words: Vec<_> = [method].into_iter().chain(words).collect();
        operation.operation_id = Some(words.join("_"));
        if method == "patch" {
            name_merge_patch(operation);
        }
        tell_place(operation);
        match (is_conditional, changes) {
            (true, true) => tell_condition(operation),
            (true, false) => tell_unchanged(operation),
            (false, _) => {}
        }
    }
}

/// Over TCP a token is asked for, over the socket of the machine none.
fn tell_token(document: &mut utoipa::openapi::OpenApi) {
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token of `[api] token_file`; the unix socket asks for none.",
        ))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    let none = SecurityRequirement::default();
    let token = SecurityRequirement::new::<_, [String; 0], String>("token", []);
    document.security = Some(vec![none, token]);
}

/// A change may depend on what is there.
fn tell_condition(operation: &mut Operation) {
    let still = "Only if it still has this entity tag.";
    depends(operation, "If-Match", still);
    let other = "Only if it has another entity tag; `*`: only if it is not there.";
    depends(operation, "If-None-Match", other);
}

/// An operation whose answer has an entity tag may be asked for what is not known yet.
fn tell_unchanged(operation: &mut Operation) {
    let other = "Only if it has another entity tag.";
    depends(operation, "If-None-Match", other);
    let tag = || text_header("Its entity tag.");
    let responses = &mut operation.responses.responses;
    if let Some(RefOr::T(shown)) = responses.get_mut("200") {
        shown.headers.insert("ETag".to_owned(), tag());
    }
    let unchanged = ResponseBuilder::new().description("It has this entity tag.");
    let unchanged = unchanged.header("ETag", tag()).build();
    responses.insert("304".to_owned(), unchanged.into());
}

/// What is made has a place and an entity tag.
fn tell_place(operation: &mut Operation) {
    if let Some(RefOr::T(made)) = operation.responses.responses.get_mut("201") {
        let place = text_header("Where it is.");
        made.headers.insert("Location".to_owned(), place);
        let tag = text_header("Its entity tag.");
        made.headers.insert("ETag".to_owned(), tag);
    }
}

fn text_header(what: &str) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let header = HeaderBuilder::new().schema(text);
    header.description(Some(what)).build()
}

/// The body of a PATCH has two names.
fn name_merge_patch(operation: &mut Operation) {
    let Some(body) = &mut operation.request_body else {
        return;
    };
    if let Some(json) = body.content.get("application/json").cloned() {
        body.content.insert(MERGE_PATCH.to_owned(), json);
    }
}

/// The operation takes a condition.
fn depends(operation: &mut Operation, name: &str, what: &str) {
    let tag = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r#"^(\*|(W/)?"[0-9a-f]{16}")$"#));
    let condition = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(what))
        .schema(Some(tag));
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(condition.build());
}

/// What any request may be refused with.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = || {
            let schema = RefOr::<Schema>::Ref(Ref::from_schema_name(ProblemDocument::name()));
            ContentBuilder::new().schema(Some(schema)).build()
        };
        let refusal = |what: &str| {
            let response = ResponseBuilder::new().description(what);
            response.content(MEDIA_TYPE, content()).build().into()
        };
        BTreeMap::from([
            ("4XX".to_owned(), refusal("The request cannot be done.")),
            ("5XX".to_owned(), refusal("The director cannot do it.")),
        ])
    }
}
