//! What only the director itself can refuse is pointed at in the body, wherever it stands there.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testbed::require;

use super::bed::Bed;

/// An address that the director speaks from.
const SPEAKER: &str = "10.0.2.240";

/// The pointers of the answer to a request that is refused.
fn pointers(bed: &Bed, request: &str, body: &Value) -> Result<Vec<String>> {
    let body = body.to_string();
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let answer = bed.say(text.as_bytes())?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
    ensure!(head.starts_with("HTTP/1.1 422"), "{request}: {answer}");
    let body: Value = serde_json::from_str(body)?;
    let errors = body["errors"].as_array().context("no errors")?.iter();
    let pointers = errors.map(|error| error["pointer"].as_str().map(str::to_owned));
    pointers.collect::<Option<_>>().context("no pointer")
}

fn service(reals: &Value) -> Value {
    json!({"protocol": "udp", "address": "10.9.9.9", "port": 53, "real": reals})
}

#[test]
fn refusals_point_into_the_body() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|bare| bare.datapath("local_addresses", vec![SPEAKER]))?;
    let good = json!({"protocol": "udp", "address": "10.9.9.8", "port": 53});
    let speaker = service(&json!([{"address": "10.0.2.1"}, {"address": SPEAKER}]));
    let odd = json!({"mark": 7, "region": "nowhere", "interface": "none0"});
    let marks = json!([{"mark": 7}, odd]);
    let mut once = service(&json!([{"address": "10.0.2.1", "method": "fullnat"}]));
    once["one_packet"] = true.into();
    let check = json!({"type": "exec", "command": ["/bin/true"]});
    let checked = service(&json!([{"address": "10.0.2.1", "check": check}]));
    let whole = "PUT /v1/config?dry_run=true";
    let (services, named) = ("POST /v1/services", "PUT /v1/services/udp:10.9.9.9:53");
    for (request, body, want) in [
        (
            whole,
            json!({"service": [good, speaker]}),
            &["/service/1/real/1/address"][..],
        ),
        (
            whole,
            json!({"service": [good], "marks": marks}),
            &["/marks/1/interface", "/marks/1/region"],
        ),
        (
            whole,
            json!({"service": [once]}),
            &["/service/0/real/0/method"],
        ),
        ("PUT /v1/marks", marks, &["/1/interface", "/1/region"]),
        ("POST /v1/marks", odd, &["/interface", "/region"]),
        (services, speaker, &["/real/1/address"]),
        (named, once, &["/real/0/method"]),
        (services, checked, &["/real/0/check/command/0"]),
    ] {
        let found = pointers(&bed, request, &body)?;
        ensure!(found == want, "{request} {body}: {found:?}");
    }
    Ok(())
}
