use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use axum::{Extension, Router};
use futures_util::StreamExt;
use tower::ServiceExt;

use super::*;
use crate::audited;
use crate::fake::Fake;
use crate::kept::Kept;

/// Every path that the router knows, as its own description has them, and one that it does not.
async fn paths() -> Vec<String> {
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let api = crate::router(Arc::new(Fake::default()));
    let answer = api.oneshot(request).await.unwrap();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let description: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let paths = description["paths"].as_object().unwrap().keys();
    let mut paths: Vec<String> = paths.map(|path| named(path)).collect();
    assert!(paths.len() > 20, "{paths:?}");
    paths.push("/v1/nowhere".to_owned());
    paths.push("/openapi.json".to_owned());
    paths
}

/// The path with a name for each of its parameters.
fn named(path: &str) -> String {
    let segments = path.split('/').map(|segment| match segment {
        "{service}" => "tcp:10.0.0.1:80",
        "{real}" => "10.0.2.1:80",
        "{network}" => "192.0.2.0%2F24",
        parameter if parameter.starts_with('{') => "0",
        segment => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

const HOST: Peer = Peer::Host(SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)),
    40112,
));

/// One token of each role, and the file that has them.
fn tokens() -> ([Token; 2], Arc<Kept<Tokens>>) {
    let secrets = Role::ALL.map(|_| Token::generate().unwrap());
    let lines = Role::ALL.iter().zip(&secrets).map(|(role, secret)| {
        let named = NamedToken {
            name: format!("our-{}", role.name()),
            role: *role,
            digest: secret.digest(),
        };
        named.line() + "\n"
    });
    let text: String = lines.collect();
    let kept = Kept::new("tokens", Vec::new(), move || {
        Tokens::parse(&text, "f").map_err(|error| error.to_string())
    });
    (secrets, Arc::new(kept.unwrap()))
}

fn api(tokens: Option<Arc<Kept<Tokens>>>, peer: Peer) -> Router {
    let allowance = None;
    guarded(Door { tokens, allowance }, peer)
}

fn guarded(door: Door, peer: Peer) -> Router {
    guard(audited(Arc::new(Fake::default())), door).layer(Extension(peer))
}

