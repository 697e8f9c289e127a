//! What IPVS has beside services.

use super::*;

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
