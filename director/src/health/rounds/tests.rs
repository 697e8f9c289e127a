use std::process::Command;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::wire::Protocol;

/// Set in the process that has the limits of a test to itself.
const ALONE: &str = "BULWARK_TEST_ALONE";

/// Runs the test `name` again, in a process of its own.
fn run_alone(name: &str) {
    let mut test = Command::new(std::env::current_exe().unwrap());
    let test = test.args(["--exact", name, "--nocapture"]).env(ALONE, "1");
    assert!(test.status().unwrap().success());
}

fn bed(check: &str, real: std::net::SocketAddr) -> Arc<Bed> {
    let check = format!(r#"{{{check},"interval":"20ms","timeout":"5s"}}"#);
    let regimen = Regimen {
        target: Target {
            service: "tcp:192.0.2.10:80".parse().unwrap(),
            real,
        },
        check: Some(serde_json::from_str(&check).unwrap()),
        agent: None,
    };
    Arc::new(Bed::new(regimen, Instant::now()))
}

/// Who cannot ask knows nothing, and asks on.
#[tokio::test]
async fn a_host_without_descriptors_blames_no_real_server() {
    if std::env::var_os(ALONE).is_none() {
        return run_alone(
            "health::rounds::tests::a_host_without_descriptors_blames_no_real_server",
        );
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let echo = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (tcp, udp) = (listener.local_addr().unwrap(), echo.local_addr().unwrap());
    tokio::spawn(async move {
        let mut room = [0; 64];
        while let Ok((length, from)) = echo.recv_from(&mut room).await {
            let _ = echo.send_to(&room[..length], from).await;
        }
    });
    let beds = [
        bed(r#""type":"tcp""#, tcp),
        bed(r#""type":"udp","send":"?""#, udp),
        bed(r#""type":"exec","command":["true"]"#, tcp),
    ];
    let mut rounds = Rounds::new(Switchboard::open().unwrap(), Arc::default());
    // So that what the runtime needs for children is there.
    let _ = tokio::process::Command::new("true").status().await.unwrap();

    let limit = Resource::RLIMIT_NOFILE;
    let (few, most) = getrlimit(limit).unwrap();
    setrlimit(limit, 0, most).unwrap();
    let vip = |port| ServiceKey::Address {
        protocol: Protocol::Tcp,
        vip: Endpoint::new(
            "192.0.2.10".parse::<std::net::IpAddr>().unwrap().into(),
            port,
        ),
    };
    let places: Vec<_> = (1..)
        .map(|n| (vip(n), tcp.into()))
        .take(beds.len())
        .collect();
    rounds.visit(places.iter().zip(&beds));
    tokio::time::sleep(Duration::from_millis(300)).await;
    for bed in &beds {
        assert_eq!(bed.patient.lock().last(), None, "{:?}", bed.regimen.check);
    }

    setrlimit(limit, few, most).unwrap();
    for bed in &beds {
        let passed = || {
            bed.patient
                .lock()
                .last()
                .is_some_and(|finding| finding.passed)
        };
        while !passed() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
