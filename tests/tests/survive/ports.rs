//! A director whose list of interfaces is another one than that of the one before.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use adminapi::model::{ForwardingMethod, InterfaceStats};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{CLIENT_SIDE, REAL_SIDE};
use testbed::traffic::UdpClient;
use testbed::wait;

use crate::bed::{Bench, PATIENCE};

/// An interface of the director behind which nobody is.
const IDLE: &str = "mid0";
/// What only [`CLIENT_SIDE`] sees.
const PINGS: u64 = 400;

/// After which nothing more comes.
const SILENCE: Duration = Duration::from_secs(2);

/// A flow of a thousand datagrams a second, each of which is echoed.
struct Stream {
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    sender: JoinHandle<Result<()>>,
    echoes: JoinHandle<u32>,
}

impl Stream {
    fn begin(bench: &Bench) -> Result<Self> {
        let client = UdpClient::open(&bench.topology.client, Family::V4.echo())?;
        client.echo(b"first")?;
        let socket = client.socket().try_clone()?;
        socket.set_read_timeout(Some(SILENCE))?;
        let over = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU32::new(0));
        let sender = {
            let (over, sent) = (Arc::clone(&over), Arc::clone(&sent));
            let socket = socket.try_clone()?;
            thread::spawn(move || send(&socket, &over, &sent))
        };
        let echoes = thread::spawn(move || count(&socket));
        Ok(Self {
            over,
            sent,
            sender,
            echoes,
        })
    }

    /// Waits for so many more of them.
    fn go_on(&self, count: u32) {
        let until = self.sent.load(Relaxed) + count;
        while self.sent.load(Relaxed) < until && !self.sender.is_finished() {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// How many were sent, and how many came back.
    fn end(self) -> Result<(u32, u32)> {
        self.over.store(true, Relaxed);
        self.sender.join().expect("the sender panicked")?;
        let echoes = self.echoes.join().expect("the receiver panicked");
        Ok((self.sent.load(Relaxed), echoes))
    }
}

fn send(socket: &UdpSocket, over: &AtomicBool, sent: &AtomicU32) -> Result<()> {
    while !over.load(Relaxed) {
        socket.send(&sent.load(Relaxed).to_ne_bytes())?;
        sent.fetch_add(1, Relaxed);
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Until none comes any more.
fn count(socket: &UdpSocket) -> u32 {
    let mut buffer = [0; 64];
    let mut echoes = 0;
    while socket.recv(&mut buffer).is_ok() {
        echoes += 1;
    }
    echoes
}

fn counted(bench: &Bench, name: &str) -> Result<InterfaceStats> {
    let interfaces = bench.director.api().stats()?.interfaces;
    let found = interfaces.into_iter().find(|it| it.name == name);
    found.with_context(|| format!("{name} is not counted"))
}

#[test]
fn interfaces_may_stand_elsewhere_in_the_list() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start_shaped(ForwardingMethod::Nat, |it| it.fast_path(true))?;
    let director = &bench.topology.director;
    director.ip(&format!(
        "link add {IDLE} type veth peer name far0\nlink set {IDLE} up\nlink set far0 up\n"
    ))?;
    let gateway = "10.0.1.254";
    let pings = PINGS.to_string();
    let ping = ["-q", "-i", "0.002", "-c", &pings, gateway];
    bench.topology.client.run("ping", &ping)?;
    for list in [
        &[IDLE, CLIENT_SIDE, REAL_SIDE][..],
        &[REAL_SIDE, IDLE, CLIENT_SIDE],
        &[REAL_SIDE, CLIENT_SIDE],
        &[CLIENT_SIDE, REAL_SIDE],
    ] {
        let stream = Stream::begin(&bench)?;
        let forwarded = counted(&bench, CLIENT_SIDE)?.forwarded;
        wait::until("the gate to forward it", PATIENCE, || {
            let now = counted(&bench, CLIENT_SIDE)?.forwarded;
            ensure!(now > forwarded + 100, "{now} and {forwarded} before");
            Ok(())
        })?;
        let before = [CLIENT_SIDE, REAL_SIDE].map(|name| counted(&bench, name));
        bench.configuration = bench.configuration.clone().interfaces(list);
        bench.restart(Signal::Kill)?;
        stream.go_on(300);
        let (sent, echoes) = stream.end()?;
        assert_eq!(sent, echoes, "datagrams were lost by {list:?}");
        for before in before {
            let before = before?;
            let now = counted(&bench, &before.name)?;
            let grown = now.rx >= before.rx && now.forwarded >= before.forwarded;
            let pinged = now.passed >= PINGS;
            let expected = before.name == CLIENT_SIDE;
            assert!(
                grown && pinged == expected,
                "{list:?}: {before:?}, now {now:?}"
            );
        }
        assert_accounts(&bench.director);
    }
    Ok(())
}
