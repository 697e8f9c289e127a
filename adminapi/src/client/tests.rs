use std::path::Path;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::fake::Fake;
use crate::model::{ForwardingMethod, Protocol, Scheduler, SchedulerFlags};
use crate::problem::ProblemKind;
use crate::router::router;
use crate::serve::{bind_unix, serve_tcp, serve_unix};

/// A director on a Unix socket.
struct Director {
    end: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Director {
    async fn start(path: &Path) -> Self {
        let bound = bind_unix(path).await.unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let api = router(Arc::new(Fake::default()));
        let serving = tokio::spawn(serve_unix(bound, api, async {
            let _ = ended.await;
        }));
        Self { end, serving }
    }

    async fn stop(self) {
        self.end.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
    }
}

fn client(path: &Path) -> Client {
    Client::connect(&format!("unix:{}", path.display())).unwrap()
}

fn web() -> Service {
    Service {
        id: ServiceId::at(Protocol::Tcp, "[2001:db8::1]:80".parse().unwrap()),
        scheduler: Scheduler::Wlc,
        scheduler_flags: SchedulerFlags::NONE,
        persistence: None,
        one_packet: false,
        health: None,
        reals: Vec::new(),
    }
}

fn server(weight: u32) -> Real {
    Real {
        address: "2001:db8::2".parse().unwrap(),
        port: None,
        weight,
        method: ForwardingMethod::Nat,
        tun: None,
        upper: 0,
        lower: 0,
        check: None,
    }
}

#[tokio::test]
async fn every_call_reaches_the_director() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let director = Director::start(&path).await;
    let client = client(&path);
    let (service, id) = (web(), web().id);

    client.health().await.unwrap();
    assert_eq!(client.status().await.unwrap().version, "1.2.3");
    client.stats().await.unwrap();
    let added = client.add_service(&service).await.unwrap();
    assert_eq!(
        client.services().await.unwrap(),
        std::slice::from_ref(&added)
    );
    assert_eq!(client.service(id).await.unwrap(), added);
    let put = client.put_service(&service).await.unwrap();
    assert!(matches!(put, Put::Replaced(_)));
    let patch = ServicePatch {
        scheduler: Some(Scheduler::Rr),
        ..ServicePatch::default()
    };
    let changed = client.change_service(id, patch).await.unwrap();
    assert_eq!(changed.scheduler, Scheduler::Rr);

    let real = client.add_real(id, &server(1)).await.unwrap();
    let endpoint = real.endpoint();
    assert_eq!(client.reals(id).await.unwrap(), std::slice::from_ref(&real));
    assert_eq!(client.real(id, endpoint).await.unwrap(), real);
    let put = client.put_real(id, &server(2)).await.unwrap();
    assert_eq!(put.into_inner().weight, 2);
    let patch = RealPatch {
        weight: Some(3),
        ..RealPatch::default()
    };
    let changed = client.change_real(id, endpoint, patch).await.unwrap();
    assert_eq!(changed.weight, 3);

    client.zero(Some(id)).await.unwrap();
    client.zero(None).await.unwrap();
    client.remove_real(id, endpoint).await.unwrap();
    client.remove_service(id).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(client.services().await.unwrap(), []);

    let query = ConnectionQuery {
        service: Some(id),
        real: Some(endpoint),
        client: Some(endpoint.ip()),
        limit: 5,
        cursor: Some(crate::model::Cursor(255)),
    };
    let page = client.connections(&query).await.unwrap();
    assert_eq!(page, ConnectionPage::default());
    let patch = TimeoutsPatch {
        udp: Some(7),
        ..TimeoutsPatch::default()
    };
    let timeouts = client.change_timeouts(patch).await.unwrap();
    assert_eq!(timeouts.udp, 7);
    assert_eq!(client.timeouts().await.unwrap(), timeouts);
    director.stop().await;
}

#[tokio::test]
async fn a_no_of_the_director_has_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let director = Director::start(&path).await;
    let client = client(&path);
    let error = client.service(web().id).await.unwrap_err();
    assert_eq!(error.kind(), Some(ProblemKind::NoSuchService));
    assert_eq!(
        error.to_string(),
        "service tcp:[2001:db8::1]:80 does not exist"
    );
    director.stop().await;
}

#[tokio::test]
async fn a_restarted_director_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let client = client(&path);
    for _ in 0..2 {
        let director = Director::start(&path).await;
        client.health().await.unwrap();
        director.stop().await;
        let gone = client.health().await.unwrap_err();
        assert!(matches!(gone, ClientError::SocketMissing(_)), "{gone:?}");
    }
}

#[tokio::test]
async fn sockets_that_do_not_answer_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let missing = client(&path).health().await.unwrap_err();
    assert!(matches!(missing, ClientError::SocketMissing(_)));

    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let refused = client(&path).health().await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(_)), "{refused:?}");

    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let no_socket = client(&file).health().await.unwrap_err();
    assert!(matches!(no_socket, ClientError::SocketMissing(_)));
    let below = client(&file.join("api.sock")).health().await.unwrap_err();
    assert!(matches!(below, ClientError::SocketMissing(_)), "{below:?}");

    let source = std::io::ErrorKind::PermissionDenied.into();
    let address = Address::Unix(path);
    let denied = ClientError::of_connect(&address, source);
    assert!(matches!(denied, ClientError::PermissionDenied(_)));
}

#[tokio::test]
async fn a_silent_director_is_not_waited_for_forever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let _silent = UnixListener::bind(&path).unwrap();
    let client = client(&path).with_patience(Duration::from_millis(20));
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn tcp_is_spoken_too_and_the_token_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let guarded = router(Arc::new(Fake::default())).layer(axum::middleware::from_fn(guard));
    tokio::spawn(serve_tcp(listener, guarded, std::future::pending()));

    let anonymous = Client::connect(&address).unwrap();
    let error = anonymous.health().await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol(_)), "{error:?}");
    let known = Client::connect(&address).unwrap().with_token("s3cret");
    known.health().await.unwrap();
}

/// Lets only one token pass, and answers others with something that is no problem document.
async fn guard(
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    use axum::response::IntoResponse;
    match request.headers().get("authorization") {
        Some(value) if value == "Bearer s3cret" => next.run(request).await,
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::connect(&address).unwrap();
    let refused = client.health().await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(_)), "{refused:?}");
}
