//! The configuration as a whole.

use super::*;

#[tokio::test]
async fn a_configuration_is_put_as_a_whole() {
    let api = with_web().await;
    let config = ok(&api, "GET /v1/config", Value::Null, 200).await;
    assert_eq!(config["timeouts"]["tcp"], 900);
    assert_eq!(config["service"][0]["real"][0]["weight"], 3);
    let mut wanted = config.clone();
    wanted["service"] = json!([dns()]);
    wanted["timeouts"]["udp"] = json!(7);
    let would = ok(&api, "PUT /v1/config?dry_run=true", wanted.clone(), 200).await;
    let resources = would["changes"].as_array().unwrap().iter();
    let resources: Vec<_> = resources.map(|change| &change["resource"]).collect();
    assert_eq!(resources, ["/v1/timeouts", WEB, DNS]);
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
async fn a_reload_says_what_of_the_file_does_not_hold() {
    let api = empty();
    ok(&api, "POST /v1/reload", Value::Null, 204).await;
    ok(&api, "PATCH /v1/timeouts", json!({"udp": 7}), 200).await;
    let reloaded = ok(&api, "POST /v1/reload", Value::Null, 200).await;
    assert_eq!(reloaded, json!({"notes": ["what was kept stays"]}));
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
