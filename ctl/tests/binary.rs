//! The program itself, over the API, against a director that forwards nothing.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use adminapi::fake::Fake;
use adminapi::model::{Connection, Protocol, Status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A director that tracks three connections, and tells of one at a time.
fn fake() -> Fake {
    let connection = |port| Connection {
        service: "tcp:192.0.2.10:80".parse().unwrap(),
        protocol: Some(Protocol::Tcp),
        template: false,
        client: SocketAddr::from(([203, 0, 113, 9], port)),
        vip: SocketAddr::from(([192, 0, 2, 10], 80)),
        real: SocketAddr::from(([10, 0, 0, 1], 8080)),
        local: None,
        state: "ESTABLISHED".to_owned(),
        expires: 900,
        forwarded: None,
        engine: None,
        engine_data: None,
    };
    Fake::tracking((1000..1003).map(connection).collect(), 1)
}

/// Has a director answer at a socket in `folder`; its address.
async fn serve(fake: Fake, folder: &Path) -> String {
    let socket = folder.join("api.sock");
    let router = adminapi::router(Arc::new(fake));
    let bound = adminapi::serve::bind_unix(&socket, None).await.unwrap();
    tokio::spawn(adminapi::serve::serve_unix(
        bound,
        router,
        std::future::pending(),
    ));
    format!("unix:{}", socket.display())
}

fn run(program: &Path, api: &str, line: &str) -> Output {
    Command::new(program)
        .args(line.split(' '))
        .env("BULWARK_API", api)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn said(output: &Output) -> (&str, &str, Option<i32>) {
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code(),
    )
}

fn bulwark() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_bulwark"))
}

const LISTING: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.10:80 rr
  -> 10.0.0.1:8080                Masq    5      0          0         
";

const CONNECTIONS: &str = "\
IPVS connection entries
pro expire state       source             virtual            destination
TCP 15:00  ESTABLISHED 203.0.113.9:1000   192.0.2.10:80      10.0.0.1:8080
TCP 15:00  ESTABLISHED 203.0.113.9:1001   192.0.2.10:80      10.0.0.1:8080
TCP 15:00  ESTABLISHED 203.0.113.9:1002   192.0.2.10:80      10.0.0.1:8080
";

/// Progress is for people, on standard error; a script reads one value on standard output.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_was_waited_for_ends_with_json_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let api = serve(fake(), folder.path()).await;
    for line in ["-A -t 192.0.2.10:80", "-a -t 192.0.2.10:80 -r 10.0.0.1 -m"] {
        assert_eq!(said(&run(bulwark(), &api, line)), ("", "", Some(0)));
    }
    let mut drain = Command::new(bulwark())
        .args("drain --json -t 192.0.2.10:80 -r 10.0.0.1".split(' '))
        .env("BULWARK_API", &api)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut progress = String::new();
    let mut told = BufReader::new(drain.stderr.take().unwrap());
    told.read_line(&mut progress).unwrap();
    assert_eq!(progress, "10.0.0.1:80: 0 connections left\n");
    run(bulwark(), &api, "-d -t 192.0.2.10:80 -r 10.0.0.1");
    let output = drain.wait_with_output().unwrap();
    let end: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let want = serde_json::json!({
        "service": "tcp:192.0.2.10:80", "real": "10.0.0.1:80", "outcome": "removed",
    });
    assert_eq!((end, output.status.code()), (want, Some(0)));
}

/// Line, standard output, standard error, exit status.
const SESSION: [(&str, &str, &str, i32); 21] = [
    ("-A -t 192.0.2.10:80", "", "", 0),
    ("-A -t 192.0.2.10:80", "", "Service already exists\n", 255),
    ("-E -t 192.0.2.10:80 -s rr", "", "", 0),
    ("-E -t 192.0.2.11:80 -s rr", "", "No such service\n", 255),
    ("-a -t 192.0.2.10:80 -r 10.0.0.1:8080 -m", "", "", 0),
    (
        "-a -t 192.0.2.10:80 -r 10.0.0.1:8080 -m",
        "",
        "Destination already exists\n",
        255,
    ),
    (
        "-a -t 192.0.2.11:80 -r 10.0.0.1:8080 -m",
        "",
        "Service not defined\n",
        255,
    ),
    ("-e -t 192.0.2.10:80 -r 10.0.0.1:8080 -m -w 5", "", "", 0),
    (
        "-e -t 192.0.2.10:80 -r 10.0.0.2:8080 -m",
        "",
        "No such destination\n",
        255,
    ),
    ("-Ln", LISTING, "", 0),
    ("-Lnc", CONNECTIONS, "", 0),
    ("-Z", "", "", 0),
    ("-Z -t 192.0.2.11:80", "", "No such service\n", 255),
    ("--set 0 60 0", "", "", 0),
    (
        "-L --timeout",
        "Timeout (tcp tcpfin udp): 900 60 300\n",
        "",
        0,
    ),
    ("-Ln -t 192.0.2.11:80", "", "No such service\n", 1),
    ("-d -t 192.0.2.10:80 -r 10.0.0.1:8080", "", "", 0),
    (
        "-d -t 192.0.2.10:80 -r 10.0.0.1:8080",
        "",
        "No such destination\n",
        255,
    ),
    ("-D -t 192.0.2.10:80", "", "", 0),
    ("-D -t 192.0.2.10:80", "", "No such service\n", 255),
    ("-C", "", "", 0),
];

