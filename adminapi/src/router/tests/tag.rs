//! Entity tags, and changes that depend on them.

use super::*;

/// `METHOD PATH` under a condition.
async fn on(router: &Router, line: &str, (name, value): (&str, &str), body: Value) -> Got {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(name, value);
    let request = request.body(Body::from(body.to_string())).unwrap();
    received(router.clone().oneshot(request).await.unwrap()).await
}

async fn tag_of(router: &Router, path: &str) -> String {
    let got = ask(router, &format!("GET {path}"), Value::Null).await;
    got.headers[header::ETAG].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_change_is_done_once_for_each_tag() {
    let api = with_web().await;
    let real = format!("{WEB}/reals/10.0.2.1:8080");
    let ban = json!({"network": "203.0.113.0/24", "list": "deny"});
    ok(&api, "POST /v1/filter/networks", ban, 201).await;
    for (path, line, body) in [
        (WEB, format!("PATCH {WEB}"), json!({"scheduler": "lc"})),
        (&real, format!("PATCH {real}"), json!({"weight": 9})),
        (
            "/v1/timeouts",
            "PATCH /v1/timeouts".to_owned(),
            json!({"udp": 9}),
        ),
        ("/v1/marks", "POST /v1/marks".to_owned(), json!({"mark": 7})),
        (
            "/v1/sysctls/secure_tcp",
            "PUT /v1/sysctls/secure_tcp".to_owned(),
            json!({"value": 3}),
        ),
        ("/v1/services", "POST /v1/services".to_owned(), dns()),
        (
            "/v1/defense",
            "PUT /v1/defense".to_owned(),
            json!({"level": 2}),
        ),
        (
            "/v1/filter/networks/203.0.113.0%2F24",
            "PUT /v1/filter/networks/203.0.113.0%2F24".to_owned(),
            json!({"list": "black-hole"}),
        ),
        (
            "/v1/filter",
            "PUT /v1/filter".to_owned(),
            json!({"limits": [{"name": "syns", "of": "syns", "per": "source", "rate": 100}]}),
        ),
        (
            "/v1/filter",
            "PATCH /v1/filter".to_owned(),
            json!({"bogons": ["cl0"]}),
        ),
        (&real, format!("DELETE {real}"), json!({})),
        (
            "/v1/config",
            "PUT /v1/config".to_owned(),
            json!({"service": []}),
        ),
    ] {
        let tag = tag_of(&api, path).await;
        let first = on(&api, &line, ("if-match", &tag), body.clone()).await;
        assert!(first.status.is_success(), "{line}: {}", first.body);
        let second = on(&api, &line, ("if-match", &tag), body).await;
        if line.starts_with("DELETE") {
            assert_problem(&second, ProblemKind::NoSuchReal, &line);
        } else {
            assert_problem(&second, ProblemKind::PreconditionFailed, &line);
        }
    }
}

#[tokio::test]
async fn what_was_added_is_removed_by_the_tag_of_its_answer() {
    let api = with_web().await;
    for (path, body) in [
        ("/v1/services", dns()),
        (&format!("{WEB}/reals"), json!({"address": "10.0.2.9"})),
        ("/v1/marks", json!({"mark": 7})),
        (
            "/v1/sync/daemons",
            json!({"role": "backup", "interface": "cl0"}),
        ),
        (
            "/v1/filter/networks",
            json!({"network": "203.0.113.0/24", "list": "deny"}),
        ),
    ] {
        let added = ask(&api, &format!("POST {path}"), body).await;
        assert_eq!(added.status, StatusCode::CREATED, "{path}: {}", added.body);
        let header = |name| added.headers[name].to_str().unwrap();
        let line = format!("DELETE {}", header(header::LOCATION));
        let tag = ("if-match", header(header::ETAG));
        let removed = on(&api, &line, tag, Value::Null).await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT, "{line}");
    }
}

#[tokio::test]
async fn a_tag_stays_while_only_counters_change() {
    let api = with_web().await;
    let before = tag_of(&api, WEB).await;
    ok(&api, &format!("DELETE {WEB}/stats"), Value::Null, 204).await;
    assert_eq!(tag_of(&api, WEB).await, before);
    let patched = ask(&api, &format!("PATCH {WEB}"), json!({"scheduler": "lc"})).await;
    assert_ne!(patched.headers[header::ETAG], before.as_str());
    assert_eq!(
        patched.headers[header::ETAG],
        tag_of(&api, WEB).await.as_str()
    );
}

#[tokio::test]
async fn conditions_of_what_is_and_is_not_there() {
    let api = with_web().await;
    let put = format!("PUT {WEB}");
    let other = format!("PUT {DNS}");
    let failed = ProblemKind::PreconditionFailed;
    for (line, condition, body, refused) in [
        (&put, ("if-none-match", "*"), web(), true),
        (&put, ("if-match", "*"), web(), false),
        (&put, ("if-match", "\"0\", W/\"1\""), web(), true),
        (&put, ("if-none-match", "\"0\", W/\"1\""), web(), false),
        (&other, ("if-match", "*"), dns(), true),
        (&other, ("if-none-match", "*"), dns(), false),
    ] {
        let got = on(&api, line, condition, body).await;
        match refused {
            true => assert_problem(&got, failed, line),
            false => assert!(
                got.status.is_success(),
                "{line} {condition:?}: {}",
                got.body
            ),
        }
    }
    for value in ["x", "\"", "\"a\" b", ""] {
        let got = on(&api, &put, ("if-match", value), web()).await;
        assert_problem(&got, ProblemKind::BadRequest, value);
    }
}

