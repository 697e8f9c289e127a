use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::error::ControlError;
use crate::fake::Fake;
use crate::problem::{MEDIA_TYPE, ProblemKind};
use crate::sysctl::Sysctl;

const WEB: &str = "/v1/services/tcp:10.0.0.1:80";
const DNS: &str = "/v1/services/udp:%5B2001:db8::1%5D:53";

pub(super) struct Got {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Value,
}

impl Got {
    /// The pointers of a problem of kind `invalid`.
    fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().expect("errors");
        let pointer = |error: &'_ Value| error["pointer"].as_str().map(str::len);
        assert!(errors.iter().all(|error| pointer(error).is_some()));
        errors
            .iter()
            .filter_map(|e| e["pointer"].as_str())
            .collect()
    }
}

async fn send(router: &Router, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Got {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, kind)
        .body(Body::from(body))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let body = match bytes.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&bytes).unwrap(),
    };
    Got {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

/// `METHOD PATH` with a JSON body.
pub(super) async fn ask(router: &Router, line: &str, body: Value) -> Got {
    let (method, path) = line.split_once(' ').unwrap();
    let body = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    send(router, method, path, "application/json", body).await
}

/// The call succeeds with `status`; its body.
pub(super) async fn ok(router: &Router, line: &str, body: Value, status: u16) -> Value {
    let got = ask(router, line, body).await;
    assert_eq!(got.status.as_u16(), status, "{line}: {}", got.body);
    got.body
}

fn assert_problem(got: &Got, kind: ProblemKind, line: &str) {
    assert_eq!(got.status.as_u16(), kind.status(), "{line}: {}", got.body);
    assert_eq!(got.headers[header::CONTENT_TYPE], MEDIA_TYPE, "{line}");
    let expected = format!("urn:bulwark:problem:{}", kind.name());
    assert_eq!(got.body["type"], expected, "{line}");
    assert_eq!(got.body["status"], kind.status(), "{line}");
}

/// The call fails with `kind`.
async fn no(router: &Router, line: &str, body: Value, kind: ProblemKind) -> Got {
    let got = ask(router, line, body).await;
    assert_problem(&got, kind, line);
    got
}

fn web() -> Value {
    json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80, "scheduler": "wrr",
           "real": [{"address": "10.0.2.1", "port": 8080, "weight": 3}]})
}

fn dns() -> Value {
    json!({"protocol": "udp", "address": "2001:db8::1", "port": 53})
}

fn empty() -> Router {
    router(Arc::new(Fake::default()))
}

async fn with_web() -> Router {
    let router = empty();
    ok(&router, "POST /v1/services", web(), 201).await;
    router
}

#[tokio::test]
async fn a_service_is_added_shown_changed_and_removed() {
    let api = empty();
    let added = ask(&api, "POST /v1/services", web()).await;
    assert_eq!(added.status, StatusCode::CREATED);
    assert_eq!(added.headers[header::LOCATION], WEB);
    assert_eq!(added.body["id"], "tcp:10.0.0.1:80");

    let shown = ok(&api, &format!("GET {WEB}"), Value::Null, 200).await;
    assert_eq!(shown, added.body);
    let list = ok(&api, "GET /v1/services", Value::Null, 200).await;
    assert_eq!(list, json!([shown]));

    let patch = json!({"scheduler": "lc"});
    let changed = ok(&api, &format!("PATCH {WEB}"), patch, 200).await;
    assert_eq!(changed["scheduler"], "lc");
    assert_eq!(changed["reals"], shown["reals"]);

    ok(&api, &format!("DELETE {WEB}"), Value::Null, 204).await;
    let gone = format!("GET {WEB}");
    no(&api, &gone, Value::Null, ProblemKind::NoSuchService).await;
}

#[tokio::test]
async fn ids_of_ipv6_are_read_escaped_and_plain() {
    let api = empty();
    let added = ask(&api, "POST /v1/services", dns()).await;
    assert_eq!(added.headers[header::LOCATION], DNS);
    for path in [DNS, "/v1/services/udp%3A%5B2001%3Adb8%3A%3A1%5D%3A53"] {
        let shown = ok(&api, &format!("GET {path}"), Value::Null, 200).await;
        assert_eq!(shown["id"], "udp:[2001:db8::1]:53");
    }
}

