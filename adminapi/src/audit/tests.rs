use axum::body::Body;
use axum::routing::post;
use serde_json::json;

use super::*;
use crate::fake::Fake;

const WEB: &str = "/v1/services/tcp:10.0.0.1:80";

/// Asks as a known process.
async fn ask(api: &Router, line: &str, body: Value) -> StatusCode {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .extension(Caller::Process {
            uid: 7,
            pid: Some(8),
        })
        .body(Body::from(body.to_string()))
        .unwrap();
    api.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn every_change_is_told_with_what_was_before_and_after() {
    let fake = Arc::new(Fake::default());
    let api = audited(fake.clone());
    let web = json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80, "scheduler": "wrr",
                     "real": [{"address": "10.0.2.1", "port": 8080, "weight": 3}]});
    let real = format!("{WEB}/reals/10.0.2.1:8080");
    let weight = format!("PATCH {real}");
    for (line, body, want) in [
        ("POST /v1/services", web.clone(), None),
        (
            &weight,
            json!({"weight": 4}),
            Some(json!([{"weight": 3}, {"weight": 4}])),
        ),
        (
            "POST /v1/changes",
            json!([{"change_real": {"service": "tcp:10.0.0.1:80", "real": "10.0.2.1:8080",
                                    "patch": {"weight": 5}}}]),
            Some(json!([{real.clone(): {"weight": 4}}, {real.clone(): {"weight": 5}}])),
        ),
        (
            &weight,
            json!({"weight": 4}),
            Some(json!([{"weight": 5}, {"weight": 4}])),
        ),
        // Nothing changes.
        (&weight, json!({"weight": 4}), None),
        (
            "PATCH /v1/timeouts",
            json!({"udp": 7}),
            Some(json!([{"udp": 300}, {"udp": 7}])),
        ),
        (
            "POST /v1/marks",
            json!({"mark": 7}),
            Some(json!([[], [{"mark": 7}]])),
        ),
        (
            "DELETE /v1/marks/0",
            json!(null),
            Some(json!([[{"mark": 7}], []])),
        ),
        (
            "POST /v1/filter/networks",
            json!({"network": "203.0.113.0/24", "list": "deny", "why": "a"}),
            Some(json!([null, {"network": "203.0.113.0/24", "list": "deny", "why": "a"}])),
        ),
        (
            "POST /v1/filter/networks",
            json!({"network": "203.0.113.0/24", "list": "deny", "why": "b"}),
            Some(json!([{"why": "a"}, {"why": "b"}])),
        ),
        (
            "POST /v1/reload",
            json!(null),
            Some(json!([{"timeouts": {"udp": 7}}, {"timeouts": {"udp": 300}}])),
        ),
        ("PATCH /v1/timeouts", json!({"udp": 0}), None),
        ("PUT /v1/config?dry_run=true", json!({}), None),
        (
            &format!("DELETE {WEB}/stats"),
            json!(null),
            Some(json!([null, null])),
        ),
        (
            "DELETE /v1/services/stats",
            json!(null),
            Some(json!([null, null])),
        ),
        (
            "PUT /v1/filter",
            json!({"connections": [{"name": "web", "most": 5}]}),
            Some(
                json!([{"rules": {}}, {"rules": {"connections": [{"most": 5, "name": "web", "prefix_v4": 32, "prefix_v6": 64}]}}]),
            ),
        ),
        ("GET /v1/services", json!(null), None),
        (&format!("DELETE {WEB}"), json!(null), None),
    ] {
        let told = fake.state.lock().unwrap().changes.len();
        ask(&api, line, body).await;
        let changes = fake.state.lock().unwrap().changes.clone();
        match (want, &changes[told..]) {
            (Some(want), [change]) => {
                assert_eq!(json!([change.before, change.after]), want, "{line}");
                assert_eq!(change.what, line);
                assert_eq!(change.who, "uid 7, pid 8");
            }
            (None, []) => {}
            (None, [change]) if line == "POST /v1/services" => {
                assert_eq!(change.before, Value::Null);
                assert_eq!(change.after["id"], "tcp:10.0.0.1:80");
                assert_eq!(change.after["reals"][0]["weight"], 3);
            }
            (None, [change]) if line.starts_with("DELETE") => {
                assert_eq!(change.before["id"], "tcp:10.0.0.1:80");
                assert_eq!(change.after, Value::Null);
            }
            (want, got) => panic!("{line}: {want:?} {got:?}"),
        }
    }
}

