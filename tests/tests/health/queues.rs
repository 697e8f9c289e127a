//! Weights that go by listen queues: a program that does not accept gets less until it does.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use adminapi::model::{
    CookiePolicy, HealthPolicy, Protocol, QueueCondition, RealView, Scheduler, Service,
};
use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};
use testbed::agent::Agent;
use testbed::certificates::Authority;
use testbed::director::{Configuration, Director, binary, service};
use testbed::namespace::Namespace;
use testbed::process::output;
use testbed::require;
use testbed::servers::OTHER_HTTP_PORT;
use testbed::topology::{Plan, RealHost, Topology};
use testbed::wait;

use crate::bed::{FAMILY, PATIENCE};

/// Where agents find the director.
const DOOR: &str = "10.0.2.254:7071";

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 16;

/// So many leave a quarter of the weight.
const WAITING: usize = 12;

/// Of each real server.
const WEIGHT: u32 = 4;

/// Three steps of five seconds, on a machine that others use.
const RECOVERY: Duration = Duration::from_secs(60);

/// A program that accepts connections when it is let.
struct Program {
    accepts: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Program {
    fn start(host: &RealHost, accepts: bool) -> Result<Self> {
        let at = SocketAddr::from((host.v4, OTHER_HTTP_PORT));
        let socket = host.namespace.enter(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&at.into())?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })?;
        let listener = TcpListener::from(socket);
        let (accepts, ends) = (
            Arc::new(AtomicBool::new(accepts)),
            Arc::<AtomicBool>::default(),
        );
        let (may, over) = (Arc::clone(&accepts), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            let mut open = Vec::new();
            while !over.load(Relaxed) {
                match may.load(Relaxed).then(|| listener.accept()) {
                    Some(Ok((stream, _))) => open.push(stream),
                    _ => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Ok(Self {
            accepts,
            ends,
            thread: Some(thread),
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.ends.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Two real servers: the first one has an agent, and a program that does not accept.
struct Bed {
    director: Director,
    slow: Program,
    _quick: Program,
    _agent: Agent,
    _authority: Authority,
    topology: Topology,
}

impl Bed {
    fn build() -> Result<Self> {
        let topology = Topology::build(Plan {
            reals: 2,
            ..Plan::default()
        })?;
        topology.meet_neighbours()?;
        let authority = Authority::new()?;
        let door: SocketAddr = DOOR.parse()?;
        let files = authority.certify("director", &[door.ip()])?;
        let configuration = Configuration::new(topology.interfaces())
            .agents(door, &files)
            .service(watched(&topology));
        let [first, second] = &topology.reals[..] else {
            anyhow::bail!("not two real servers");
        };
        Ok(Self {
            director: Director::start(&topology.director, &configuration)?,
            slow: Program::start(first, false)?,
            _quick: Program::start(second, true)?,
            _agent: agent(first, &authority)?,
            _authority: authority,
            topology,
        })
    }

    fn view(&self, number: usize) -> Result<RealView> {
        let address = self.topology.reals[number].v4;
        let reals = self.director.api().service(FAMILY.http_service())?.reals;
        let found = reals.into_iter().find(|real| real.address == address);
        found.context("it is not configured")
    }

    fn queue(&self, number: usize) -> Result<QueueCondition> {
        let condition = self.view(number)?.condition;
        let queue = condition.and_then(|condition| condition.queue);
        queue.context("its weight does not go by its queue")
    }

    /// Waits until so many percent of the weight of the first one are left.
    fn until_left(&self, percent: u32, patience: Duration) -> Result<RealView> {
        wait::until("the weight", patience, || {
            let queue = self.queue(0)?;
            let told = queue.full.is_some();
            ensure!(told && queue.leaves == percent, "{queue:?}");
            self.view(0)
        })
    }

    /// Opens so many connections; how many of them the first real server has got.
    fn share(&self, count: usize) -> Result<(usize, Vec<TcpStream>)> {
        let open = connect(&self.topology.client, FAMILY.http(), count)?;
        let clients = open.iter().map(TcpStream::local_addr);
        let clients = clients.collect::<std::io::Result<Vec<_>>>()?;
        let known = self.director.api().connections(FAMILY.http_service())?;
        let first = self.topology.reals[0].v4;
        let its = |client: &&SocketAddr| {
            let mut known = known.iter();
            known.any(|one| one.client == **client && one.real.ip() == first)
        };
        let share = clients.iter().filter(its).count();
        Ok((share, open))
    }

    /// The weights that ipvsadm lists.
    fn listed(&self) -> Result<Vec<String>> {
        let mut command = self.topology.director.command(binary("bulwark")?);
        let socket = self.director.socket();
        command.env("BULWARK_API", format!("unix:{}", socket.display()));
        let text = output(command.args(["-Ln", "-t", &FAMILY.http().to_string()]))?;
        let rows = text
            .lines()
            .filter_map(|line| line.strip_prefix("  -> 10."));
        let weights = rows.filter_map(|row| row.split_whitespace().nth(2));
        Ok(weights.map(str::to_owned).collect())
    }

    /// What has been told of the weight of the first one.
    fn told(&self) -> Result<Vec<String>> {
        let api = self.director.api();
        let events = api.call(async |client| client.events(0).await)?.events;
        let told = events
            .into_iter()
            .filter(|event| event.kind == "real_health");
        Ok(told.map(|event| event.message).collect())
    }
}

/// Without cookies: whose agent holds no keys is asked about its queue as well.
fn watched(topology: &Topology) -> Service {
    let at = |host: &RealHost| (SocketAddr::from((host.v4, OTHER_HTTP_PORT)), WEIGHT);
    let reals = topology.reals.iter().map(at);
    Service {
        cookies: CookiePolicy::Off,
        health: Some(HealthPolicy {
            queues: true,
            ..HealthPolicy::default()
        }),
        ..service(Protocol::Tcp, FAMILY.http(), Scheduler::Wrr, reals)
    }
}

fn agent(host: &RealHost, authority: &Authority) -> Result<Agent> {
    let files = authority.certify(&host.name, &[host.v4.into()])?;
    let text = format!(
        "[agent]\ninterface = \"eth0\"\n[agent.director]\naddress = \"{DOOR}\"\n\
         certificate = {:?}\nkey = {:?}\nca = {:?}\n",
        files.certificate, files.key, files.authority
    );
    Agent::start(&host.namespace, &text)
}

fn connect(from: &Namespace, to: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    from.enter(|| {
        let open = (0..count).map(|_| TcpStream::connect_timeout(&to, PATIENCE));
        Ok(open.collect::<std::io::Result<_>>()?)
    })
}

#[test]
fn a_program_that_does_not_accept_gets_less_until_it_has_caught_up() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    bed.until_left(100, PATIENCE)?;
    let other = bed.queue(1)?;
    assert_eq!(other.lack.as_deref(), Some("no agent speaks for it"));

    // Its clients wait, and it does not.
    let direct = SocketAddr::from((bed.topology.reals[0].v4, OTHER_HTTP_PORT));
    let _waiting = connect(&bed.topology.director, direct, WAITING)?;
    let relieved = bed.until_left(25, PATIENCE)?;
    let condition = relieved.condition.clone().unwrap_or_default();
    assert_eq!((relieved.weight, condition.weight), (WEIGHT, 1));
    assert_eq!(condition.percent, 25);
    let (share, _open) = bed.share(10)?;
    assert_eq!(share, 2);
    assert_eq!(bed.listed()?, ["4", "4"]);

    bed.slow.accepts.store(true, Relaxed);
    let whole = bed.until_left(100, RECOVERY)?;
    assert_eq!(whole.condition.unwrap_or_default().weight, WEIGHT);
    let (share, _more) = bed.share(4)?;
    assert_eq!(share, 2);
    let told = bed.told()?;
    ensure!(told.len() == 2, "each step is told: {told:?}");
    ensure!(
        told[0].contains("is relieved: its listen queue is"),
        "{told:?}"
    );
    ensure!(told[1].contains("has its whole weight again"), "{told:?}");
    Ok(())
}
