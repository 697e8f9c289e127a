//! Every kind of check, against servers that are well and servers that are not.

use std::fs;
use std::net::SocketAddr;
use std::sync::mpsc;

use adminapi::model::{
    Check, ForwardingMethod, Protocol, Real, RealState, Scheduler, Service, ServiceId,
};
use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::namespace::Namespace;
use testbed::process::{Process, output};
use testbed::require;
use testbed::scene::Scene;
use testbed::wait;

use super::bed::{PATIENCE, Speaker};

const VIP: &str = "10.9.9.9:9000";

/// What a real server is checked by, how it is found and why. Port 80 is nginx, 7 the UDP echo.
const CHECKS: &[(&str, RealState, &str)] = &[
    (r#"{"type":"tcp","port":80}"#, RealState::Up, "connected"),
    (
        r#"{"type":"tcp","port":81}"#,
        RealState::Down,
        "connection refused",
    ),
    (
        r#"{"type":"tcp","port":4000,"expect":"220 "}"#,
        RealState::Up,
        "answered as expected",
    ),
    (
        r#"{"type":"tcp","port":4000,"expect":"250 "}"#,
        RealState::Down,
        "answer \"220 hello\" is not what was expected",
    ),
    // The address of another host: nobody has it.
    (
        r#"{"type":"tcp","port":80,"address":"10.0.2.77"}"#,
        RealState::Down,
        "",
    ),
    (r#"{"type":"http","port":80}"#, RealState::Up, "HTTP 200 OK"),
    (
        r#"{"type":"http","port":80,"method":"HEAD","host":"a.example"}"#,
        RealState::Up,
        "HTTP 200 OK",
    ),
    (
        r#"{"type":"http","port":80,"path":"/missing"}"#,
        RealState::Down,
        "HTTP 404 Not Found, not 200-399",
    ),
    (
        r#"{"type":"http","port":80,"path":"/missing","status":"404"}"#,
        RealState::Up,
        "HTTP 404 Not Found",
    ),
    (
        r#"{"type":"http","port":80,"body":"rs1"}"#,
        RealState::Up,
        "HTTP 200 OK, body as expected",
    ),
    (
        r#"{"type":"http","port":80,"body_regex":"^rs[0-9]$"}"#,
        RealState::Down,
        "HTTP 200 OK, body \"rs1\" is not as expected",
    ),
    // It takes the connection and says nothing.
    (
        r#"{"type":"http","port":4001}"#,
        RealState::Down,
        "no answer in 300 ms",
    ),
    (
        r#"{"type":"http","port":4000}"#,
        RealState::Down,
        "answer \"220 hello\" is no HTTP",
    ),
    (
        r#"{"type":"https","port":443,"host":"health.example","ca":"CA"}"#,
        RealState::Up,
        "HTTP 200 OK",
    ),
    (
        r#"{"type":"https","port":443,"verify":false,"status":"200"}"#,
        RealState::Up,
        "HTTP 200 OK",
    ),
    (
        r#"{"type":"https","port":443,"host":"health.example"}"#,
        RealState::Down,
        "certificate",
    ),
    (
        r#"{"type":"https","port":443,"host":"other.example","ca":"CA"}"#,
        RealState::Down,
        "certificate",
    ),
    (
        r#"{"type":"https","port":80,"verify":false}"#,
        RealState::Down,
        "",
    ),
    (
        r#"{"type":"udp","port":7,"send":"ping","expect":"rs1:ping"}"#,
        RealState::Up,
        "answered as expected",
    ),
    (
        r#"{"type":"udp","port":9}"#,
        RealState::Down,
        "port unreachable",
    ),
    (
        r#"{"type":"udp","port":7,"send":"ping","expect":"pong"}"#,
        RealState::Down,
        "no answer in 300 ms",
    ),
    (r#"{"type":"grpc","port":4002}"#, RealState::Up, "SERVING"),
    (
        r#"{"type":"grpc","port":4002,"service":"broken"}"#,
        RealState::Down,
        "NOT_SERVING",
    ),
    (
        r#"{"type":"grpc","port":4002,"service":"missing"}"#,
        RealState::Down,
        "gRPC status 5 unknown service",
    ),
    (r#"{"type":"grpc","port":80}"#, RealState::Down, ""),
    (
        r#"{"type":"grpcs","port":4003,"host":"health.example","ca":"CA"}"#,
        RealState::Up,
        "SERVING",
    ),
    (
        r#"{"type":"grpcs","port":4003,"host":"health.example"}"#,
        RealState::Down,
        "certificate",
    ),
    (
        r#"{"type":"exec","command":["SCRIPTS/check","0"]}"#,
        RealState::Up,
        "exit status 0: 10.0.2.1",
    ),
    (
        r#"{"type":"exec","command":["SCRIPTS/check","2"]}"#,
        RealState::Down,
        "exit status: 2: 10.0.2.1",
    ),
    (r#"{"type":"none"}"#, RealState::Unknown, "not checked yet"),
];

/// Servers of the first real server beyond those of the scene.
struct Servers {
    directory: TempDir,
    _https: Process,
    _banner: Speaker,
    _mute: std::net::TcpListener,
    _grpc: Grpc,
}

impl Servers {
    fn start(namespace: &Namespace, address: std::net::Ipv4Addr) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let at = |port: u16| SocketAddr::from((address, port));
        make_certificate(directory.path())?;
        Ok(Self {
            _https: start_https(namespace, directory.path(), at(4002))?,
            _banner: Speaker::start(namespace, at(4000), "220 hello")?,
            _mute: namespace.enter(|| Ok(std::net::TcpListener::bind(at(4001))?))?,
            _grpc: Grpc::start(namespace, at(4002))?,
            directory,
        })
    }

    /// The check of a row, which waits no longer than its `reason` says.
    fn check(&self, json: &str, reason: &str) -> Result<Check> {
        let directory = self.directory.path().display().to_string();
        let ca = format!("{directory}/cert.pem");
        let json = json
            .replace("\"CA\"", &format!("{ca:?}"))
            .replace("SCRIPTS", &directory);
        let check: Check = serde_json::from_str(&json)?;
        let timeout = match reason.ends_with("in 300 ms") {
            true => "300ms",
            // For the busy machine.
            false => "5s",
        };
        Ok(Check {
            interval: "300ms".parse()?,
            timeout: timeout.parse()?,
            rise: 1,
            fall: 1,
            ..check
        })
    }
}

fn make_certificate(directory: &std::path::Path) -> Result<()> {
    let mut command = std::process::Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    command.args([
        "-days",
        "2",
        "-subj",
        "/CN=health",
        "-addext",
        "subjectAltName=DNS:health.example",
    ]);
    command.args([
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ]);
    output(command.current_dir(directory))?;
    use std::os::unix::fs::PermissionsExt;
    let script = directory.join("check");
    fs::write(&script, "#!/bin/sh\necho $BULWARK_ADDRESS\nexit $1\n")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// HTTPS on 443, and on 4003 what speaks gRPC at `grpc`.
fn start_https(
    namespace: &Namespace,
    directory: &std::path::Path,
    grpc: SocketAddr,
) -> Result<Process> {
    let configuration = format!(
        "daemon off;\nmaster_process off;\npid https.pid;\nevents {{}}\nhttp {{\n\
         access_log off;\nssl_certificate cert.pem; ssl_certificate_key key.pem;\n\
         server {{ listen 443 ssl; location / {{ return 200 \"ok\"; }} }}\n\
         server {{ listen 4003 ssl http2; location / {{ grpc_pass grpc://{grpc}; }} }} }}\n"
    );
    fs::write(directory.join("https.conf"), configuration)?;
    let mut command = namespace.command("nginx");
    command
        .arg("-p")
        .arg(directory)
        .args(["-c", "https.conf", "-e", "https.log"]);
    Process::spawn(&mut command)
}

/// A gRPC server with health checking: the whole server is well, `broken` is not, no other service
/// is known.
struct Grpc {
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Result<()>>>,
}

impl Grpc {
    fn start(namespace: &Namespace, at: SocketAddr) -> Result<Self> {
        let listener = namespace.enter(|| Ok(std::net::TcpListener::bind(at)?))?;
        listener.set_nonblocking(true)?;
        let (end, ended) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                ready.send(())?;
                tokio::select! {
                    _ = ended => Ok(()),
                    failed = serve_grpc(listener) => failed,
                }
            })
        });
        is_ready.recv().context("the gRPC server does not start")?;
        Ok(Self {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Grpc {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve_grpc(listener: tokio::net::TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(stream).await?;
            while let Some(request) = connection.accept().await {
                let (request, answer) = request?;
                tokio::spawn(answer_grpc(request, answer));
            }
            Ok::<_, h2::Error>(())
        });
    }
}

async fn answer_grpc(
    request: http::Request<h2::RecvStream>,
    mut answer: h2::server::SendResponse<bytes::Bytes>,
) -> Result<()> {
    let mut asked = Vec::new();
    let mut body = request.into_body();
    while let Some(part) = body.data().await {
        asked.extend_from_slice(&part?);
    }
    // Behind the five bytes of a message's head, and tag and length of the first field.
    let service = String::from_utf8_lossy(asked.get(7..).unwrap_or_default()).into_owned();
    let (message, status, words): (&[u8], _, _) = match service.as_str() {
        "" => (b"\0\0\0\0\x02\x08\x01", "0", ""),
        "broken" => (b"\0\0\0\0\x02\x08\x02", "0", ""),
        _ => (b"", "5", "unknown service"),
    };
    let head = http::Response::builder()
        .header("content-type", "application/grpc")
        .body(())?;
    let mut stream = answer.send_response(head, false)?;
    if !message.is_empty() {
        stream.send_data(bytes::Bytes::from_static(message), false)?;
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", status.parse()?);
    trailers.insert("grpc-message", words.parse()?);
    stream.send_trailers(trailers)?;
    Ok(())
}

#[test]
fn checks_tell_the_well_from_the_ill() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let host = &scene.topology.reals[0];
    let servers = Servers::start(&host.namespace, host.v4)?;
    let id: ServiceId = format!("tcp:{VIP}").parse()?;
    let mut reals = Vec::new();
    for (port, (json, _, reason)) in (1001..).zip(CHECKS) {
        reals.push(Real {
            address: host.v4.into(),
            port: Some(port),
            weight: 1,
            method: ForwardingMethod::Nat,
            upper: 0,
            lower: 0,
            tun: None,
            check: Some(servers.check(json, reason)?),
        });
    }
    let empty = service(Protocol::Tcp, VIP.parse()?, Scheduler::Rr, []);
    let wanted = Service { reals, ..empty };

    // Over the API only what is among the scripts may be run.
    let is_command = |real: &&Real| real.check.as_ref().is_some_and(|c| !c.command.is_empty());
    let commanded = Service {
        reals: wanted
            .reals
            .iter()
            .filter(is_command)
            .take(1)
            .cloned()
            .collect(),
        ..wanted.clone()
    };
    let refused = scene.director.api().add_service(&commanded).unwrap_err();
    assert!(
        format!("{refused:#}").contains("is not in /etc/bulwark/checks"),
        "{refused:#}"
    );

    let mut scene = scene;
    let configuration = testbed::director::Configuration::new(scene.topology.interfaces());
    let text = configuration
        .service(wanted)
        .text(&scene.director.socket())?;
    scene.director.reload(&text)?;
    let api = scene.director.api();
    for (place, (json, state, reason)) in CHECKS.iter().enumerate() {
        wait::until(json, PATIENCE, || {
            let real = &api.service(id)?.reals[place];
            let condition = real.condition.clone().context("it is not watched")?;
            ensure!(condition.state == *state, "{condition:?}");
            ensure!(condition.reason.contains(reason), "{condition:?}");
            ensure!(
                *state == RealState::Unknown || condition.last.is_some(),
                "{condition:?}"
            );
            Ok(())
        })?;
    }
    // What the file has named may be put again, and changed but for what is run.
    let present = Service::from(&api.service(id)?);
    api.put_service(&present)?;
    let commanded = commanded.reals[0].endpoint(id.port());
    let merge = |patch: &str| -> Result<()> {
        let patch = serde_json::from_str(&format!(r#"{{"check": {patch}}}"#))?;
        api.change_real(id, commanded, patch)
    };
    merge(r#"{"timeout": "900ms"}"#)?;
    let refused = merge(r#"{"command": ["/bin/rm", "-r", "/"]}"#).unwrap_err();
    assert!(
        format!("{refused:#}").contains("/check/command/0"),
        "{refused:#}"
    );

    // A check that hangs does not hold up the others, and packets even less.
    let before = api
        .service(id)?
        .reals
        .iter()
        .filter_map(|r| r.condition.as_ref()?.last.as_ref().map(|l| l.at))
        .max();
    wait::until("checks to go on", PATIENCE, || {
        let reals = api.service(id)?.reals;
        let last = |place: usize| {
            reals[place]
                .condition
                .as_ref()?
                .last
                .as_ref()
                .map(|last| last.at)
        };
        ensure!(last(0) > before);
        Ok(())
    })?;
    assert_accounts(&scene.director);
    Ok(())
}
