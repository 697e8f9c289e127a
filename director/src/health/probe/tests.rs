//! Probes against servers of this process, on loopback.

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use adminapi::model::{Check, CheckKind, Octets};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::task::JoinHandle;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn check(json: &str) -> Check {
    serde_json::from_str(json).unwrap()
}

fn target(real: SocketAddr) -> Target {
    Target {
        service: "tcp:192.0.2.10:80".parse().unwrap(),
        real,
    }
}

/// Lines of the runtime of a test.
fn switchboard() -> Arc<Switchboard> {
    let lines = Switchboard::open().unwrap();
    tokio::spawn(Arc::clone(&lines).operate());
    lines
}

async fn ask_in(timeout: Duration, check: &Check, real: SocketAddr) -> Verdict {
    let probe = Probe::of(check, &target(real)).unwrap();
    probe.ask(&switchboard(), timeout).await
}

async fn ask(json: &str, real: SocketAddr) -> Verdict {
    ask_in(PATIENCE, &check(json), real).await
}

/// A server that reads what it is sent at first and answers with `answer`, again and again.
async fn server(answer: &'static [u8]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
        }
    };
    (address, tokio::spawn(serve))
}

/// For so long a server speaks that does not stop to.
const BABBLE: Duration = Duration::from_secs(30);

/// A server on a thread of its own that says `words` to the first who comes, over and over, so that
/// there is always something to read.
fn babbler(words: &[u8]) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let words = words.repeat(4096);
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let end = Instant::now() + BABBLE;
        while Instant::now() < end && stream.write_all(&words).is_ok() {}
    });
    address
}

/// A port where nobody listens, and nobody will while the socket is there.
fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn said(verdict: &Verdict) -> &str {
    match verdict {
        Ok(words) | Err(Failure::Theirs(words) | Failure::Ours(words)) => words,
    }
}

/// What a check says of a server, which it takes for well or not.
async fn expect(answer: &'static [u8], json: &str, passes: bool, words: &str) {
    let (address, serving) = server(answer).await;
    let verdict = ask(json, address).await;
    serving.abort();
    assert_eq!((verdict.is_ok(), said(&verdict)), (passes, words), "{json}");
}

#[tokio::test]
async fn tcp() {
    let connects = r#"{"type":"tcp"}"#;
    expect(b"", connects, true, "connected").await;
    let banner = r#"{"type":"tcp","send":"PING\\r\\n","expect":"+PONG"}"#;
    expect(b"+PONG\r\n", banner, true, "answered as expected").await;
    expect(
        b"-ERR\r\n",
        banner,
        false,
        "answer \"-ERR\" is not what was expected",
    )
    .await;
    let (_held, nobody) = nobody();
    let refused = ask(connects, nobody).await;
    assert_eq!(refused, Err("connection refused".into()));
}

