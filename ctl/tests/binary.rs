//! The program itself, over the API, against a director that forwards nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use adminapi::control::{Control, News, Put};
use adminapi::error::{ControlError, Result, Subject};
use adminapi::model::*;
use adminapi::sysctl::{Sysctl, Sysctls, Value};
use tokio::io::AsyncWriteExt;

/// Keeps the services that it is told of; connections and the rest are fixed.
#[derive(Debug, Default)]
struct Fake {
    services: Mutex<Vec<ServiceView>>,
    timeouts: Mutex<Timeouts>,
}

impl Fake {
    fn with<T>(&self, id: ServiceId, act: impl FnOnce(&mut ServiceView) -> Result<T>) -> Result<T> {
        let mut services = self.services.lock().unwrap();
        let service = services.iter_mut().find(|service| service.id == id);
        act(service.ok_or(ControlError::no_service(id))?)
    }
}

fn not_asked<T>() -> Result<T> {
    Err(ControlError::Internal("the command line asks this".into()))
}

impl Control for Fake {
    fn health(&self) -> Result<Health> {
        Ok(Health::default())
    }

    fn status(&self) -> Result<Status> {
        Ok(Status {
            version: "9.9".to_owned(),
            uptime: 61,
            ..Status::default()
        })
    }

    fn services(&self) -> Result<Vec<ServiceView>> {
        Ok(self.services.lock().unwrap().clone())
    }

    fn service(&self, id: ServiceId) -> Result<ServiceView> {
        self.with(id, |service| Ok(service.clone()))
    }

    fn add_service(&self, service: Service) -> Result<ServiceView> {
        let id = service.id;
        if self.service(id).is_ok() {
            return Err(ControlError::AlreadyExists(Subject::Service(id)));
        }
        let view = ServiceView {
            id,
            naming: service.id.into(),
            scheduler: service.scheduler,
            scheduler_flags: service.scheduler_flags,
            persistence: service.persistence,
            one_packet: service.one_packet,
            health: None,
            condition: None,
            sorry: None,
            cookies: service.cookies,
            helper: service.helper,
            stats: Traffic::default(),
            rates: Rates::default(),
            drops: Default::default(),
            reals: Vec::new(),
        };
        self.services.lock().unwrap().push(view.clone());
        Ok(view)
    }

    fn put_service(&self, _: Service) -> Result<Put<ServiceView>> {
        not_asked()
    }

    fn change_service(&self, id: ServiceId, patch: ServicePatch) -> Result<ServiceView> {
        self.with(id, |service| {
            service.scheduler = patch.scheduler.unwrap_or(service.scheduler);
            service.scheduler_flags = patch.scheduler_flags.unwrap_or(service.scheduler_flags);
            service.persistence = patch.persistence.unwrap_or(service.persistence);
            service.one_packet = patch.one_packet.unwrap_or(service.one_packet);
            Ok(service.clone())
        })
    }

    fn remove_service(&self, id: ServiceId) -> Result<()> {
        self.with(id, |_| Ok(()))?;
        self.services.lock().unwrap().retain(|known| known.id != id);
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.services.lock().unwrap().clear();
        Ok(())
    }

    fn reals(&self, _: ServiceId) -> Result<Vec<RealView>> {
        not_asked()
    }

    fn real(&self, _: ServiceId, _: SocketAddr) -> Result<RealView> {
        not_asked()
    }

    fn add_real(&self, id: ServiceId, real: Real) -> Result<RealView> {
        let at = real.endpoint(id.port());
        self.with(id, |service| {
            if service.reals.iter().any(|known| known.endpoint() == at) {
                let subject = Subject::Real {
                    service: id,
                    real: at,
                };
                return Err(ControlError::AlreadyExists(subject));
            }
            let view = RealView {
                address: at.ip(),
                port: at.port(),
                weight: real.weight,
                method: real.method,
                tun: None,
                upper: real.upper,
                lower: real.lower,
                overloaded: false,
                active: 0,
                inactive: 0,
                check: None,
                condition: None,
                draining: None,
                persistent: 0,
                local_ports: None,
                stats: Traffic::default(),
                rates: Rates::default(),
                drops: Default::default(),
            };
            service.reals.push(view.clone());
            Ok(view)
        })
    }