#[tokio::test]
async fn put_twice_is_put_once() {
    let api = empty();
    let line = format!("PUT {WEB}");
    let created = ask(&api, &line, web()).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.headers[header::LOCATION], WEB);
    let replaced = ok(&api, &line, web(), 200).await;
    assert_eq!(replaced, created.body);
    let list = ok(&api, "GET /v1/services", Value::Null, 200).await;
    assert_eq!(list, json!([replaced]));
}

#[tokio::test]
async fn the_body_of_a_put_names_what_the_path_names() {
    let api = empty();
    let got = no(&api, &format!("PUT {DNS}"), web(), ProblemKind::Invalid).await;
    assert_eq!(got.pointers(), ["/protocol", "/address", "/port"]);
}

#[tokio::test]
async fn what_exists_is_not_added_again() {
    let api = with_web().await;
    no(&api, "POST /v1/services", web(), ProblemKind::ServiceExists).await;
    let real = json!({"address": "10.0.2.1", "port": 8080});
    let line = format!("POST {WEB}/reals");
    no(&api, &line, real, ProblemKind::RealExists).await;
}

#[tokio::test]
async fn flush_removes_all() {
    let api = with_web().await;
    ok(&api, "POST /v1/services", dns(), 201).await;
    ok(&api, "DELETE /v1/services", Value::Null, 204).await;
    assert_eq!(
        ok(&api, "GET /v1/services", Value::Null, 200).await,
        json!([])
    );
}

#[tokio::test]
async fn a_real_server_is_added_shown_changed_and_removed() {
    let api = with_web().await;
    let reals = format!("{WEB}/reals");
    let real = json!({"address": "10.0.2.2", "weight": 2});
    let added = ask(&api, &format!("POST {reals}"), real).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let path = format!("{reals}/10.0.2.2:80");
    assert_eq!(added.headers[header::LOCATION], path.as_str());
    assert_eq!(added.body["port"], 80);

    let shown = ok(&api, &format!("GET {path}"), Value::Null, 200).await;
    assert_eq!(shown, added.body);
    let list = ok(&api, &format!("GET {reals}"), Value::Null, 200).await;
    assert_eq!(list.as_array().map(Vec::len), Some(2));

    let patch = json!({"weight": 0});
    let changed = ok(&api, &format!("PATCH {path}"), patch, 200).await;
    assert_eq!(changed["weight"], 0);

    let put = json!({"address": "10.0.2.2", "port": 80, "weight": 9});
    let replaced = ok(&api, &format!("PUT {path}"), put, 200).await;
    assert_eq!(replaced["weight"], 9);

    ok(&api, &format!("DELETE {path}"), Value::Null, 204).await;
    let line = format!("GET {path}");
    no(&api, &line, Value::Null, ProblemKind::NoSuchReal).await;
    let put = json!({"address": "10.0.2.2"});
    ok(&api, &format!("PUT {path}"), put, 201).await;
}

