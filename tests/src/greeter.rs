//! A server that speaks first, as those of mail and of shells do, and its guests.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(30);

/// A line for each guest, then what the guest says.
const GREETER: &str = "import socket, sys, threading\n\
    def serve(family, host):\n    \
    s = socket.socket(family)\n    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n    \
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)\n    \
    s.bind((host, int(sys.argv[1]))); s.listen(64)\n    \
    while True:\n        c, _ = s.accept()\n        \
    try: c.sendall(b'220 ready\\r\\n'); c.sendall(c.recv(100))\n        \
    except ConnectionError: pass\n        c.close()\n\
    threading.Thread(target=serve, args=(socket.AF_INET, '0.0.0.0')).start()\n\
    serve(socket.AF_INET6, '::')\n";

/// Says nothing before it is greeted.
const GUEST: &str = "import socket, sys\n\
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30, ('', int(sys.argv[3])))\n\
    heard = s.recv(100); s.sendall(b'QUIT')\n\
    print(heard.decode().strip(), b''.join(iter(lambda: s.recv(100), b'')).decode())\n";

/// One that listens, until it is dropped.
#[derive(Debug)]
pub struct Greeter {
    _process: Process,
}

impl Greeter {
    /// Starts it on `port` of all addresses of `host`, and waits until it listens.
    ///
    /// # Errors
    /// When python3 is missing, or the port is taken.
    pub fn start(host: &Namespace, port: u16) -> Result<Self> {
        let mut python = host.command("python3");
        let process = Process::spawn(python.args(["-c", GREETER, &port.to_string()]))?;
        wait::until("a greeter", PATIENCE, || {
            let listens = host.run("ss", &["-tlnH", &format!("sport = :{port}")])?;
            ensure!(listens.lines().count() == 2, "{listens}");
            Ok(())
        })?;
        Ok(Self { _process: process })
    }
}

/// What a guest from `client` hears at `server`: the greeting, and its own word.
///
/// # Errors
/// When it hears nothing in time.
pub fn visit(client: &Namespace, server: SocketAddr) -> Result<String> {
    visit_from(0, client, server)
}

/// The same from a port of the client's own.
///
/// # Errors
/// When it hears nothing in time, or the port is taken.
pub fn visit_from(port: u16, client: &Namespace, server: SocketAddr) -> Result<String> {
    let (ip, to, from) = (server.ip(), server.port(), port);
    let arguments = [ip.to_string(), to.to_string(), from.to_string()];
    let [ip, to, from] = arguments.each_ref().map(String::as_str);
    let said = client.run("python3", &["-c", GUEST, ip, to, from])?;
    Ok(said.trim().to_owned())
}
