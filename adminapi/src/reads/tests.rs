use std::net::{Ipv4Addr, SocketAddr};

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use axum::{Extension, Router};
use serde_json::json;
use tokio::task::{JoinHandle, yield_now};
use tower::ServiceExt;

use super::*;
use crate::audited;
use crate::auth::{Door, NamedToken, Peer, Role, Token, Tokens, guard};
use crate::control::Control as _;
use crate::fake::{Fake, Gate};
use crate::kept::Kept;
use crate::model::Service;

const PROCESS: Peer = Peer::Process { uid: 0, pid: None };

/// A read that the gate holds up, and one that it does not.
const SLOW: &str = "/v1/limits";
const QUICK: &str = "/v1/timeouts";

/// A service whose view is some megabytes.
fn large() -> Service {
    let real = |host: u32| json!({"address": Ipv4Addr::from(0x0a00_0000 + host), "weight": 1});
    let reals: Vec<_> = (1..20_000).map(real).collect();
    let service = json!({"protocol": "tcp", "address": "192.0.2.1", "port": 80,
        "scheduler": "rr", "reals": reals});
    serde_json::from_value(service).unwrap()
}

/// Two doors of one director: a Unix socket, and one for tokens.
struct Doors {
    gate: Arc<Gate>,
    unix: Router,
    tcp: Router,
    secrets: Vec<Token>,
}

impl Doors {
    /// There is a token for each of the roles.
    fn of(roles: &[Role]) -> Self {
        Self::over(Fake::default(), roles)
    }

    fn over(fake: Fake, roles: &[Role]) -> Self {
        let secrets: Vec<_> = roles.iter().map(|_| Token::generate().unwrap()).collect();
        let named = roles.iter().zip(&secrets).enumerate();
        let lines = named.map(|(number, (role, secret))| {
            let named = NamedToken {
                name: format!("token-{number}"),
                role: *role,
                digest: secret.digest(),
            };
            named.line() + "\n"
        });
        let text: String = lines.collect();
        let read = move || Tokens::parse(&text, "f").map_err(|error| error.to_string());
        let door = Door {
            tokens: Some(Arc::new(Kept::new("tokens", Vec::new(), read).unwrap())),
            allowance: None,
        };
        let gate = Arc::clone(&fake.gate);
        gate.shut();
        let api = audited(Arc::new(fake));
        let host = Peer::Host(SocketAddr::from(([192, 0, 2, 7], 40112)));
        Self {
            gate,
            unix: guard(api.clone(), Door::default()).layer(Extension(PROCESS)),
            tcp: guard(api, door).layer(Extension(host)),
            secrets,
        }
    }

    fn by_unix(&self, path: &str) -> JoinHandle<StatusCode> {
        asked(&self.unix, Method::GET, path, String::new())
    }

    /// With the token of this number.
    fn by_tcp(&self, token: usize, method: Method, path: &str) -> JoinHandle<StatusCode> {
        asked(&self.tcp, method, path, self.authorization(token))
    }

    fn authorization(&self, token: usize) -> String {
        format!("Bearer {}", self.secrets[token].reveal())
    }

    fn many(&self, token: usize) -> Vec<JoinHandle<StatusCode>> {
        (0..20)
            .map(|_| self.by_tcp(token, Method::GET, SLOW))
            .collect()
    }

    /// Waits until so many are held up, and whoever else can come has come.
    async fn within(&self, count: usize) {
        while self.gate.within() < count {
            yield_now().await;
        }
        for _ in 0..1000 {
            yield_now().await;
        }
    }
}

impl Drop for Doors {
    /// A test that fails ends, too.
    fn drop(&mut self) {
        self.gate.open();
    }
}

fn asked(api: &Router, method: Method, path: &str, token: String) -> JoinHandle<StatusCode> {
    let answer = answer(api, method, path, token);
    tokio::spawn(async move { answer.await.status() })
}

fn answer(
    api: &Router,
    method: Method,
    path: &str,
    token: String,
) -> impl Future<Output = Response> + use<> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::AUTHORIZATION, token);
    let request = request.body(Body::empty()).unwrap();
    let answer = api.clone().oneshot(request);
    async move { answer.await.unwrap() }
}