/// A parameter that means something elsewhere is no way past the audit.
#[tokio::test]
async fn a_trial_of_what_cannot_be_tried_changes_nothing() {
    let fake = Arc::new(Fake::default());
    let api = audited(fake.clone());
    let line = "PATCH /v1/timeouts?dry_run=true";
    assert_eq!(ask(&api, line, json!({"udp": 9})).await, 400);
    assert_ne!(fake.timeouts().unwrap().udp, 9);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_keeps_nobody_waiting() {
    let api = audited(Arc::new(Fake::default()));
    let silent =
        Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = Request::put("/v1/timeouts").body(silent).unwrap();
    let slow = tokio::spawn(api.clone().oneshot(request));
    tokio::task::yield_now().await;
    assert_eq!(
        ask(&api, "PATCH /v1/timeouts", json!({"udp": 7})).await,
        200
    );
    assert!(!slow.is_finished());
    let answer = slow.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_body_beyond_all_limits_is_refused() {
    let api = audited(Arc::new(Fake::default()));
    let body = Body::from(vec![b' '; CONFIG_LIMIT + 1]);
    let request = Request::put("/v1/config").body(body).unwrap();
    let answer = api.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

/// Whether `work` ends while somebody else has his turn.
async fn ends<T>(work: &mut tokio::task::JoinHandle<T>) -> bool {
    let moment = Duration::from_millis(50);
    tokio::time::timeout(moment, work).await.is_ok()
}

#[tokio::test]
async fn a_reload_waits_for_its_turn_and_is_told_of() {
    let fake = Arc::new(Fake::default());
    let api = audited(fake.clone());
    assert_eq!(
        ask(&api, "PATCH /v1/timeouts", json!({"udp": 7})).await,
        200
    );
    let turn = fake.turn().lock().await;
    let reloading = fake.clone();
    let mut reload = tokio::task::spawn_blocking(move || reloading.reload_by("SIGHUP"));
    assert!(!ends(&mut reload).await);
    assert_eq!(fake.timeouts().unwrap().udp, 7);
    drop(turn);
    reload.await.unwrap().unwrap();
    let changes = fake.state.lock().unwrap().changes.clone();
    let told = changes.last().map(|change| (&*change.who, &*change.what));
    assert_eq!(told, Some(("SIGHUP", "reload")));
}

/// What a condition is judged by is there when the change is made, whoever else changes something.
#[tokio::test]
async fn a_condition_is_judged_when_its_turn_has_come() {
    let fake = Arc::new(Fake::default());
    let api = audited(fake.clone());
    let patch = |udp| json!({ "udp": udp });
    assert_eq!(ask(&api, "PATCH /v1/timeouts", patch(7)).await, 200);
    let shown = Request::get("/v1/timeouts").body(Body::empty()).unwrap();
    let shown = api.clone().oneshot(shown).await.unwrap();
    let change = Request::patch("/v1/timeouts")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::IF_MATCH, &shown.headers()[header::ETAG])
        .body(Body::from(patch(8).to_string()))
        .unwrap();

    let turn = fake.turn().lock().await;
    let mut change = tokio::spawn(api.oneshot(change));
    assert!(!ends(&mut change).await);
    fake.reload().unwrap();
    drop(turn);
    let answer = change.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::PRECONDITION_FAILED);
    assert_ne!(fake.timeouts().unwrap().udp, 8);
}

#[tokio::test]
async fn a_change_is_kept_and_a_reload_is_not() {
    let fake = Arc::new(Fake::default());
    let api = audited(fake.clone());
    for (line, body, kept) in [
        ("PATCH /v1/timeouts", json!({"udp": 7}), 1),
        ("POST /v1/reload", json!(null), 1),
    ] {
        assert!(ask(&api, line, body).await.is_success());
        assert_eq!(fake.state.lock().unwrap().kept, kept, "{line}");
    }
}

/// A client that adds a service.
fn adding(api: &Router) -> tokio::task::JoinHandle<StatusCode> {
    let api = api.clone();
    let web = json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80});
    tokio::spawn(async move { ask(&api, "POST /v1/services", web).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_of_when_its_client_has_hung_up() {
    let fake = Arc::new(Fake::default());
    let api = audited(fake.clone());
    let client = {
        let _busy = fake.state.lock().unwrap();
        let client = adding(&api);
        // To look whether the turn is taken would be to take it.
        while Arc::strong_count(&fake.turn) == 1 {
            std::thread::yield_now();
        }
        client.abort();
        while !client.is_finished() {
            std::thread::yield_now();
        }
        assert!(fake.turn.try_lock().is_err(), "it is still being made");
        client
    };
    assert!(client.await.unwrap_err().is_cancelled());
    settled(fake.as_ref()).await;
    let state = fake.state.lock().unwrap();
    let told: Vec<_> = state.changes.iter().map(|change| &*change.what).collect();
    assert_eq!(
        (state.services.len(), &*told),
        (1, &["POST /v1/services"][..])
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_before_its_turn_changes_nothing() {
    let fake = Arc::new(Fake::default());
    let api = audited(fake.clone());
    let turn = fake.turn().lock().await;
    let mut client = adding(&api);
    assert!(!ends(&mut client).await);
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    drop(turn);
    settled(fake.as_ref()).await;
    assert!(fake.state.lock().unwrap().services.is_empty());
}

async fn faulty() -> StatusCode {
    panic!("the test was told to")
}

#[tokio::test]
async fn a_fault_of_the_audit_is_answered_and_ends_the_turn() {
    let fake = Arc::new(Fake::default());
    let audit = Audit {
        control: fake.clone(),
        api: Router::new(),
    };
    let api = Router::new().route("/v1/reload", post(faulty));
    let api = api.layer(from_fn_with_state(audit, note));
    assert_eq!(ask(&api, "POST /v1/reload", json!(null)).await, 500);
    settled(fake.as_ref()).await;
}