#[tokio::test]
async fn the_body_of_a_real_put_names_what_the_path_names() {
    let api = with_web().await;
    let line = format!("PUT {WEB}/reals/10.0.2.1:8080");
    for (body, pointer) in [
        (json!({"address": "10.0.2.1", "port": 8081}), "/port"),
        (json!({"address": "10.0.2.1"}), "/port"),
        (json!({"address": "10.0.2.2", "port": 8080}), "/address"),
    ] {
        let got = no(&api, &line, body, ProblemKind::Invalid).await;
        assert_eq!(got.pointers(), [pointer]);
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let api = with_web().await;
    let patch = json!({});
    for line in ["GET", "PATCH", "DELETE"] {
        let service = format!("{line} {DNS}");
        no(&api, &service, patch.clone(), ProblemKind::NoSuchService).await;
        let orphan = format!("{line} {DNS}/reals/10.0.2.9:80");
        no(&api, &orphan, patch.clone(), ProblemKind::NoSuchService).await;
        let real = format!("{line} {WEB}/reals/10.0.2.9:80");
        no(&api, &real, patch.clone(), ProblemKind::NoSuchReal).await;
    }
    let real = json!({"address": "2001:db8::2"});
    for line in [
        format!("GET {DNS}/reals"),
        format!("POST {DNS}/reals"),
        format!("GET {DNS}/stats"),
        format!("DELETE {DNS}/stats"),
        format!("PUT {DNS}/reals/%5B2001:db8::2%5D:53"),
    ] {
        no(&api, &line, real.clone(), ProblemKind::NoSuchService).await;
    }
    for path in ["/", "/v1", "/v2/services", "/v1/services/", "/v1/health/x"] {
        let line = format!("GET {path}");
        no(&api, &line, Value::Null, ProblemKind::NoSuchResource).await;
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_read_is_a_bad_request() {
    let api = with_web().await;
    for path in [
        "/v1/services/10.0.0.1:80".to_owned(),
        "/v1/services/tcp:10.0.0.1".to_owned(),
        "/v1/services/%ff".to_owned(),
        format!("{WEB}/reals/10.0.2.1"),
        format!("{WEB}/reals/2001:db8::1:80"),
    ] {
        let line = format!("GET {path}");
        no(&api, &line, Value::Null, ProblemKind::BadRequest).await;
    }
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let api = with_web().await;
    for (line, allowed) in [
        ("POST /v1/health".to_owned(), "GET,HEAD"),
        ("PUT /v1/services".to_owned(), "GET,HEAD,POST,DELETE"),
        (format!("POST {WEB}"), "GET,HEAD,PUT,PATCH,DELETE"),
        (
            "DELETE /v1/sysctls/secure_tcp".to_owned(),
            "GET,HEAD,PUT,PATCH",
        ),
        ("DELETE /v1/timeouts".to_owned(), "GET,HEAD,PUT,PATCH"),
    ] {
        let got = no(&api, &line, json!({}), ProblemKind::MethodNotAllowed).await;
        assert_eq!(got.headers[header::ALLOW], allowed, "{line}");
    }
}

#[tokio::test]
async fn each_bad_field_has_its_pointer() {
    let api = with_web().await;
    let line = "POST /v1/services";
    for (pointer, value, expected) in [
        ("/port", json!(0), "/port"),
        ("/port", json!("80"), "/port"),
        ("/port", json!(70000), "/port"),
        ("/protocol", json!("dccp"), "/protocol"),
        ("/scheduler", json!("fifo"), "/scheduler"),
        ("/address", json!("10.0.0"), "/address"),
        ("/real/0/weight", json!(-1), "/real/0/weight"),
        ("/real/0/weight", json!(3_000_000_000_u32), "/real/0/weight"),
        (
            "/real/0",
            json!({"address": "10.0.2.1", "method": "bridge"}),
            "/real/0/method",
        ),
        (
            "/real/0",
            json!({"address": "10.0.2.1", "x/y": 1}),
            "/real/0/x~1y",
        ),
        ("/real/0", json!({}), "/real/0"),
    ] {
        let mut bad = web();
        *bad.pointer_mut(pointer).unwrap() = value;
        let got = no(&api, line, bad, ProblemKind::Invalid).await;
        assert_eq!(got.pointers(), [expected], "{}", got.body);
    }
    let line = format!("POST {WEB}/reals");
    let real = json!({"address": "ff02::1", "weight": 4_000_000_000_u32});
    let got = no(&api, &line, real, ProblemKind::Invalid).await;
    assert_eq!(got.pointers(), ["/address", "/address", "/weight"]);
    let line = format!("PATCH {WEB}/reals/10.0.2.1:8080");
    let patch = json!({"weight": 4_000_000_000_u32});
    let got = no(&api, &line, patch, ProblemKind::Invalid).await;
    assert_eq!(got.pointers(), ["/weight"]);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_malformed() {
    let api = empty();
    for body in ["", "{", "{\"scheduler\":}", "{} {}", "nul", "\u{1}"] {
        let bytes = body.as_bytes().to_vec();
        let got = send(&api, "PATCH", WEB, "application/json", bytes).await;
        assert_problem(&got, ProblemKind::MalformedJson, body);
    }
}

#[tokio::test]
async fn a_body_has_to_say_that_it_is_json() {
    let api = empty();
    let body = || web().to_string().into_bytes();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "json"] {
        let got = send(&api, "POST", "/v1/services", kind, body()).await;
        assert_problem(&got, ProblemKind::UnsupportedMediaType, kind);
    }
    let kind = "Application/JSON; charset=utf-8";
    let got = send(&api, "POST", "/v1/services", kind, body()).await;
    assert_eq!(got.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let api = empty();
    let body = vec![b' '; BODY_LIMIT + 1];
    let got = send(&api, "POST", "/v1/services", "application/json", body).await;
    assert_problem(&got, ProblemKind::TooLarge, "one byte too many");
    let mut body = web().to_string().into_bytes();
    body.resize(BODY_LIMIT, b' ');
    let got = send(&api, "POST", "/v1/services", "application/json", body).await;
    assert_eq!(got.status, StatusCode::CREATED);
}

#[tokio::test]
async fn counters_are_zeroed_for_one_and_for_all() {
    let api = with_web().await;
    ok(&api, "POST /v1/services", dns(), 201).await;
    let carried = async |path: &str| {
        let stats = ok(&api, &format!("GET {path}/stats"), Value::Null, 200).await;
        stats["connections"].as_u64()
    };
    assert_eq!(carried("/v1/services").await, Some(14));
    ok(&api, &format!("DELETE {WEB}/stats"), Value::Null, 204).await;
    assert_eq!(carried(WEB).await, Some(0));
    assert_eq!(carried(DNS).await, Some(7));
    ok(&api, "DELETE /v1/services/stats", Value::Null, 204).await;
    assert_eq!(carried("/v1/services").await, Some(0));
}

#[tokio::test]
async fn levels_are_shown_and_set() {
    let api = with_web().await;
    for path in ["/v1/defense", "/v1/services/tcp:10.0.0.1:80/defense"] {
        let shown = ok(&api, &format!("GET {path}"), Value::Null, 200).await;
        assert_eq!(
            (&shown["level"], &shown["automatic"]),
            (&json!(0), &json!(true))
        );
        let set = ok(&api, &format!("PUT {path}"), json!({"level": 2}), 200).await;
        assert_eq!(
            (&set["level"], &set["automatic"]),
            (&json!(2), &json!(false))
        );
        let line = format!("PUT {path}");
        let got = no(&api, &line, json!({"level": 3}), ProblemKind::Invalid).await;
        assert_eq!(got.body["errors"][0]["pointer"], "/level");
    }
    let line = "GET /v1/services/tcp:10.0.0.9:80/defense";
    no(&api, line, Value::Null, ProblemKind::NoSuchService).await;
    let events = ok(&api, "GET /v1/events?since=7", Value::Null, 200).await;
    assert_eq!(events, json!({"events": [], "last": 7}));
}

#[tokio::test]
async fn timeouts_are_shown_and_changed() {
    let api = empty();
    let line = "/v1/timeouts";
    let shown = ok(&api, &format!("GET {line}"), Value::Null, 200).await;
    assert_eq!(shown, json!({"tcp": 900, "tcpfin": 120, "udp": 300}));
    let patched = ok(&api, &format!("PATCH {line}"), json!({"udp": 10}), 200).await;
    assert_eq!(patched, json!({"tcp": 900, "tcpfin": 120, "udp": 10}));
    let all = json!({"tcp": 1, "tcpfin": 2, "udp": 3});
    assert_eq!(
        ok(&api, &format!("PUT {line}"), all.clone(), 200).await,
        all
    );
    assert_eq!(
        ok(&api, &format!("GET {line}"), Value::Null, 200).await,
        all
    );
    let zero = json!({"tcp": 0});
    let got = no(&api, &format!("PATCH {line}"), zero, ProblemKind::Invalid).await;
    assert_eq!(got.pointers(), ["/tcp"]);
    let partial = json!({"tcp": 1});
    no(&api, &format!("PUT {line}"), partial, ProblemKind::Invalid).await;
}

#[tokio::test]
async fn sysctls_are_shown_and_written() {
    let api = empty();
    let all = ok(&api, "GET /v1/sysctls", Value::Null, 200).await;
    assert_eq!(all.as_array().map(Vec::len), Some(Sysctl::COUNT));
    assert!(all.to_string().contains("net.ipv4.vs.conn_reuse_mode"));

    let line = "/v1/sysctls/net.ipv4.vs.sync_threshold";
    let shown = ok(&api, &format!("GET {line}"), Value::Null, 200).await;
    assert_eq!(
        (&shown["value"], &shown["default"]),
        (&json!([3, 50]), &json!([3, 50]))
    );
    assert_eq!(shown["effective"], false);
    assert!(shown["reason"].is_string());
    for (method, value, then) in [
        ("PUT", json!([4, 60]), json!([4, 60])),
        ("PATCH", json!(5), json!([5, 60])),
        ("PUT", json!("6 70"), json!([6, 70])),
    ] {
        let line = format!("{method} {line}");
        let written = ok(&api, &line, json!({ "value": value }), 200).await;
        assert_eq!(written["value"], then);
    }
    let bare = ok(&api, "GET /v1/sysctls/sync_threshold", Value::Null, 200).await;
    assert_eq!(bare["value"], json!([6, 70]));

    for value in [json!([70, 6]), json!("x")] {
        let got = no(
            &api,
            &format!("PUT {line}"),
            json!({ "value": value }),
            ProblemKind::Invalid,
        )
        .await;
        assert_eq!(got.pointers(), ["/value"]);
    }
    no(
        &api,
        &format!("PUT {line}"),
        json!({}),
        ProblemKind::Invalid,
    )
    .await;
    for name in ["net.ipv4.ip_forward", "sync"] {
        let line = format!("GET /v1/sysctls/{name}");
        no(&api, &line, Value::Null, ProblemKind::NoSuchSysctl).await;
    }
}

#[tokio::test]
async fn connections_come_by_page_and_filter() {
    let connection = |client: &str, real: &str| crate::model::Connection {
        service: "tcp:10.0.0.1:80".parse().unwrap(),
        protocol: Some(crate::model::Protocol::Tcp),
        template: false,
        client: client.parse().unwrap(),
        vip: "10.0.0.1:80".parse().unwrap(),
        real: real.parse().unwrap(),
        local: None,
        state: "ESTABLISHED".to_owned(),
        expires: 900,
    };
    let api = router(Arc::new(Fake {
        connections: vec![
            connection("10.9.0.1:1000", "10.0.2.1:80"),
            connection("10.9.0.1:1001", "10.0.2.2:80"),
            connection("10.9.0.2:1000", "10.0.2.1:80"),
        ],
        ..Fake::default()
    }));
    let page = async |query: &str| {
        let line = format!("GET /v1/connections{query}");
        let page = ok(&api, &line, Value::Null, 200).await;
        let count = page["connections"].as_array().map(Vec::len);
        (count, page["next"].as_str().map(str::to_owned))
    };
    assert_eq!(page("").await, (Some(3), None));
    let (count, next) = page("?limit=2").await;
    assert_eq!(count, Some(2));
    let rest = format!("?limit=2&cursor={}", next.unwrap());
    assert_eq!(page(&rest).await, (Some(1), None));
    assert_eq!(page("?client=10.9.0.1").await.0, Some(2));
    assert_eq!(page("?real=10.0.2.1:80&client=10.9.0.1").await.0, Some(1));
    assert_eq!(page("?service=tcp:10.0.0.1:80").await.0, Some(3));
    assert_eq!(page("?service=udp:10.0.0.1:80").await.0, Some(0));
    for query in [
        "cleint=10.9.0.1",
        "client=x",
        "limit=-1",
        "cursor=zz",
        "service=80",
    ] {
        let line = format!("GET /v1/connections?{query}");
        no(&api, &line, Value::Null, ProblemKind::BadRequest).await;
    }
    for query in ["limit=0", "limit=10001"] {
        let line = format!("GET /v1/connections?{query}");
        no(&api, &line, Value::Null, ProblemKind::Invalid).await;
    }
}

#[tokio::test]
async fn the_director_tells_of_itself() {
    let api = empty();
    let health = ok(&api, "GET /v1/health", Value::Null, 200).await;
    assert_eq!(health, json!({"status": "ok"}));
    let status = ok(&api, "GET /v1/status", Value::Null, 200).await;
    assert_eq!(status["version"], "1.2.3");
    let stats = ok(&api, "GET /v1/stats", Value::Null, 200).await;
    assert_eq!(stats["total"]["received"], 0);
}

#[tokio::test]
async fn faults_of_the_director_have_their_status_on_every_route() {
    for (fault, kind) in [
        (ControlError::Busy("starting".to_owned()), ProblemKind::Busy),
        (ControlError::Limit("full".to_owned()), ProblemKind::Limit),
        (
            ControlError::Internal("secret".to_owned()),
            ProblemKind::Internal,
        ),
    ] {
        let api = router(Arc::new(Fake {
            fault: Some(fault),
            ..Fake::default()
        }));
        for path in [
            "health",
            "status",
            "stats",
            "services",
            "timeouts",
            "sysctls",
            "connections",
        ] {
            let line = format!("GET /v1/{path}");
            let got = no(&api, &line, Value::Null, kind).await;
            assert!(!got.body.to_string().contains("secret"));
        }
        no(&api, "POST /v1/services", web(), kind).await;
        no(&api, "DELETE /v1/services", Value::Null, kind).await;
        no(&api, "DELETE /v1/services/stats", Value::Null, kind).await;
        no(&api, "PATCH /v1/timeouts", json!({}), kind).await;
    }
}

#[tokio::test]
async fn a_panic_of_the_director_is_an_internal_error() {
    let api = router(Arc::new(Fake {
        panics: true,
        ..Fake::default()
    }));
    no(&api, "GET /v1/status", Value::Null, ProblemKind::Internal).await;
    ok(&api, "GET /v1/health", Value::Null, 200).await;
}

#[tokio::test]
async fn a_configuration_is_put_as_a_whole() {
    let api = with_web().await;
    let config = ok(&api, "GET /v1/config", Value::Null, 200).await;
    assert_eq!(config["timeouts"]["tcp"], 900);
    assert_eq!(config["service"][0]["real"][0]["weight"], 3);
    let mut wanted = config.clone();
    wanted["service"] = json!([dns()]);
    wanted["timeouts"]["udp"] = json!(7);
    ok(&api, "PUT /v1/config?dry_run=true", wanted.clone(), 204).await;
    assert_eq!(ok(&api, "GET /v1/config", Value::Null, 200).await, config);
    ok(&api, "PUT /v1/config", wanted, 204).await;
    ok(&api, &format!("GET {DNS}"), Value::Null, 200).await;
    let config = ok(&api, "GET /v1/config", Value::Null, 200).await;
    assert_eq!(config["timeouts"]["udp"], 7);
    assert_eq!(config["service"].as_array().map(Vec::len), Some(1));

    let bad = json!({"service": [web(), web()], "timeouts": {"tcp": 0, "tcpfin": 1, "udp": 1}});
    let got = no(&api, "PUT /v1/config", bad, ProblemKind::Invalid).await;
    assert_eq!(got.pointers(), ["/service/1", "/timeouts/tcp"]);
}

#[tokio::test]
async fn a_configuration_may_be_larger_than_a_service() {
    let api = empty();
    let real = |n: usize| json!({"address": format!("10.1.{}.{}", n / 250, n % 250 + 1)});
    let reals: Vec<_> = (0..60_000).map(real).collect();
    let large = json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80, "real": reals});
    no(
        &api,
        "POST /v1/services",
        large.clone(),
        ProblemKind::TooLarge,
    )
    .await;
    ok(&api, "PUT /v1/config", json!({"service": [large]}), 204).await;
}

#[tokio::test]
async fn synchronisation_daemons_are_started_shown_and_stopped() {
    let api = empty();
    let line = "POST /v1/sync/daemons";
    let daemon = json!({"role": "backup", "interface": "eth0", "syncid": 7});
    let started = ask(&api, line, daemon.clone()).await;
    assert_eq!(started.status, StatusCode::CREATED);
    assert_eq!(started.headers[header::LOCATION], "/v1/sync/daemons/backup");
    assert_eq!(started.body["group"], "224.0.0.81");
    no(&api, line, daemon, ProblemKind::DaemonExists).await;
    let all = ok(&api, "GET /v1/sync/daemons", Value::Null, 200).await;
    assert_eq!(all[0]["role"], "backup");
    let bad =
        json!({"role": "master", "interface": "eth0", "group": "10.0.0.1", "port": 0, "ttl": 0});
    let got = no(&api, line, bad, ProblemKind::Invalid).await;
    assert_eq!(got.pointers(), ["/group", "/port", "/ttl"]);
    let stop = "DELETE /v1/sync/daemons/backup";
    ok(&api, stop, Value::Null, 204).await;
    no(&api, stop, Value::Null, ProblemKind::NoSuchDaemon).await;
    let nobody = "DELETE /v1/sync/daemons/other";
    no(&api, nobody, Value::Null, ProblemKind::BadRequest).await;
}
