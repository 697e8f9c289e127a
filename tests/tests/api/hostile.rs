//! Malformed, huge, slow and many requests: each is answered or dropped, and holds nobody up.

use std::io::Write;

use anyhow::{Result, ensure};
use testbed::require;

use crate::bed::Bed;

/// What may come of a request; 0 is a connection that is closed without a word.
const REFUSED: &[u16] = &[400];
const BAD: &[u16] = &[0, 400];
const BAD_VERSION: &[u16] = &[0, 400, 505];
const TOO_LONG: &[u16] = &[0, 400, 414, 431];
const TOO_LARGE: &[u16] = &[0, 400, 413];

/// The status of an answer; 0 when the connection was closed without one.
fn status(answer: &str) -> u16 {
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or(0)
}

fn put_services(headers: &str, body: &str) -> String {
    format!(
        "POST /v1/services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\n{headers}\r\n{body}"
    )
}

#[test]
fn what_makes_no_sense_is_refused() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration)?;
    let long = "x".repeat(1 << 20);
    let deep = "[".repeat(100_000);
    let length = |body: &str| format!("Content-Length: {}\r\n", body.len());
    for (what, request, expected) in [
        ("no HTTP", "\0\u{1}\u{2}\r\n\r\n".to_owned(), BAD),
        (
            "TLS",
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\r\n\r\n".to_owned(),
            BAD,
        ),
        ("HTTP/9", "GET / HTTP/9.9\r\n\r\n".to_owned(), BAD_VERSION),
        (
            "a long path",
            format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
            TOO_LONG,
        ),
        (
            "a long header",
            put_services(&format!("X: {long}\r\n"), ""),
            TOO_LONG,
        ),
        (
            "many headers",
            put_services(&"X: y\r\n".repeat(1000), ""),
            TOO_LONG,
        ),
        ("no length", put_services("", "{}"), REFUSED),
        (
            "two lengths",
            put_services("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
            BAD,
        ),
        (
            "a bad length",
            put_services("Content-Length: -1\r\n", ""),
            BAD,
        ),
        (
            "a large body",
            put_services("Content-Length: 99999999999\r\n", &long),
            TOO_LARGE,
        ),
        (
            "a bad chunk",
            put_services("Transfer-Encoding: chunked\r\n", "zz\r\n"),
            BAD,
        ),
        ("a deep body", put_services(&length(&deep), &deep), REFUSED),
        (
            "no UTF-8",
            put_services("Content-Length: 2\r\n", "\u{80}"),
            REFUSED,
        ),
    ] {
        let answer = bed.say(request.as_bytes()).unwrap_or_default();
        let status = status(&answer);
        ensure!(expected.contains(&status), "{what}: {status} {answer:.200}");
        ensure!(bed.get("/v1/health")?.contains("ok"), "after {what}");
    }
    ensure!(
        bed.director
            .api()
            .call(async |api| api.services().await)?
            .is_empty()
    );
    Ok(())
}

#[test]
fn the_slow_and_the_silent_hold_nobody_up() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration)?;
    let unfinished = put_services("Content-Length: 100\r\n", "{\"protocol\":");
    let mut waiting = Vec::new();
    for n in 0..120 {
        let mut stream = bed.connect()?;
        match n % 4 {
            0 => {}
            1 => stream.write_all(b"GET /v1/hea")?,
            2 => stream.write_all(unfinished.as_bytes())?,
            // It asks for much, and reads nothing of it.
            _ => stream.write_all(&b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100))?,
        }
        waiting.push(stream);
    }
    // They are cut off after half a minute: who waited for that would have given up.
    for _ in 0..20 {
        ensure!(bed.get("/v1/health")?.contains("ok"));
    }
    bed.director.api().set_level(None, 2)?;
    Ok(())
}
