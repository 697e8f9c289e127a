//! Virtual services.

use super::*;

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