#[tokio::test]
async fn a_weak_tag_is_the_same_where_nothing_is_to_be_changed() {
    let api = with_web().await;
    let put = format!("PUT {WEB}");
    let weak = format!("\"a,b\", W/{}", tag_of(&api, WEB).await);
    for name in ["if-match", "if-none-match"] {
        let got = on(&api, &put, (name, &weak), web()).await;
        assert_problem(&got, ProblemKind::PreconditionFailed, name);
    }
}

#[tokio::test]
async fn who_knows_the_tag_is_told_that_nothing_has_changed() {
    let api = with_web().await;
    let get = format!("GET {WEB}");
    let tag = tag_of(&api, WEB).await;
    let weak = format!("W/{tag}");
    for (condition, status) in [
        (("if-none-match", tag.as_str()), 304),
        (("if-none-match", &weak), 304),
        (("if-none-match", "*"), 304),
        (("if-none-match", "\"0\""), 200),
        (("if-match", &tag), 200),
        (("if-match", &weak), 412),
        (("if-none-match", "x"), 400),
    ] {
        let got = on(&api, &get, condition, Value::Null).await;
        assert_eq!(got.status, status, "{condition:?}");
        if status == 304 {
            assert_eq!(got.headers[header::ETAG], tag.as_str());
            assert_eq!(got.body, Value::Null);
        }
    }
    ok(
        &api,
        &format!("PATCH {WEB}"),
        json!({"scheduler": "lc"}),
        200,
    )
    .await;
    let got = on(&api, &get, ("if-none-match", &tag), Value::Null).await;
    assert_eq!(got.status, 200);
    // What has no tag cannot be known.
    let got = on(&api, "GET /v1/status", ("if-none-match", "*"), Value::Null).await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn a_trial_is_judged_as_the_change_would_be() {
    let api = with_web().await;
    let trial = "PUT /v1/config?dry_run=true";
    let body = json!({"service": []});
    let tag = tag_of(&api, "/v1/config").await;
    let got = on(&api, trial, ("if-match", &tag), body.clone()).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    let got = on(&api, trial, ("if-match", "\"0\""), body).await;
    assert_problem(&got, ProblemKind::PreconditionFailed, trial);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_saw_the_same_one_changes_it() {
    let api = with_web().await;
    for weight in 0..20 {
        let line = format!("PATCH {WEB}/reals/10.0.2.1:8080");
        let tag = tag_of(&api, line.split_once(' ').unwrap().1).await;
        let race = (0..8).map(|n| {
            let (api, line, tag) = (api.clone(), line.clone(), tag.clone());
            tokio::spawn(async move {
                let body = json!({"weight": 100 + weight * 8 + n});
                on(&api, &line, ("if-match", &tag), body).await.status
            })
        });
        let race: Vec<_> = race.collect();
        let mut won = 0;
        for racer in race {
            let status = racer.await.unwrap();
            won += u32::from(status.is_success());
            assert!(status.is_success() || status == StatusCode::PRECONDITION_FAILED);
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn no_tag_is_that_of_what_has_none() {
    let api = with_web().await;
    let (stale, any) = (("If-Match", "\"x\""), ("If-Match", "*"));
    for line in [
        "DELETE /v1/templates",
        "DELETE /v1/templates/tcp:10.0.0.1:80-192.0.2.7",
        "DELETE /v1/connections/tcp:192.0.2.7:1000-10.0.0.1:80",
        "DELETE /v1/services/stats",
        &format!("DELETE {WEB}/stats"),
    ] {
        let judged = on(&api, line, stale, Value::Null).await.status;
        assert_eq!(judged, StatusCode::PRECONDITION_FAILED, "{line}");
        let judged = on(&api, line, any, Value::Null).await.status;
        assert_ne!(judged, StatusCode::PRECONDITION_FAILED, "{line}");
    }
}

#[tokio::test]
async fn a_network_is_listed_by_post_on_its_own_condition() {
    let api = with_web().await;
    let line = "POST /v1/filter/networks";
    let listing = |why| json!({"network": "203.0.113.0/24", "list": "deny", "why": why});
    let (there, missing) = (("If-Match", "*"), ("If-None-Match", "*"));
    for (condition, why, status) in [
        (there, "a", 412),
        (missing, "b", 201),
        (missing, "c", 412),
        (there, "d", 200),
        (("If-Match", "\"x\""), "e", 412),
    ] {
        let got = on(&api, line, condition, listing(why)).await;
        assert_eq!(got.status, status, "{condition:?} {why}");
    }
}
