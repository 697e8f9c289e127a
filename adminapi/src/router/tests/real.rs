//! Real servers.

use super::*;

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
