//! A client that comes again from the port of a connection that has just ended, to a service with cookies.

use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::RealPatch;
use anyhow::{Context, Result, ensure};

use crate::director::Director;
use crate::scene::Family;
use crate::topology::Topology;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(30);

/// The client's port.
pub const PORT: u16 = 25_000;

/// Asks often enough for the gate to forward what it says, and prints the last answer of each connection. The
/// kernel has the port for the next one when the last one is over.
const CLIENT: &str = "import errno, socket, struct, sys, time\n\
    vip, port, ending, times = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])\n\
    def connect():\n    \
    while True:\n        \
    s = socket.socket(socket.AF_INET6 if ':' in vip else socket.AF_INET)\n        \
    s.settimeout(30); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n        \
    s.bind(('', port))\n        \
    try: s.connect((vip, 80)); return s\n        \
    except OSError as e:\n            \
    if e.errno != errno.EADDRNOTAVAIL: raise\n        \
    s.close(); time.sleep(0.01)\n\
    def ask(s, more):\n    \
    s.sendall(b'GET / HTTP/1.1\\r\\nhost: vip\\r\\n' + more + b'\\r\\n'); heard = b''\n    \
    while not heard.partition(b'\\r\\n\\r\\n')[2].endswith(b'\\n'):\n        \
    heard += s.recv(4096) or sys.exit('cut off')\n    \
    return heard.split()[-1].decode()\n\
    for _ in range(times):\n    \
    s = connect()\n    \
    for _ in range(5): ask(s, b'')\n    \
    print(ask(s, b'connection: close\\r\\n' if ending == 'Server' else b''))\n    \
    if ending == 'Server': assert s.recv(1) == b''\n    \
    elif ending == 'Client': s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n    \
    else: s.setsockopt(socket.IPPROTO_TCP, 19, 1) # TCP_REPAIR\n    \
    s.close()\n";

/// Who has ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The server, whose kernel waits then (TIME_WAIT).
    Server,
    /// The client, by a RST: the server knows nothing of it any more.
    Client,
    /// Nobody: the client has lost it without a word, as in a crash, and the server still has it.
    Nobody,
}

/// The real servers that still have a connection, by its family.
#[derive(Debug)]
pub struct Left([String; 2]);

/// The client, its servers, and the director between them.
#[derive(Clone, Copy, Debug)]
pub struct Comeback<'a> {
    /// Where they are.
    pub topology: &'a Topology,
    /// Who forwards.
    pub director: &'a Director,
}

impl Comeback<'_> {
    /// As long as the director holds the last connection, the next one gets to the same real server, and its
    /// SYN is not answered: that one alone knows what it has of the client.
    ///
    /// # Errors
    /// When it is otherwise.
    pub fn is_known(&self, family: Family) -> Result<()> {
        for ending in [Ending::Server, Ending::Client] {
            let [first] = self.visit(family, ending)?;
            if ending == Ending::Server {
                self.await_rest(family)?;
            }
            let before = self.challenged(family)?;
            let again: [_; 3] = self.visit(family, ending)?;
            let stays = again.iter().all(|name| *name == first);
            ensure!(stays, "{family:?}, {ending:?}: {again:?} after {first}");
            let challenged = self.challenged(family)? - before;
            ensure!(challenged == 0, "{family:?}, {ending:?}: {challenged} SYNs");
        }
        Ok(())
    }

    /// Leaves a connection of each family at a real server, ended by the server or by nobody: which real
    /// servers these are.
    ///
    /// # Errors
    /// When nobody serves the client, or waits.
    pub fn leave(&self, ending: Ending) -> Result<Left> {
        let leave = |family| -> Result<String> {
            let [name] = self.visit(family, ending)?;
            if ending == Ending::Server {
                self.await_rest(family)?;
            }
            Ok(name)
        };
        Ok(Left([leave(Family::V4)?, leave(Family::V6)?]))
    }

    /// A director that has never heard of the last connection takes the client for a new one, and the real
    /// server that it gets is the one that still has that.
    ///
    /// # Errors
    /// When it is otherwise.
    pub fn is_taken_for_new(&self, left: &Left) -> Result<()> {
        for (family, name) in Family::BOTH.into_iter().zip(&left.0) {
            self.lead_back(family, left)?;
            let before = self.challenged(family)?;
            let [again] = self.visit(family, Ending::Server)?;
            ensure!(again == *name, "{family:?}: {again} instead of {name}");
            let challenged = self.challenged(family)? - before;
            ensure!(challenged > 0, "{family:?}: its SYN was not answered");
        }
        Ok(())
    }

    /// Has clients of a family led to the real server that still has its connection.
    ///
    /// # Errors
    /// When the API refuses it.
    pub fn lead_back(&self, family: Family, left: &Left) -> Result<()> {
        self.lead_to(family, &left.0[family as usize])
    }

    /// Has clients of a family led to one real server: takes their weight from all others.
    ///
    /// # Errors
    /// When the API refuses it.
    pub fn lead_to(&self, family: Family, name: &str) -> Result<()> {
        let (api, service) = (self.director.api(), family.http_service());
        let others = self.topology.reals.iter().filter(|real| real.name != name);
        let others: Vec<_> = others.map(|real| real.address(family.vip())).collect();
        for real in api.service(service)?.reals {
            if others.contains(&real.address) {
                let at = SocketAddr::new(real.address, real.port);
                let quiesced = RealPatch {
                    weight: Some(0),
                    ..RealPatch::default()
                };
                api.change_real(service, at, quiesced)?;
            }
        }
        Ok(())
    }

    /// Comes so often: who has answered.
    fn visit<const TIMES: usize>(&self, family: Family, ending: Ending) -> Result<[String; TIMES]> {
        let (vip, port) = (family.vip().to_string(), PORT.to_string());
        let (ending, times) = (format!("{ending:?}"), TIMES.to_string());
        let arguments = ["-c", CLIENT, &vip, &port, &ending, &times];
        let said = self.topology.client.run("python3", &arguments)?;
        let names: Vec<_> = said.lines().map(str::to_owned).collect();
        names.try_into().ok().context(said)
    }

    /// Waits until a real server does.
    fn await_rest(&self, family: Family) -> Result<()> {
        let version = match family {
            Family::V4 => "-4",
            Family::V6 => "-6",
        };
        wait::until("a real server to wait", PATIENCE, || {
            let reals = self.topology.reals.iter().map(|real| &real.namespace);
            let held = reals.map(|real| real.run("ss", &[version, "-tnH", "state", "time-wait"]));
            let held: String = held.collect::<Result<_>>()?;
            ensure!(!held.is_empty());
            Ok(())
        })
    }

    /// SYNs that were answered.
    fn challenged(&self, family: Family) -> Result<u64> {
        Ok(self.director.api().cookies(family.http_service())?.sent)
    }
}
