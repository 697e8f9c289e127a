//! The director as a whole.

use super::*;

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
    assert_eq!(events, json!({"events": [], "last": 0}));
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
async fn files_of_the_filter_stay_unless_they_are_named() {
    let api = empty();
    let set = json!({"country_file": "/c", "asn_file": "/a"});
    for (line, body, country, asn) in [
        ("PUT", set, json!("/c"), json!("/a")),
        ("PUT", json!({"strict": ["a"]}), json!("/c"), json!("/a")),
        ("PATCH", json!({"strict": ["b"]}), json!("/c"), json!("/a")),
        (
            "PATCH",
            json!({"country_file": null}),
            json!(""),
            json!("/a"),
        ),
        ("PUT", json!({"asn_file": ""}), json!(""), json!("")),
        (
            "PATCH",
            json!({"country_file": "/d"}),
            json!("/d"),
            json!(""),
        ),
    ] {
        let shown = ok(&api, &format!("{line} /v1/filter"), body, 200).await;
        let rules = &shown["rules"];
        assert_eq!(
            (&rules["country_file"], &rules["asn_file"]),
            (&country, &asn)
        );
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
        forwarded: None,
        engine: None,
        engine_data: None,
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
    assert_eq!(page("?template=false").await.0, Some(3));
    let line = "GET /v1/templates";
    let templates = ok(&api, line, Value::Null, 200).await;
    assert_eq!(templates, json!({"connections": []}));
    let close = |id: &str| format!("DELETE /v1/connections/{id}");
    let one = close("tcp:10.9.0.1:1000-10.0.0.1:80");
    ok(&api, &one, Value::Null, 204).await;
    let none = close("tcp:10.9.0.9:1000-10.0.0.1:80");
    no(&api, &none, Value::Null, ProblemKind::NoSuchConnection).await;
    no(
        &api,
        &close("10.9.0.9:1000"),
        Value::Null,
        ProblemKind::BadRequest,
    )
    .await;
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
    let drops = ok(&api, "GET /v1/drops", Value::Null, 200).await;
    assert_eq!(drops, json!({"total": 0, "drops": {}, "workers": []}));
    let limits = ok(&api, "GET /v1/limits", Value::Null, 200).await;
    assert_eq!(limits["connections"], json!({"used": 0, "limit": 0}));
    let schedulers = ok(&api, "GET /v1/schedulers", Value::Null, 200).await;
    assert_eq!(schedulers[12]["name"], "mh");
    assert_eq!(schedulers[12]["flags"], json!(["fallback", "port"]));
}
