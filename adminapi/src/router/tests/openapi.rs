//! The description of the API against what the router does.

use super::*;

async fn document() -> Value {
    ok(&empty(), "GET /openapi.json", Value::Null, 200).await
}

#[tokio::test]
async fn it_is_openapi_3_1_and_every_reference_leads_somewhere() {
    let document = document().await;
    assert!(!document.to_string().contains("[`"));
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn every_operation_says_what_it_is_and_what_it_answers() {
    let document = document().await;
    let mut names = std::collections::HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let line = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{line}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{line}"
            );
            assert!(responses.contains_key("4XX"), "{line}");
            assert!(names.insert(operation["operationId"].clone()), "{line}");
        }
    }
    assert!(names.len() > 30);
}
