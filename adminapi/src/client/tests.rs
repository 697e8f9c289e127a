use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::auth::{Door, Token, Tokens};
use crate::fake::Fake;
use crate::kept::Kept;
use crate::model::{ForwardingMethod, Order, Protocol, Scheduler, SchedulerFlags};
use crate::problem::ProblemKind;
use crate::router::router;
use crate::serve::{Access, ClientCertificates, TlsFiles, bind_unix, serve_tcp, serve_unix};

/// A director on a Unix socket.
struct Director {
    end: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Director {
    async fn start(path: &Path) -> Self {
        let bound = bind_unix(path, None).await.unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let api = router(Arc::new(Fake::default()));
        let serving = tokio::spawn(serve_unix(bound, api, async {
            let _ = ended.await;
        }));
        Self { end, serving }
    }

    async fn stop(self) {
        self.end.send(()).unwrap();
        self.serving.await.unwrap();
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
        engine: None,
        one_packet: false,
        health: None,
        cookies: Default::default(),
        udp_repeats: None,
        helper: Default::default(),
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
        template: Some(false),
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
async fn a_listing_has_every_row_in_the_order_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let director = Director::start(&path).await;
    let client = client(&path);
    let ids: Vec<ServiceId> = (1..=999)
        .rev()
        .map(|port| format!("tcp:192.0.2.10:{port}").parse().unwrap())
        .collect();
    let services = ids.iter().map(|id| Service { id: *id, ..web() });
    let changes: Vec<Change> = services.map(Change::AddService).collect();
    client.make(&changes).await.unwrap();
    for (order, want) in [
        (Order::Added, ids.clone()),
        (Order::Ipvsadm, ids.iter().rev().copied().collect()),
    ] {
        let query = ListingQuery {
            order,
            ..ListingQuery::default()
        };
        let mut listing = client.listing(&query).await.unwrap();
        let mut listed = Vec::new();
        while let Some(row) = listing.next().await.unwrap() {
            listed.push(row.id);
        }
        assert_eq!(listed, want);
        let seen = views(&client, order).await;
        let seen: Vec<_> = seen.into_iter().map(|view| view.id).collect();
        assert_eq!(seen, want);
    }
    assert_eq!(
        views(&client, Order::Added).await,
        client.services().await.unwrap()
    );
    let one = ListingQuery {
        service: Some(web().id),
        ..ListingQuery::default()
    };
    let error = client.listing(&one).await.unwrap_err();
    assert_eq!(error.kind(), Some(ProblemKind::NoSuchService));
    client.flush().await.unwrap();
    assert_eq!(views(&client, Order::Added).await, []);
    director.stop().await;
}

/// All services, which come in pieces.
async fn views(client: &Client, order: Order) -> Vec<ServiceView> {
    let query = ViewsQuery {
        service: None,
        order,
    };
    let mut pieces = client.views(&query).await.unwrap();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await.unwrap() {
        whole.extend_from_slice(&piece);
    }
    serde_json::from_slice(&whole).unwrap()
}

#[tokio::test]
async fn what_is_no_listing_is_not_read_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let director = Director::start(&path).await;
    let client = client(&path);
    let error = Pieces::of(&client, crate::path::SERVICES, "text/plain").await;
    assert!(matches!(error, Err(ClientError::Protocol(_))), "{error:?}");
    assert_eq!(client.services().await.unwrap(), []);
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
    assert!(matches!(no_socket, ClientError::NotASocket(_)));
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
    let known = Token::generate().unwrap();
    let line = format!("ci read {}", known.digest());
    let tokens = Kept::new("tokens", Vec::new(), move || {
        Tokens::parse(&line, "f").map_err(|error| error.to_string())
    });
    let access = Access {
        door: Door {
            tokens: Some(Arc::new(tokens.unwrap())),
            allowance: None,
        },
        tls: None,
    };
    let address = serving("http", access).await;
    let client = || Client::connect(&address).unwrap();
    let unknown = Token::generate().unwrap();
    for stranger in [client(), client().with_token(unknown.reveal())] {
        let error = stranger.health().await.unwrap_err();
        assert_eq!(error.kind(), Some(ProblemKind::Unauthorized), "{error:?}");
    }
    let reader = client().with_token(known.reveal());
    reader.health().await.unwrap();
    let error = reader.flush().await.unwrap_err();
    assert_eq!(error.kind(), Some(ProblemKind::Forbidden), "{error:?}");
    assert!(!format!("{reader:?}").contains(known.reveal()));
}

/// A director behind TCP that asks for `access`; where it is.
async fn serving(scheme: &str, access: Access) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("{scheme}://{}", listener.local_addr().unwrap());
    let api = router(Arc::new(Fake::default()));
    tokio::spawn(serve_tcp(listener, access, api, std::future::pending()));
    address
}

