use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdListener;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::fake::Fake;

#[tokio::test]
async fn the_socket_is_for_owner_and_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/api.sock");
    let bound = bind_unix(&path, None).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().mode();
    assert_eq!(mode & 0o777, 0o660);
    drop(bound);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    drop(StdListener::bind(&path).unwrap());
    assert!(path.exists());
    bind_unix(&path, None).await.unwrap();
}

#[tokio::test]
async fn a_socket_that_answers_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let first = bind_unix(&path, None).await.unwrap();
    let second = bind_unix(&path, None).await;
    assert!(matches!(second, Err(BindError::InUse(_))), "{second:?}");
    assert!(UnixStream::connect(&path).await.is_ok());
    drop(first);
    bind_unix(&path, None).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    std::fs::write(&path, "precious").unwrap();
    let bound = bind_unix(&path, None).await;
    assert!(matches!(bound, Err(BindError::NotASocket(_))), "{bound:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn the_socket_of_a_successor_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let old = bind_unix(&path, None).await.unwrap();
    std::fs::rename(&path, folder.path().join("moved")).unwrap();
    let new = bind_unix(&path, None).await.unwrap();
    drop(old);
    assert!(path.exists());
    drop(new);
}

#[tokio::test]
async fn a_removed_socket_comes_back_and_goes_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let bound = bind_unix(&path, None).await.unwrap();
    let (end, mut ending) = watch::channel(());
    let server = serve_unix(bound, Router::new(), async move {
        let _ = ending.changed().await;
    });
    let server = tokio::spawn(server);
    std::fs::remove_file(&path).unwrap();
    let back = async {
        while UnixStream::connect(&path).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, back).await.unwrap();
    end.send_replace(());
    let ended = tokio::time::timeout(patience, server).await;
    ended.unwrap().unwrap();
    assert!(!path.exists());
}

/// A director that asks for `access`, and where it is.
async fn serving(access: Access) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = crate::audited(Arc::new(Fake::default()));
    tokio::spawn(serve_tcp(listener, access, api, std::future::pending()));
    address
}

/// What a listener answers to `sent`, up to the end of the connection.
async fn answer(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may close before it has read everything.
    let _ = stream.write_all(sent).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_next_one_served() {
    let address = serving(Access::default()).await;
    let many: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = "x".repeat(400_000);
    for (sent, want) in [
        ("\0\0\0\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (
            format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
            "HTTP/1.1 431",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: {long}\r\n\r\n"),
            "HTTP/1.1 431",
        ),
        (
            format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"),
            "HTTP/1.1 4",
        ),
    ] {
        let got = answer(address, sent.as_bytes()).await;
        assert!(
            got.starts_with(want),
            "{}: {got}",
            &sent[..20.min(sent.len())]
        );
    }
    let good = b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let got = answer(address, good).await;
    assert!(got.starts_with("HTTP/1.1 200"), "{got}");
}

#[tokio::test]
async fn who_is_silent_makes_room_for_who_is_not() {
    let address = serving(Access::default()).await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS + 10 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let patience = Duration::from_secs(20);
    for _ in 0..10 {
        let client = crate::Client::connect(&format!("http://{address}")).unwrap();
        let health = tokio::time::timeout(patience, client.health()).await;
        health.unwrap().unwrap();
    }
    let mut oldest = silent.swap_remove(0);
    let left = tokio::time::timeout(patience, oldest.read(&mut [0])).await;
    assert_eq!(left.unwrap().unwrap(), 0);
}