#[tokio::test(flavor = "multi_thread")]
async fn options_and_words_reach_a_director() {
    let folder = tempfile::tempdir().unwrap();
    let api = serve(fake(), folder.path()).await;
    for (line, out, err, status) in SESSION {
        let output = run(bulwark(), &api, line);
        assert_eq!(said(&output), (out, err, Some(status)), "{line}");
    }
    let output = run(bulwark(), &api, "reload");
    assert_eq!(said(&output), ("", "what was kept stays\n", Some(0)));
    let output = run(bulwark(), &api, "-A -t 0.0.0.0:80");
    assert_eq!(output.status.code(), Some(255), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("-t: 0.0.0.0 is "));

    let output = run(bulwark(), &api, "status");
    assert!(text(&output.stdout).starts_with("bulwarkd 1.2.3, up 1 min 1 s\n"));
    let output = run(bulwark(), &api, "status --json");
    let status: Status = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status.version, "1.2.3");
    let output = run(bulwark(), &api, "sources");
    let row = "192.0.2.1                        10   50.0 %          0         10          600        0\n";
    assert!(
        text(&output.stdout).ends_with(row),
        "{}",
        text(&output.stdout)
    );
    let output = run(bulwark(), &api, "mark remove 7");
    assert_eq!(output.status.code(), Some(255), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("there is no rule 7"));
    let output = run(bulwark(), &api, "top");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("no terminal"));
    let nowhere = format!("--api unix:{}/no.sock status", folder.path().display());
    assert_eq!(run(bulwark(), &api, &nowhere).status.code(), Some(3));
}

/// As ipvsadm has it, in its commands and in the words.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_without_a_port_has_that_of_the_service() {
    let sticks = Connection {
        service: "tcp:192.0.2.10:80".parse().unwrap(),
        protocol: Some(Protocol::Tcp),
        template: true,
        client: SocketAddr::from(([203, 0, 113, 9], 0)),
        vip: SocketAddr::from(([192, 0, 2, 10], 80)),
        real: SocketAddr::from(([10, 0, 0, 1], 80)),
        local: None,
        state: "NONE".to_owned(),
        expires: 300,
        forwarded: None,
        engine: None,
        engine_data: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let api = serve(Fake::tracking(vec![sticks], 1), folder.path()).await;
    for (line, out) in [
        ("-A -t 192.0.2.10:80 -p", ""),
        ("-a -t 192.0.2.10:80 -r 10.0.0.1 -m", ""),
        ("-A -f 7", ""),
        ("-a -f 7 -r 10.0.0.1", ""),
        (
            "forget -t 192.0.2.10:80 -r 10.0.0.1",
            "1 client forgotten\n",
        ),
        (
            "drain -t 192.0.2.10:80 -r 10.0.0.1 --no-wait",
            "10.0.0.1:80: 0 connections left\n",
        ),
        (
            "drain -f 7 -r 10.0.0.1 --no-wait",
            "10.0.0.1:0: 0 connections left\n",
        ),
    ] {
        let output = run(bulwark(), &api, line);
        assert_eq!(said(&output), (out, "", Some(0)), "{line}");
    }
}