#[tokio::test]
async fn http() {
    let ok: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nall ok";
    let chunked: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nall \r\n2\r\nok\r\n0\r\n\r\n";
    for (answer, json, passes, words) in [
        (ok, r#"{"type":"http"}"#, true, "HTTP 200 OK"),
        (
            b"HTTP/1.0 204\r\n\r\n",
            r#"{"type":"http"}"#,
            true,
            "HTTP 204",
        ),
        (
            b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
            r#"{"type":"http"}"#,
            false,
            "HTTP 503 Service Unavailable, not 200-399",
        ),
        (
            b"HTTP/1.1 404 Not Found\r\n\r\n",
            r#"{"type":"http","status":404}"#,
            true,
            "HTTP 404 Not Found",
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            r#"{"type":"http"}"#,
            true,
            "HTTP 200 OK",
        ),
        (
            ok,
            r#"{"type":"http","body":"all ok"}"#,
            true,
            "HTTP 200 OK, body as expected",
        ),
        (
            chunked,
            r#"{"type":"http","body":"all ok"}"#,
            true,
            "HTTP 200 OK, body as expected",
        ),
        (
            ok,
            r#"{"type":"http","body_regex":"^all .k$"}"#,
            true,
            "HTTP 200 OK, body as expected",
        ),
        (
            ok,
            r#"{"type":"http","body":"all","body_regex":"wrong"}"#,
            false,
            "HTTP 200 OK, body \"all ok\" is not as expected",
        ),
        (
            ok,
            r#"{"type":"http","method":"HEAD"}"#,
            true,
            "HTTP 200 OK",
        ),
        (
            b"SSH-2.0-x\r\n",
            r#"{"type":"http"}"#,
            false,
            "answer \"SSH-2.0-x\" is no HTTP: invalid HTTP version",
        ),
    ] {
        expect(answer, json, passes, words).await;
    }
}

#[tokio::test]
async fn interim_answers_have_an_end() {
    let verdict = ask(r#"{"type":"http"}"#, babbler(b"HTTP/1.1 100\r\n\r\n")).await;
    assert_eq!(verdict, Err("too many interim answers".into()));
}

/// Frames of a type that nobody knows are left out (RFC 9113, 4.1): nothing but the time ends them.
/// Somebody else of the same thread goes on meanwhile.
#[tokio::test]
async fn one_who_does_not_stop_to_speak_has_neither_the_time_nor_the_thread() {
    let unknown = babbler(b"\0\0\0\xee\0\0\0\0\0");
    let other = async {
        let begun = Instant::now();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        begun.elapsed()
    };
    let other = tokio::spawn(other);
    let patience = Duration::from_millis(300);
    let verdict = ask_in(patience, &check(r#"{"type":"grpc"}"#), unknown).await;
    assert_eq!(verdict, Err("no answer in 300 ms".into()));
    let took = other.await.unwrap();
    assert!(took < BABBLE / 2, "{took:?}");
}

#[tokio::test]
async fn udp() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let echo = async move {
        let mut buffer = [0; 100];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], from).await;
        }
    };
    let serving = tokio::spawn(echo);
    let answered = Ok("answered as expected".into());
    assert_eq!(
        ask(r#"{"type":"udp","send":"\\x00ping"}"#, address).await,
        answered
    );
    assert_eq!(
        ask(r#"{"type":"udp","send":"ping","expect":"in"}"#, address).await,
        answered
    );
    let wrong = Check {
        send: Some(Octets(b"ping".to_vec())),
        expect: Some(Octets(b"pong".to_vec())),
        ..Check::new(CheckKind::Udp)
    };
    let verdict = ask_in(Duration::from_millis(100), &wrong, address).await;
    assert_eq!(verdict, Err("no answer in 100 ms".into()));
    serving.abort();
    // Connected to somebody else, it hears nobody else, and keeps others from its port.
    let deaf = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    deaf.connect(address).await.unwrap();
    assert_eq!(
        ask(r#"{"type":"udp"}"#, deaf.local_addr().unwrap()).await,
        Err("port unreachable".into())
    );
}

#[tokio::test]
async fn commands_are_judged_by_their_status() {
    let real: SocketAddr = "192.0.2.1:80".parse().unwrap();
    let shell = |script: &str| Check {
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        ..Check::new(CheckKind::Exec)
    };
    for (script, passes, words) in [
        ("exit 0", true, "exit status 0"),
        ("echo fine; echo more", true, "exit status 0: fine"),
        (
            "echo $BULWARK_SERVICE $BULWARK_ADDRESS $BULWARK_PORT $HOME",
            true,
            "exit status 0: tcp:192.0.2.10:80 192.0.2.1 80",
        ),
        (
            "echo it is full; exit 3",
            false,
            "exit status: 3: it is full",
        ),
        ("kill -9 $$", false, "signal: 9 (SIGKILL)"),
        ("head -c 100000 /dev/zero", true, "exit status 0"),
        ("sleep 60 & exit 0", true, "exit status 0"),
    ] {
        let verdict = ask_in(PATIENCE, &shell(script), real).await;
        assert_eq!(
            (verdict.is_ok(), said(&verdict)),
            (passes, words),
            "{script}"
        );
    }
    let missing = Check {
        command: vec!["/no/such/program".to_owned()],
        ..Check::new(CheckKind::Exec)
    };
    let verdict = ask_in(PATIENCE, &missing, real).await;
    assert!(
        said(&verdict).starts_with("/no/such/program: "),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!(
        "sleep 300 & echo $! > {0}; echo $$ >> {0}; wait",
        pids.display()
    );
    let check = Check {
        command: ["/bin/sh", "-c", &script].map(str::to_owned).to_vec(),
        ..Check::new(CheckKind::Exec)
    };
    let real = "192.0.2.1:80".parse().unwrap();
    let verdict = ask_in(Duration::from_secs(5), &check, real).await;
    assert_eq!(verdict, Err("no answer in 5000 ms".into()));
    let text = std::fs::read_to_string(pids).unwrap();
    let mut left: Vec<_> = text.split_whitespace().collect();
    assert_eq!(left.len(), 2);
    for _ in 0..100 {
        left.retain(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            status.is_ok_and(|status| !status.contains(") Z "))
        });
        if left.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{left:?} go on");
}

fn agent(at: SocketAddr) -> Agent {
    Agent::new(&AgentCheck::at(at.port()), &target(at))
}

/// What is heard of an agent that says this to everyone.
async fn hear(said: &str) -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serve = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
    };
    let (asked, lines) = (agent(at), switchboard());
    let (line, ()) = tokio::join!(asked.ask(&lines, PATIENCE), serve);
    line
}

#[tokio::test]
async fn agents_say_a_line() {
    let (at, serving) = server(b"up 75%\nmore").await;
    let asked = agent(at);
    // It says something only when it is spoken to here, so the connection has to be given up.
    assert_eq!(
        asked.ask(&switchboard(), Duration::from_millis(100)).await,
        Err("no answer in 100 ms".into())
    );
    serving.abort();
    // A tab is as good as a blank, and no word is cut.
    let long = format!("up # {}", "x".repeat(600));
    let straddling = format!("{}100%", "up ".repeat(26));
    let beyond = format!("{}100%\n", "up ".repeat(170));
    for (said, line) in [
        ("up 75%\nmore", "up 75%"),
        ("50%\tup\r\nmore", "50%\tup"),
        ("75%", "75%"),
        (&straddling, &straddling),
        (&beyond, "up ".repeat(170).trim_end()),
        (&long, "up #"),
    ] {
        assert_eq!(hear(said).await, Ok(line.to_owned()), "{said:?}");
    }
    let word = "5".repeat(600);
    assert_eq!(hear(&word).await, Ok(String::new()));
    let (_held, nobody) = nobody();
    assert_eq!(
        agent(nobody).ask(&switchboard(), PATIENCE).await,
        Err("connection refused".into())
    );
}

/// A gRPC server of one answer.
async fn grpc(
    respond: impl FnOnce(h2::server::SendResponse<bytes::Bytes>) + Send + 'static,
) -> (SocketAddr, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut respond = Some(respond);
        while let Some(Ok((request, answer))) = connection.accept().await {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            respond.take().unwrap()(answer);
        }
    };
    (address, serve)
}

fn answer_with(
    message: &'static [u8],
    status: &'static str,
) -> impl FnOnce(h2::server::SendResponse<bytes::Bytes>) + Send {
    move |mut answer| {
        let head = ::http::Response::builder().header("content-type", "application/grpc");
        let mut body = answer.send_response(head.body(()).unwrap(), false).unwrap();
        if !message.is_empty() {
            body.send_data(bytes::Bytes::from_static(message), false)
                .unwrap();
        }
        let mut trailers = ::http::HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        trailers.insert("grpc-message", "because".parse().unwrap());
        body.send_trailers(trailers).unwrap();
    }
}

#[tokio::test]
async fn grpc_servers_say_how_they_are() {
    for (message, status, verdict) in [
        (&b"\0\0\0\0\x02\x08\x01"[..], "0", Ok("SERVING")),
        (b"\0\0\0\0\x02\x08\x02", "0", Err("NOT_SERVING")),
        (b"", "12", Err("gRPC status 12 because")),
        (b"\0\0", "0", Err("answer is no HealthCheckResponse")),
    ] {
        let (address, serve) = grpc(answer_with(message, status)).await;
        let serving = tokio::spawn(serve);
        let said = ask(r#"{"type":"grpc"}"#, address).await;
        assert_eq!(said, verdict.map(Words::from).map_err(Failure::from));
        serving.await.unwrap();
    }
    let (address, serving) = server(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert!(ask(r#"{"type":"grpc"}"#, address).await.is_err());
    serving.abort();
}

/// What a gRPC server says at the end of its first stream, in frames of HTTP/2 (RFC 9113, 4.1).
mod frames {
    pub(super) const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    pub(super) const SETTINGS_ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
    /// The message of a request for the whole server.
    pub(super) const REQUEST: &[u8] = b"\0\0\x05\0\x01\0\0\0\x01\0\0\0\0\0";
    /// `:status` 200, as HPACK has it.
    pub(super) const HEAD: &[u8] = b"\0\0\x01\x01\x04\0\0\0\x01\x88";
    pub(super) const SERVING: &[u8] = b"\0\0\x07\0\0\0\0\0\x01\0\0\0\0\x02\x08\x01";
    pub(super) const TRAILERS: &[u8] = b"\0\0\x0f\x01\x05\0\0\0\x01\0\x0bgrpc-status\x010";
    /// No stream after the first is answered, which is no error.
    pub(super) const GOAWAY: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0";
}

/// A server that says all of these frames at once when it was asked, and ends the connection, by a
/// reset or not.
async fn say_and_go(listener: TcpListener, said: &[&[u8]], resets: bool) {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(frames::SETTINGS).await.unwrap();
    let mut heard = Vec::new();
    while !contains(&heard, frames::REQUEST) || !contains(&heard, frames::SETTINGS_ACK) {
        assert!(stream.read_buf(&mut heard).await.unwrap() > 0);
    }
    stream.write_all(&said.concat()).await.unwrap();
    if resets {
        stream.set_zero_linger().unwrap();
    }
}

#[tokio::test]
async fn grpc_servers_are_heard_to_the_end() {
    use frames::{GOAWAY, HEAD, SERVING, TRAILERS};
    let whole: &[&[u8]] = &[HEAD, SERVING, TRAILERS];
    let serving = Ok(Words::Borrowed("SERVING"));
    let closed = || Err(Failure::from("connection closed"));
    for (said, resets, verdict) in [
        (whole, false, serving.clone()),
        (whole, true, serving.clone()),
        (&[GOAWAY, HEAD, SERVING, TRAILERS], false, serving.clone()),
        (&[HEAD, SERVING, TRAILERS, GOAWAY], false, serving),
        (&[HEAD, SERVING], false, closed()),
        (&[GOAWAY], false, closed()),
        (&[], false, closed()),
        (&[HEAD], true, Err("connection reset".into())),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ends = say_and_go(listener, said, resets);
        let (found, ()) = tokio::join!(ask(r#"{"type":"grpc"}"#, address), ends);
        assert_eq!(found, verdict, "{said:?} {resets}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_says_why() {
    let verdict = ask(
        r#"{"type":"https","ca":"/no/such/file"}"#,
        "127.0.0.1:1".parse().unwrap(),
    )
    .await;
    assert!(said(&verdict).starts_with("/no/such/file: "), "{verdict:?}");
}