    fn put_real(&self, _: ServiceId, _: Real) -> Result<Put<RealView>> {
        not_asked()
    }

    fn change_real(&self, id: ServiceId, at: SocketAddr, patch: RealPatch) -> Result<RealView> {
        self.with(id, |service| {
            let real = service.reals.iter_mut().find(|real| real.endpoint() == at);
            let real = real.ok_or(ControlError::no_real(id, at))?;
            real.weight = patch.weight.unwrap_or(real.weight);
            Ok(real.clone())
        })
    }

    fn remove_real(&self, id: ServiceId, at: SocketAddr) -> Result<()> {
        self.with(id, |service| {
            let place = service.reals.iter().position(|real| real.endpoint() == at);
            service
                .reals
                .remove(place.ok_or(ControlError::no_real(id, at))?);
            Ok(())
        })
    }

    fn connections(&self, query: &ConnectionQuery) -> Result<ConnectionPage> {
        let page = query.cursor.map_or(0, |cursor| cursor.0);
        let connection = Connection {
            service: "tcp:192.0.2.10:80".parse().unwrap(),
            protocol: Some(Protocol::Tcp),
            template: false,
            client: SocketAddr::from(([203, 0, 113, 9], 1000 + page as u16)),
            vip: SocketAddr::from(([192, 0, 2, 10], 80)),
            real: SocketAddr::from(([10, 0, 0, 1], 8080)),
            local: None,
            state: "ESTABLISHED".to_owned(),
            expires: 900,
            engine: None,
            engine_data: None,
        };
        Ok(ConnectionPage {
            connections: vec![connection],
            next: (page < 2).then_some(Cursor(page + 1)),
        })
    }

    fn sources(&self, _: &SourceQuery) -> Result<Sources> {
        Ok(Sources {
            packets: 10,
            sources: vec![Source {
                source: "203.0.113.9".parse().unwrap(),
                packets: 10,
                margin: 0,
                bytes: 600,
                opens: 5,
            }],
        })
    }

    fn marks(&self) -> Result<Vec<MarkRule>> {
        not_asked()
    }

    fn put_marks(&self, _: Vec<MarkRule>) -> Result<()> {
        not_asked()
    }

    fn add_mark(&self, _: MarkRule) -> Result<usize> {
        not_asked()
    }

    fn filter(&self) -> Result<Filter> {
        not_asked()
    }

    fn put_filter(&self, _: FilterRules) -> Result<Filter> {
        not_asked()
    }

    fn listed_networks(&self, _: &NetworkQuery) -> Result<NetworkPage> {
        not_asked()
    }

    fn listed_network(&self, _: Prefix) -> Result<Option<ListedView>> {
        not_asked()
    }

    fn put_network(&self, _: Listed) -> Result<Put<ListedView>> {
        not_asked()
    }

    fn remove_network(&self, _: Prefix) -> Result<bool> {
        not_asked()
    }

    fn remove_mark(&self, _: usize) -> Result<bool> {
        not_asked()
    }

    fn zero(&self, id: Option<ServiceId>) -> Result<()> {
        id.map_or(Ok(()), |id| self.with(id, |_| Ok(())))
    }

    fn defense(&self, _service: Option<ServiceId>) -> Result<Defense> {
        Ok(Defense {
            level: 1,
            automatic: true,
            reason: "half-open pool taken: 31.0 %, the mark is 25.0 %".to_owned(),
            ..Defense::default()
        })
    }

    fn set_defense(&self, service: Option<ServiceId>, level: DefenseLevel) -> Result<Defense> {
        Ok(Defense {
            level: level.level,
            ..self.defense(service)?
        })
    }

