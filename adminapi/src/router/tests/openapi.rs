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

/// What stands for the parameters of a path.
const PARAMETERS: [(&str, &str); 8] = [
    ("{service}", "tcp:192.0.2.10:80"),
    ("{real}", "10.0.2.1:8080"),
    ("{place}", "0"),
    ("{network}", "203.0.113.0%2F24"),
    ("{role}", "master"),
    ("{sysctl}", "conn_reuse_mode"),
    ("{connection}", "tcp:203.0.113.7:40112-192.0.2.10:80"),
    ("{", "no other parameter"),
];

/// The schema of a body, with what it refers to.
fn schema<'a>(document: &'a Value, body: &'a Value) -> Option<&'a Value> {
    let schema = &body["content"]["application/json"]["schema"];
    let schema = schema.get("items").unwrap_or(schema);
    let reference = schema["$ref"].as_str()?;
    document.pointer(reference.trim_start_matches('#'))
}

#[tokio::test]
async fn every_body_has_an_example_and_those_of_requests_work() {
    let document = document().await;
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let line = format!("{} {path}", method.to_uppercase());
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let schema = schema(&document, answer).filter(|_| status.starts_with('2'));
                let shown = schema.is_none_or(|schema| schema.get("example").is_some());
                assert!(shown, "{line}: {status} has no example");
            }
            if let Some(schema) = schema(&document, &operation["requestBody"]) {
                let mut example = schema["example"].clone();
                assert!(!example.is_null(), "{line} has no example");
                if operation["requestBody"]["content"]["application/json"]["schema"]
                    .get("items")
                    .is_some()
                {
                    example = json!([example]);
                }
                try_example(&line, example).await;
                tried += 1;
            }
        }
    }
    assert!(tried > 15, "{tried}");
}

/// Sends the example to a director that has what its path names.
async fn try_example(line: &str, example: Value) {
    let api = empty();
    let named = PARAMETERS
        .iter()
        .fold(line.to_owned(), |line, (name, value)| {
            line.replace(name, value)
        });
    if line != "POST /v1/services" {
        let mut service = web();
        service["address"] = json!("192.0.2.10");
        if line.starts_with("POST") {
            service["real"] = json!([]);
        }
        ok(&api, "POST /v1/services", service, 201).await;
    }
    let got = ask(&api, &named, example).await;
    assert!(got.status.is_success(), "{line}: {}", got.body);
}