async fn status(api: &Router, method: &str, path: &str, authorization: &str) -> StatusCode {
    let mut request = Request::builder().method(method).uri(path);
    if !authorization.is_empty() {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let request = request.body(Body::empty()).unwrap();
    let answer = api.clone().oneshot(request).await.unwrap();
    let challenged = answer.headers().contains_key(header::WWW_AUTHENTICATE);
    assert_eq!(challenged, answer.status() == StatusCode::UNAUTHORIZED);
    answer.status()
}

#[tokio::test]
async fn every_role_may_do_its_methods_on_every_path_and_no_other() {
    let (secrets, kept) = tokens();
    let api = api(Some(kept), HOST);
    let [read, admin] = secrets
        .each_ref()
        .map(|secret| format!("Bearer {}", secret.reveal()));
    let wrong = format!("Bearer {}", Token::generate().unwrap().reveal());
    let is_refusal = |status| [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
    for path in &paths().await {
        for method in METHODS {
            for nobody in ["", &wrong, "Bearer", "Bearer ", "Basic cm9vdDpyb290"] {
                let got = status(&api, method, path, nobody).await;
                assert_eq!(got, StatusCode::UNAUTHORIZED, "{method} {path} {nobody}");
            }
            let got = status(&api, method, path, &read).await;
            match method {
                "GET" | "HEAD" | "OPTIONS" => assert!(!is_refusal(got), "{method} {path}: {got}"),
                _ => assert_eq!(got, StatusCode::FORBIDDEN, "{method} {path}"),
            }
            let got = status(&api, method, path, &admin).await;
            assert!(!is_refusal(got), "{method} {path}: {got}");
        }
    }
}

#[tokio::test]
async fn what_is_told_as_it_happens_ends_with_its_token() {
    let (secret, file) = (Token::generate().unwrap(), Arc::new(Mutex::default()));
    let named = NamedToken {
        name: "ours".to_owned(),
        role: Role::Read,
        digest: secret.digest(),
    };
    *file.lock().unwrap() = named.line();
    let text = Arc::clone(&file);
    let read = move || Tokens::parse(&text.lock().unwrap(), "f").map_err(|e| e.to_string());
    let kept = Arc::new(Kept::new("tokens", Vec::new(), read).unwrap());
    let fake = Fake::default();
    let happened = fake.happened.clone();
    let door = Door {
        tokens: Some(Arc::clone(&kept)),
        allowance: None,
    };
    let api = guard(audited(Arc::new(fake)), door).layer(Extension(HOST));
    let request = Request::get("/v1/events")
        .header(header::ACCEPT, "text/event-stream")
        .header(header::AUTHORIZATION, format!("Bearer {}", secret.reveal()));
    let request = request.body(Body::empty()).unwrap();
    let mut told = api
        .oneshot(request)
        .await
        .unwrap()
        .into_body()
        .into_data_stream();
    happened.send_replace(1);
    assert!(told.next().await.unwrap().unwrap().starts_with(b"id: 1\n"));
    kept.refresh();
    happened.send_replace(2);
    assert!(told.next().await.unwrap().unwrap().starts_with(b"id: 2\n"));
    file.lock().unwrap().clear();
    kept.refresh();
    happened.send_replace(3);
    assert!(told.next().await.is_none());
}

#[tokio::test]
async fn who_comes_by_the_unix_socket_or_an_open_listener_needs_no_token() {
    let (_, kept) = tokens();
    let process = Peer::Process {
        uid: 0,
        pid: Some(1),
    };
    for api in [
        api(Some(kept), process),
        api(None, process),
        api(None, HOST),
    ] {
        for method in METHODS {
            let got = status(&api, method, "/v1/timeouts", "").await;
            assert!(![401, 403].contains(&got.as_u16()), "{method}: {got}");
        }
    }
    let unknown = guard(audited(Arc::new(Fake::default())), Door::default());
    let got = status(&unknown, "GET", "/v1/timeouts", "").await;
    assert_eq!(got, StatusCode::UNAUTHORIZED);
}

/// A page that somebody on the host looks at is no program of the host.
#[tokio::test]
async fn an_open_listener_answers_no_page_in_a_browser() {
    let open = api(None, HOST);
    let (_, kept) = tokens();
    for (name, value, is_let_in) in [
        ("host", "127.0.0.1:7070", true),
        ("host", "[::1]:7070", true),
        ("host", "LocalHost", true),
        ("host", "rebound.example:7070", false),
        ("host", "127.0.0.1.rebound.example", false),
        ("host", "192.0.2.1:7070", false),
        ("host", "", false),
        ("origin", "http://localhost:3000", true),
        ("origin", "https://page.example", false),
        ("origin", "null", false),
    ] {
        let ask = async |api: &Router| {
            let request = Request::post("/v1/reload").header(name, value);
            let request = request.body(Body::empty()).unwrap();
            api.clone().oneshot(request).await.unwrap().status()
        };
        let let_in = ask(&open).await != StatusCode::FORBIDDEN;
        assert_eq!(let_in, is_let_in, "{name}: {value}");
        // Elsewhere names are the site's own affair.
        let guarded = api(Some(Arc::clone(&kept)), HOST);
        assert_eq!(ask(&guarded).await, StatusCode::UNAUTHORIZED);
        let by_socket = api(None, Peer::Process { uid: 0, pid: None });
        assert_ne!(ask(&by_socket).await, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_wait_and_nobody_else() {
    let (secrets, kept) = tokens();
    let one = NonZeroU32::new(1).unwrap();
    let door = Door {
        tokens: Some(kept),
        allowance: Some(Arc::new(Allowance::new(one, one))),
    };
    let api = guarded(door.clone(), HOST);
    for secret in &secrets {
        let ask = async || {
            let authorization = format!("Bearer {}", secret.reveal());
            let request = Request::get("/v1/timeouts");
            let request = request.header(header::AUTHORIZATION, authorization);
            let request = request.body(Body::empty()).unwrap();
            api.clone().oneshot(request).await.unwrap()
        };
        assert_eq!(ask().await.status(), StatusCode::OK);
        let told = ask().await;
        assert_eq!(told.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(told.headers()[header::RETRY_AFTER], "1");
    }
    let process = Peer::Process { uid: 0, pid: None };
    let api = guarded(door, process);
    for _ in 0..3 {
        assert_eq!(
            status(&api, "GET", "/v1/timeouts", "").await,
            StatusCode::OK
        );
    }
}

/// A stream for `secret`, or why there is none.
async fn told(api: &Router, secret: &Token) -> axum::response::Response {
    let request = Request::get("/v1/events")
        .header(header::ACCEPT, "text/event-stream")
        .header(header::AUTHORIZATION, format!("Bearer {}", secret.reveal()));
    let request = request.body(Body::empty()).unwrap();
    api.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn streams_of_a_token_leave_room_for_others() {
    let (secrets, kept) = tokens();
    let api = api(Some(kept), HOST);
    let [read, admin] = &secrets;
    let mut streams = Vec::new();
    for _ in 0..OF_A_TOKEN {
        streams.push(told(&api, read).await);
    }
    assert!(
        streams
            .iter()
            .all(|answer| answer.status() == StatusCode::OK)
    );
    let refused = told(&api, read).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    let body = to_bytes(refused.into_body(), usize::MAX).await.unwrap();
    let problem: crate::ProblemDocument = serde_json::from_slice(&body).unwrap();
    assert!(problem.detail.contains("under way"), "{problem:?}");
    assert_eq!(told(&api, admin).await.status(), StatusCode::OK);
    streams.pop();
    assert_eq!(told(&api, read).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_token_is_good_as_long_as_its_file_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    let token = Token::generate().unwrap();
    let digest = token.digest();
    let write = |role: &str| {
        fs::write(&path, format!("# ours\n\nci {role} {digest}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    };
    write("read");
    let from = path.clone();
    let read = move || Tokens::load(&from).map_err(|error| error.to_string());
    let kept = Arc::new(Kept::new("tokens", vec![path.clone()], read).unwrap());
    tokio::spawn(Arc::clone(&kept).follow());
    let api = api(Some(Arc::clone(&kept)), HOST);
    let authorization = format!("bearer {}", token.reveal());
    let becomes = async |want: u16| {
        let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let got = status(&api, "DELETE", "/v1/services", &authorization).await;
            if got.as_u16() == want {
                return;
            }
            assert!(tokio::time::Instant::now() < patience, "{got}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    becomes(403).await;
    write("admin");
    becomes(204).await;
    // A file that makes no sense takes nothing away.
    fs::write(&path, "nonsense").unwrap();
    kept.refresh();
    becomes(204).await;
    fs::write(&path, "").unwrap();
    becomes(401).await;
}

#[test]
fn a_token_is_found_by_all_of_itself() {
    let secrets: Vec<Token> = (0..3).map(|_| Token::generate().unwrap()).collect();
    let lines = secrets
        .iter()
        .zip(["a", "b", "c"])
        .map(|(secret, name)| format!("{name} read {}\n", secret.digest()));
    let tokens = Tokens::parse(&lines.collect::<String>(), "f").unwrap();
    let find = |sent: &str| tokens.find(&Digest::of(sent));
    for (secret, name) in secrets.iter().zip(["a", "b", "c"]) {
        assert_eq!(find(secret.reveal()).unwrap().name, name);
        assert!(find(&secret.reveal()[1..]).is_none());
        assert!(find(&format!("{}0", secret.reveal())).is_none());
        assert!(find(&secret.digest().to_string()).is_none());
        assert!(!format!("{secret:?}").contains(&secret.reveal()[8..]));
    }
    assert!(Tokens::default().find(&Digest::of("")).is_none());
}

#[test]
fn a_bad_file_of_tokens_says_where_and_what() {
    let digest = Digest::of("x");
    for (text, want) in [
        ("ci admin".to_owned(), "f:1: is not NAME ROLE sha256:HASH"),
        (
            format!("\nci root {digest}"),
            "f:2: the second word is no role; write read or admin",
        ),
        (
            format!("c/i read {digest}"),
            "f:1: \"c/i\" is no name; use up to 64 letters, digits and -_.@",
        ),
        (
            "ci read sha256:00".to_owned(),
            "f:1: no hash of a token; write sha256: and 64 hex digits",
        ),
        (
            format!("ci read {digest}\nci admin {digest}"),
            "f:2: there is a token ci already",
        ),
    ] {
        assert_eq!(Tokens::parse(&text, "f").unwrap_err().to_string(), want);
    }
}

#[test]
fn a_file_that_everybody_may_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("tokens");
    fs::write(&path, "").unwrap();
    for (mode, good) in [(0o600, true), (0o640, true), (0o644, false), (0o602, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = Tokens::load(&path);
        assert_eq!(loaded.is_ok(), good, "{mode:o}: {loaded:?}");
        if let Err(error) = loaded {
            assert!(error.to_string().contains("chmod o-rwx"), "{error}");
        }
    }
    assert!(Tokens::load(folder.path()).is_err());
}