    fn events(&self, _since: u64) -> Result<Events> {
        not_asked()
    }

    fn timeouts(&self) -> Result<Timeouts> {
        Ok(*self.timeouts.lock().unwrap())
    }

    fn change_timeouts(&self, patch: TimeoutsPatch) -> Result<Timeouts> {
        let mut timeouts = self.timeouts.lock().unwrap();
        *timeouts = timeouts.changed(patch);
        Ok(*timeouts)
    }

    fn close_connection(&self, _: ConnectionId) -> Result<()> {
        not_asked()
    }

    fn limits(&self) -> Result<Limits> {
        not_asked()
    }

    fn carried(&self, _: ServiceId, _: Option<SocketAddr>) -> Result<Carried> {
        not_asked()
    }

    fn samples(&self, _: u64) -> Result<Vec<Sample>> {
        not_asked()
    }

    fn news(&self) -> News {
        unreachable!("nobody asks for news")
    }

    fn config(&self) -> Result<Configuration> {
        Ok(Configuration {
            timeouts: self.timeouts()?,
            services: self.services()?.iter().map(Service::from).collect(),
            ..Configuration::default()
        })
    }

    fn put_config(&self, _: &Configuration) -> Result<()> {
        not_asked()
    }

    fn check_config(&self, _: &Configuration) -> Result<()> {
        not_asked()
    }

    fn reload(&self) -> Result<()> {
        not_asked()
    }

    fn record(&self, _: AuditEntry) {}

    fn explain(&self, _: &ExplainQuery) -> Result<Explanation> {
        not_asked()
    }

    fn daemons(&self) -> Result<Vec<SyncDaemon>> {
        not_asked()
    }

    fn start_daemon(&self, _: SyncDaemon) -> Result<SyncDaemon> {
        not_asked()
    }

    fn stop_daemon(&self, _: SyncRole) -> Result<()> {
        not_asked()
    }

    fn sysctls(&self) -> Result<Sysctls> {
        not_asked()
    }

    fn change_sysctl(&self, _: Sysctl, _: &Value) -> Result<Sysctls> {
        not_asked()
    }

    fn stats(&self) -> Result<Stats> {
        not_asked()
    }
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
    let socket = folder.path().join("api.sock");
    let router = adminapi::router(Arc::new(Fake::default()));
    let bound = adminapi::serve::bind_unix(&socket, None).await.unwrap();
    tokio::spawn(adminapi::serve::serve_unix(
        bound,
        router,
        std::future::pending(),
    ));
    let api = format!("unix:{}", socket.display());
    for (line, out, err, status) in SESSION {
        let output = run(bulwark(), &api, line);
        assert_eq!(said(&output), (out, err, Some(status)), "{line}");
    }
    let output = run(bulwark(), &api, "-A -t 0.0.0.0:80");
    assert_eq!(output.status.code(), Some(255), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("/address: "));

    let output = run(bulwark(), &api, "status");
    assert!(text(&output.stdout).starts_with("bulwarkd 9.9, up 1 min 1 s\n"));
    let output = run(bulwark(), &api, "status --json");
    let status: Status = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status.version, "9.9");
    let output = run(bulwark(), &api, "sources");
    let row = "203.0.113.9                      10  100.0 %          5          600        0\n";
    assert!(
        text(&output.stdout).ends_with(row),
        "{}",
        text(&output.stdout)
    );
    let nowhere = format!("--api unix:{}/no.sock status", folder.path().display());
    assert_eq!(run(bulwark(), &api, &nowhere).status.code(), Some(3));
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
    let told = format!("Can't initialize ipvs: {told}");
    assert_eq!(said(&output), ("", told.as_str(), Some(2)));
    assert_eq!(run(&ipvsadm, &missing, "status").status.code(), Some(255));
    assert_eq!(run(bulwark(), &missing, "statsu").status.code(), Some(2));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stranger = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        }
    });
    let output = run(bulwark(), &stranger, "-Ln");
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stderr));
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