/// As `run`, with standard input.
fn run_with(program: &Path, api: &str, line: &str, input: &str) -> Output {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = Command::new(program)
        .args(line.split_whitespace())
        .env("BULWARK_API", api)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who refuses its arguments does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scripts_of_ipvsadm_are_names_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let [save, restore] = ["ipvsadm-save", "ipvsadm-restore"].map(|name| {
        let link = folder.path().join(name);
        std::os::unix::fs::symlink(bulwark(), &link).unwrap();
        link
    });
    let api = serve(fake(), folder.path()).await;
    let lines = "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 10.0.0.1:8080 -m -w 5\n";
    run(bulwark(), &api, "-A -t 192.0.2.12:80");

    let output = run_with(&restore, &api, "-n", lines);
    let refused = "Illegal 'numeric' option with the 'restore' command\n";
    assert_eq!(said(&output), ("", refused, Some(2)));
    let kept = run_with(&save, &api, "-n", "");
    assert_eq!(said(&kept), ("-A -t 192.0.2.12:80 -s wlc\n", "", Some(0)));

    let output = run_with(&restore, &api, "", &format!("# of today\n{lines}#"));
    assert_eq!(said(&output), ("", "", Some(0)));
    assert_eq!(said(&run_with(&save, &api, "-n", "")), (lines, "", Some(0)));
    let output = run_with(&save, &api, "--full", "");
    assert_eq!(output.status.code(), Some(255), "{}", text(&output.stderr));

    let nowhere = format!("unix:{}/no.sock", folder.path().display());
    let output = run_with(&restore, &nowhere, "", lines);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(told.matches("Can't initialize ipvs").count(), 1, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_director_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let ipvsadm = folder.path().join("ipvsadm");
    std::os::unix::fs::symlink(bulwark(), &ipvsadm).unwrap();
    let missing = format!("unix:{}/no.sock", folder.path().display());
    let output = run(bulwark(), &missing, "-Ln");
    let told = format!("{missing}: no such socket; is the director running?\n");
    assert_eq!(said(&output), ("", told.as_str(), Some(3)));
    let output = run(&ipvsadm, &missing, "-Ln");
    let told = format!(
        "Can't initialize ipvs: {told}\
         Are you sure that IP Virtual Server is built in the kernel or as module?\n"
    );
    assert_eq!(said(&output), ("", told.as_str(), Some(2)));
    assert_eq!(run(&ipvsadm, &missing, "status").status.code(), Some(255));
    assert_eq!(run(bulwark(), &missing, "statsu").status.code(), Some(2));

    let file = format!("unix:{}", bulwark().display());
    let output = run(bulwark(), &file, "-Ln");
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("not a socket"), "{told}");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stranger = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        }
    });
    let tls = stranger.replace("http:", "https:");
    for (at, status) in [(&stranger, 6), (&tls, 7)] {
        let output = run(bulwark(), at, "-Ln");
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{at}: {told}");
        let output = run(&ipvsadm, at, "-Ln");
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{at}: {told}");
        assert!(told.starts_with("Can't initialize ipvs: "), "{at}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_director_that_ends_meanwhile_is_not_taken_for_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read_buf(&mut Vec::with_capacity(1024)).await;
        }
    });
    let api = format!("unix:{}", socket.display());
    for line in ["-Ln", "-A -t 192.0.2.10:80", "status"] {
        let output = run(bulwark(), &api, line);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{line}: {told}");
        assert!(told.contains("closed without an answer"), "{line}: {told}");
        assert!(!told.contains("BULWARK_API"), "{line}: {told}");
    }
}

/// A listing is printed as it comes, but nothing of what is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_web_server_is_no_listing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stranger = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read_buf(&mut Vec::with_capacity(1024)).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n";
            let _ = stream
                .write_all(format!("{head}<html></html>").as_bytes())
                .await;
        }
    });
    for line in ["-Ln", "-Ln --json", "-Sn", "-S --full", "status"] {
        let output = run(bulwark(), &stranger, line);
        let told = text(&output.stderr);
        assert_eq!(
            (text(&output.stdout), output.status.code()),
            ("", Some(6)),
            "{line}: {told}"
        );
        assert!(
            told.contains("BULWARK_API may lead elsewhere"),
            "{line}: {told}"
        );
    }
}

/// A director that takes connections and never answers.
fn mute(socket: &Path) -> std::os::unix::net::UnixListener {
    std::os::unix::net::UnixListener::bind(socket).unwrap()
}

#[test]
fn a_director_that_does_not_answer_is_told_by_its_own_status() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock");
    let _listener = mute(&socket);
    let api = format!("unix:{}", socket.display());
    for (program, status) in [("bulwark", 5), ("ipvsadm", 2)] {
        let named = folder.path().join(program);
        std::os::unix::fs::symlink(bulwark(), &named).unwrap();
        let output = Command::new(&named)
            .arg("-Ln")
            .env("BULWARK_API", &api)
            .env("BULWARK_TIMEOUT", "1")
            .output()
            .unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{told}");
        assert!(told.contains("no answer") && told.contains("1"), "{told}");
    }
    let output = Command::new(bulwark())
        .arg("-Ln")
        .env("BULWARK_TIMEOUT", "soon")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

/// Root may connect to any socket, so somebody else has to try.
#[test]
fn a_socket_of_others_is_told_by_its_own_status() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock");
    let _listener = mute(&socket);
    let permissions = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    permissions(folder.path(), 0o755);
    permissions(&socket, 0o600);
    let program = folder.path().join("bulwark");
    std::fs::copy(bulwark(), &program).unwrap();
    permissions(&program, 0o755);
    let tried = Command::new(&program)
        .arg("-Ln")
        .env("BULWARK_API", format!("unix:{}", socket.display()))
        .uid(65_534)
        .gid(65_534)
        .output();
    match tried {
        Ok(output) => {
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(4), "{told}");
            assert!(told.contains("permission"), "{told}");
        }
        Err(error) => eprintln!("SKIPPED: cannot become another user: {error}"),
    }
}