/// Certificates in a folder: of a CA, and of a director and a client that it has signed.
struct Papers {
    folder: tempfile::TempDir,
}

impl Papers {
    fn new() -> Self {
        Self::good_until(4096)
    }

    fn good_until(year: i32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut ca = rcgen::CertificateParams::new([]).unwrap();
        let name = format!("ca {}", folder.path().display());
        ca.distinguished_name.push(rcgen::DnType::CommonName, name);
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = ca.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.crt"), certificate.pem()).unwrap();
        let papers = Self { folder };
        papers.issue("director", rcgen::Issuer::new(ca, key), year);
        papers
    }

    fn issue(&self, name: &str, issuer: rcgen::Issuer<'_, rcgen::KeyPair>, year: i32) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.crt")), certificate.pem()).unwrap();
        let key_path = self.path(&format!("{name}.key"));
        std::fs::write(&key_path, key.serialize_pem()).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(key_path, mode).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a director with these papers asks for.
    fn access(&self, client_ca: Option<PathBuf>) -> Access {
        self.access_of(client_ca, ClientCertificates::Required)
    }

    fn access_of(
        &self,
        client_ca: Option<PathBuf>,
        client_certificates: ClientCertificates,
    ) -> Access {
        let files = TlsFiles {
            certificate: self.path("director.crt"),
            key: self.path("director.key"),
            client_ca,
            client_certificates,
        };
        Access {
            door: Door::default(),
            tls: Some(files.keep().unwrap()),
        }
    }

    fn trust(&self) -> Trust {
        Trust {
            ca: Some(self.path("ca.crt")),
            identity: None,
        }
    }
}

#[tokio::test]
async fn tls_is_spoken_with_a_director_that_the_client_believes() {
    let papers = Papers::new();
    let address = serving("https", papers.access(None)).await;
    let client = || Client::connect(&address).unwrap();
    client().with_trust(papers.trust()).health().await.unwrap();

    let other_name = address.replace("127.0.0.1", "localhost");
    let other_name = Client::connect(&other_name)
        .unwrap()
        .with_trust(papers.trust());
    let plain = serving("https", Access::default()).await;
    let plain = Client::connect(&plain).unwrap().with_trust(papers.trust());
    for (client, want) in [
        (client().with_trust(Papers::new().trust()), "--ca"),
        (other_name, "a name or address that its certificate has"),
        (plain, "try http://"),
    ] {
        let error = client.health().await.unwrap_err();
        assert!(matches!(error, ClientError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains(want), "{error}");
    }
    let missing = Trust {
        ca: Some(papers.path("none")),
        identity: None,
    };
    let error = client().with_trust(missing).health().await.unwrap_err();
    assert!(matches!(error, ClientError::BadTrust(_)), "{error:?}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_director_that_wants_one() {
    let papers = Papers::new();
    let access = papers.access(Some(papers.path("ca.crt")));
    let address = serving("https", access).await;
    let client = |trust| Client::connect(&address).unwrap().with_trust(trust);
    let identity =
        |papers: &Papers| Some((papers.path("director.crt"), papers.path("director.key")));
    let known = Trust {
        identity: identity(&papers),
        ..papers.trust()
    };
    client(known).health().await.unwrap();
    let others = Papers::new();
    let foreign = Trust {
        identity: identity(&others),
        ..papers.trust()
    };
    for trust in [papers.trust(), foreign] {
        let error = client(trust).health().await.unwrap_err();
        assert!(matches!(error, ClientError::Tls { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn who_has_a_certificate_that_has_run_out_is_told_whose() {
    let (papers, past) = (Papers::new(), Papers::good_until(2001));
    let old_director = serving("https", past.access(None)).await;
    let director = serving("https", papers.access(Some(past.path("ca.crt")))).await;
    let old_client = Trust {
        identity: Some((past.path("director.crt"), past.path("director.key"))),
        ..papers.trust()
    };
    for (address, trust, want) in [
        (old_director, past.trust(), "[api.tls]"),
        (director, old_client, "BULWARK_CERTIFICATE"),
    ] {
        let client = Client::connect(&address).unwrap().with_trust(trust);
        let error = client.health().await.unwrap_err();
        assert!(matches!(error, ClientError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains(want), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_that_may_be_shown_has_to_be_good() {
    let papers = Papers::new();
    let ca = Some(papers.path("ca.crt"));
    let access = papers.access_of(ca, ClientCertificates::Optional);
    let address = serving("https", access).await;
    let others = Papers::new();
    for (of, is_let_in) in [(None, true), (Some(&papers), true), (Some(&others), false)] {
        let trust = Trust {
            identity: of.map(|of| (of.path("director.crt"), of.path("director.key"))),
            ..papers.trust()
        };
        let client = Client::connect(&address).unwrap().with_trust(trust);
        assert_eq!(client.health().await.is_ok(), is_let_in);
    }
}

#[tokio::test]
async fn plain_http_is_told_that_tls_is_spoken() {
    let papers = Papers::new();
    let address = serving("https", papers.access(None)).await;
    let client = Client::connect(&address.replace("https", "http")).unwrap();
    let error = client.health().await.unwrap_err();
    assert_eq!(error.kind(), Some(ProblemKind::TlsRequired), "{error:?}");
    assert!(error.to_string().contains("https://"), "{error}");
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_a_restart() {
    let (old, new) = (Papers::new(), Papers::new());
    let access = old.access(None);
    let address = serving("https", access.clone()).await;
    let client = || Client::connect(&address).unwrap().with_trust(new.trust());
    assert!(client().health().await.is_err());
    for file in ["director.crt", "director.key"] {
        std::fs::copy(new.path(file), old.path(file)).unwrap();
    }
    access.refresh();
    client().health().await.unwrap();
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

/// Somebody in a director's place who answers the first request of each connection, and closes it
/// when the second one has come; what each was.
fn forgetful(path: &Path) -> Arc<std::sync::Mutex<Vec<String>>> {
    let listener = UnixListener::bind(path).unwrap();
    let asked: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = tokio::io::BufReader::new(stream);
            let first = request(&mut stream).await;
            heard.lock().unwrap().push(first);
            let body = serde_json::to_string(&Health::default()).unwrap();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            let second = request(&mut stream).await;
            heard.lock().unwrap().push(second);
        }
    });
    asked
}

/// The first line of a request without a body.
async fn request(stream: &mut (impl AsyncBufRead + Unpin)) -> String {
    let mut lines = stream.lines();
    let first = lines.next_line().await.unwrap().unwrap_or_default();
    while lines
        .next_line()
        .await
        .unwrap()
        .is_some_and(|line| !line.is_empty())
    {}
    first
}

#[tokio::test]
async fn what_changes_nothing_is_asked_again_when_a_connection_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let asked = forgetful(&path);
    let client = client(&path);
    client.health().await.unwrap();
    client.health().await.unwrap();
    let get = "GET /v1/health HTTP/1.1";
    assert_eq!(*asked.lock().unwrap(), [get; 3]);
}

/// Whether it was done cannot be known.
#[tokio::test]
async fn what_changes_something_is_asked_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let asked = forgetful(&path);
    let client = client(&path);
    client.health().await.unwrap();
    let error = client.flush().await.unwrap_err();
    assert!(matches!(error, ClientError::HungUp { .. }), "{error:?}");
    let (get, delete) = ("GET /v1/health HTTP/1.1", "DELETE /v1/services HTTP/1.1");
    assert_eq!(*asked.lock().unwrap(), [get, delete]);
    client.health().await.unwrap();
    assert_eq!(*asked.lock().unwrap(), [get, delete, get]);
}
