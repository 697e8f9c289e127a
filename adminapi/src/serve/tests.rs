use std::os::unix::net::UnixListener as StdListener;

use super::*;

#[tokio::test]
async fn the_socket_is_for_owner_and_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/api.sock");
    let bound = bind_unix(&path).await.unwrap();
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
    bind_unix(&path).await.unwrap();
}

#[tokio::test]
async fn a_socket_that_answers_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let first = bind_unix(&path).await.unwrap();
    let second = bind_unix(&path).await;
    assert!(matches!(second, Err(BindError::InUse(_))), "{second:?}");
    assert!(UnixStream::connect(&path).await.is_ok());
    drop(first);
    bind_unix(&path).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    std::fs::write(&path, "precious").unwrap();
    let bound = bind_unix(&path).await;
    assert!(matches!(bound, Err(BindError::NotASocket(_))), "{bound:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn the_socket_of_a_successor_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let old = bind_unix(&path).await.unwrap();
    std::fs::rename(&path, folder.path().join("moved")).unwrap();
    let new = bind_unix(&path).await.unwrap();
    drop(old);
    assert!(path.exists());
    drop(new);
}

#[tokio::test]
async fn a_removed_socket_comes_back_and_goes_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let bound = bind_unix(&path).await.unwrap();
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
    ended.unwrap().unwrap().unwrap();
    assert!(!path.exists());
}
