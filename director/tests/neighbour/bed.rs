//! Two network namespaces, and what is seen of them from inside the first.

use std::fmt::Debug;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use director::neighbour::{Ask, Hop, Mac, Neighbourhood, NoHop};
use director::time::Tick;
use director::wire::Addr;

/// Set for the process inside the namespace: the name of the other one.
const PEER: &str = "BULWARK_TEST_PEER";

/// How long a change may take to be seen; the slowest, a silent neighbour, takes some 20 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two joined namespaces, removed on drop.
struct Net {
    director: String,
    peer: String,
}

impl Net {
    fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), SERIAL.fetch_add(1, Relaxed));
        let net = Self {
            director: format!("bwnb-d-{id}"),
            peer: format!("bwnb-p-{id}"),
        };
        let (d, p) = (&net.director, &net.peer);
        ip(&format!("netns add {d}"));
        ip(&format!("netns add {p}"));
        for ns in [d, p] {
            ip(&format!("-n {ns} link set lo up"));
        }
        for (n, v4, v6) in [(0, "10.1.0", "2001:db8:1:"), (1, "10.2.0", "2001:db8:2:")] {
            ip(&format!(
                "-n {d} link add eth{n} type veth peer name p{n} netns {p}"
            ));
            for (ns, dev, host) in [(d, format!("eth{n}"), 1), (p, format!("p{n}"), 2)] {
                ip(&format!("-n {ns} addr add {v4}.{host}/24 dev {dev}"));
                ip(&format!("-n {ns} addr add {v6}:{host}/64 dev {dev} nodad"));
                ip(&format!("-n {ns} link set {dev} up"));
            }
        }
        net
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for ns in [&self.director, &self.peer] {
            let _ = Command::new("ip").args(["netns", "del", ns]).status();
        }
    }
}

pub(crate) fn ip(arguments: &str) -> String {
    run("ip", arguments).unwrap_or_else(|error| panic!("ip {arguments}: {error}"))
}

pub(crate) fn run(program: &str, arguments: &str) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments.split_whitespace())
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Runs `body`, the test called `name` with its modules, inside namespaces of its own.
pub(crate) fn inside<F: Future<Output = ()>>(name: &str, body: impl FnOnce(World) -> F) {
    if let Ok(peer) = std::env::var(PEER) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        return runtime.block_on(async { body(World::new(peer).await).await });
    }
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("SKIPPED {name}: making network namespaces needs root");
        return;
    }
    let net = Net::new();
    let again = std::env::current_exe().unwrap();
    let output = Command::new("ip")
        .args(["netns", "exec", &net.director])
        .arg(again)
        .args(["--exact", name, "--nocapture"])
        .env(PEER, &net.peer)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    // A name that no test has would pass too.
    let ran = output.status.success() && said.contains("1 passed");
    assert!(ran, "{name} failed inside its namespace");
}

/// The view from inside the director's namespace.
pub(crate) struct World {
    pub(crate) peer: String,
    pub(crate) network: Neighbourhood,
}

impl World {
    async fn new(peer: String) -> Self {
        let network = Neighbourhood::follow(&["eth0", "eth1"]).await.unwrap();
        Self { peer, network }
    }

    pub(crate) fn next(&self, dst: &str) -> Result<Hop, NoHop> {
        self.network.fib().load().next_hop(addr(dst), 0)
    }

    /// Asks for what is missing until there is a next hop.
    pub(crate) async fn resolve(&self, dst: &str) -> Hop {
        let mut asker = self.network.asker();
        let mut now = Tick(0);
        let hop = eventually(
            dst,
            || {
                let next = self.next(dst);
                if let Some(ask) = next.err().and_then(Ask::to_mend) {
                    now = Tick(now.0 + 1);
                    asker.ask(ask, now);
                }
                next
            },
            Result::is_ok,
        );
        hop.await.unwrap()
    }

    /// Waits until the next hop to `dst` is as `wanted`.
    pub(crate) async fn until(&self, dst: &str, wanted: impl Fn(&Result<Hop, NoHop>) -> bool) {
        let _seen = eventually(dst, || self.next(dst), wanted).await;
    }

    pub(crate) async fn becomes(&self, dst: &str, expected: Result<Hop, NoHop>) {
        self.until(dst, |next| *next == expected).await;
    }

    /// Waits until all that the kernel has told so far is taken in.
    pub(crate) async fn hears_all(&self) {
        let marker = "198.18.0.1";
        for (verb, expected) in [("add", NoHop::Unreachable), ("del", NoHop::NoRoute)] {
            ip(&format!("route {verb} blackhole {marker}"));
            self.becomes(marker, Err(expected)).await;
        }
    }

    /// Runs `ip` in the peer's namespace.
    pub(crate) fn peer(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.peer))
    }
}

/// Looks until `wanted` holds and returns what it then saw.
pub(crate) async fn eventually<T: Debug>(
    what: &str,
    mut look: impl FnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let start = Instant::now();
    loop {
        let seen = look();
        if wanted(&seen) {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: still {seen:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

pub(crate) fn mac_in(text: &str) -> Mac {
    let text = text.split("link/ether ").nth(1).unwrap();
    let bytes = text.split(' ').next().unwrap().split(':');
    let bytes: Vec<u8> = bytes.map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

pub(crate) fn ifindex(name: &str) -> u32 {
    let path = format!("/sys/class/net/{name}/ifindex");
    let text = std::fs::read_to_string(path).unwrap();
    text.trim().parse().unwrap()
}

pub(crate) fn unresolved(dev: &str, who: &str) -> Result<Hop, NoHop> {
    Err(NoHop::Unresolved {
        ifindex: ifindex(dev),
        addr: addr(who),
    })
}

/// Ports that many flows to `dst` leave through, as a bit set.
pub(crate) fn ports(world: &World, dst: &str) -> u32 {
    let fib = world.network.fib().load();
    let hash = |flow: u64| flow.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    let hops = (0..64).filter_map(|flow| fib.next_hop(addr(dst), hash(flow)).ok());
    hops.fold(0, |ports, hop| ports | 1 << hop.port)
}