async fn all_ok(asked: Vec<JoinHandle<StatusCode>>) {
    for answer in asked {
        assert_eq!(answer.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn one_token_and_one_door_keep_no_other_waiting() {
    let doors = Doors::of(&[Role::Read, Role::Read, Role::Admin]);
    let mut slow = doors.many(0);
    doors.within(1).await;
    assert_eq!(doors.gate.most(), OF_A_TOKEN);

    // Another token is answered, and may change something.
    for method in [Method::GET, Method::DELETE] {
        let path = "/v1/services/stats";
        let status = doors.by_tcp(2, method, path).await.unwrap();
        assert!(status.is_success(), "{status}");
    }
    slow.extend(doors.many(1));
    doors.within(OF_A_DOOR).await;
    assert_eq!(doors.gate.most(), OF_A_DOOR);

    // Now the door is full: a change does not wait for that, and neither does the other door.
    let changed = doors.by_tcp(2, Method::DELETE, "/v1/services").await;
    assert_eq!(changed.unwrap(), 204);
    assert_eq!(doors.by_unix(QUICK).await.unwrap(), 200);
    let waiting = doors.by_tcp(2, Method::GET, QUICK);
    slow.extend((0..20).map(|_| doors.by_unix(SLOW)));
    doors.within(2 * OF_A_DOOR).await;
    assert_eq!(doors.gate.most(), 2 * OF_A_DOOR);
    assert!(!waiting.is_finished());

    doors.gate.open();
    slow.push(waiting);
    all_ok(slow).await;
    assert!(doors.gate.most() <= 2 * OF_A_DOOR);
}

#[tokio::test]
async fn who_hangs_up_gives_his_place_back_once_his_read_has_ended() {
    let doors = Doors::of(&[Role::Read, Role::Read]);
    for round in 0..10 {
        let asked = doors.many(0);
        doors.within(1).await;
        asked.iter().for_each(JoinHandle::abort);
        for answer in asked {
            assert!(answer.await.unwrap_err().is_cancelled());
        }
        assert_eq!(doors.gate.most(), OF_A_TOKEN, "round {round}");
    }
    assert_eq!(doors.by_tcp(1, Method::GET, QUICK).await.unwrap(), 200);
    doors.gate.open();
    all_ok(doors.many(0)).await;
}

/// Those who take nothing have their answers held up to a limit, and keep no other waiting.
#[tokio::test]
async fn what_is_not_taken_is_given_up_where_it_is_too_much() {
    let fake = Fake::default();
    fake.add_service(large()).unwrap();
    let doors = Doors::over(fake, &[Role::Read, Role::Admin]);
    let (mut stuck, mut size) = (Vec::new(), 0);
    while size < shelf::FULL / 4 * 5 {
        let answer = answer(
            &doors.tcp,
            Method::GET,
            "/v1/services",
            doors.authorization(0),
        );
        let answer = answer.await;
        size += usize::try_from(answer.body().size_hint().lower()).unwrap();
        stuck.push(answer);
    }
    for method in [Method::GET, Method::DELETE] {
        let status = doors.by_tcp(1, method, "/v1/services/stats").await.unwrap();
        assert!(status.is_success(), "{status}");
    }
    let largest = size / stuck.len();
    let mut held = 0;
    for answer in stuck {
        let whole = to_bytes(answer.into_body(), usize::MAX).await;
        held += whole.map_or(0, |whole| whole.len());
    }
    assert!(
        held > 0 && held <= shelf::FULL + largest,
        "{held} of {size}"
    );
}

#[tokio::test]
async fn a_stream_that_waits_is_not_in_the_way() {
    let doors = Doors::of(&[]);
    let request = || Request::get("/v1/events").header(header::ACCEPT, "text/event-stream");
    for _ in 0..10 {
        let answer = doors
            .unix
            .clone()
            .oneshot(request().body(Body::empty()).unwrap());
        let body = answer.await.unwrap().into_body();
        tokio::spawn(to_bytes(body, usize::MAX));
    }
    doors.within(0).await;
    assert_eq!(doors.by_unix(QUICK).await.unwrap(), 200);
}
