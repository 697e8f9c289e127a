//! What cannot be asked, and what goes wrong.

use super::*;

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
    for line in [
        "GET /v1/sysctls/%ff",
        "PUT /v1/sysctls/%ff",
        "PATCH /v1/sysctls/%ff",
        "DELETE /v1/connections/%ff",
        "DELETE /v1/templates/%ff",
        "DELETE /v1/marks/%ff",
        "DELETE /v1/marks/x",
        "DELETE /v1/sync/daemons/%ff",
        "DELETE /v1/sync/daemons/x",
        "GET /v1/filter/networks/%ff",
        "PUT /v1/filter/networks/%ff",
        "DELETE /v1/filter/networks/%ff",
        "GET /v1/filter/networks/x",
        "PUT /v1/filter/networks/x",
        "DELETE /v1/filter/networks/x",
    ] {
        let wish = json!({"list": "deny"});
        no(&api, line, wish, ProblemKind::BadRequest).await;
    }
}

#[tokio::test]
async fn parameters_that_nothing_takes_are_refused() {
    let api = with_web().await;
    let patch = json!({"scheduler": "lc"});
    for line in [
        format!("PATCH {WEB}?dry_run=true"),
        format!("DELETE {WEB}?dry_run=true"),
        "PUT /v1/config?dryrun=true".to_owned(),
        "GET /v1/services?limit=1".to_owned(),
        "GET /v1/connections?limit=1&colour=red".to_owned(),
        "GET /openapi.json?x".to_owned(),
    ] {
        no(&api, &line, patch.clone(), ProblemKind::BadRequest).await;
    }
    let web = ok(&api, &format!("GET {WEB}?"), Value::Null, 200).await;
    assert_eq!(web["scheduler"], "wrr");
}

#[tokio::test]
async fn only_tcp_is_asked_about_by_its_flags() {
    let api = with_web().await;
    let line = |protocol, flags| {
        let ends = "from=203.0.113.9:1024&to=10.0.0.1:80";
        format!("GET /v1/explain?protocol={protocol}&{ends}&flags={flags}")
    };
    for flags in ["syn", "syn,ack", "rst", "fin%2Cack", "none"] {
        ok(&api, &line("tcp", flags), Value::Null, 200).await;
    }
    for flags in ["", "SYN", "syn,", "x"] {
        no(
            &api,
            &line("tcp", flags),
            Value::Null,
            ProblemKind::BadRequest,
        )
        .await;
    }
    let kind = ProblemKind::Invalid;
    let got = no(&api, &line("udp", "ack"), Value::Null, kind).await;
    assert_eq!(got.pointers(), ["/flags"]);
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
