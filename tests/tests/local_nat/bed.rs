//! One real server outside, and the director with servers of its own.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adminapi::model::{CookiePolicy, ForwardingMethod, Real, Scheduler, ServicePatch};
use anyhow::{Result, ensure};
use testbed::director::{Configuration, Director};
use testbed::scene::{Family, services};
use testbed::servers::{ECHO_PORT, Nginx, OTHER_HTTP_PORT, UdpEcho};
use testbed::topology::Topology;
use testbed::traffic::{HttpConnection, UdpClient};
use testbed::wait;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The director's own address by which it is a real server.
pub(crate) fn own(family: Family) -> IpAddr {
    match family {
        Family::V4 => [10, 0, 2, 254].into(),
        Family::V6 => "fd00:2::fe".parse().unwrap_or_else(|_| unreachable!()),
    }
}

pub(crate) fn at(family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(own(family), port)
}

pub(crate) fn real(family: Family, port: u16) -> Result<Real> {
    let text = format!(
        "address = \"{}\"\nport = {port}\nmethod = \"{}\"\n",
        own(family),
        ForwardingMethod::Nat.name()
    );
    Ok(toml::from_str(&text)?)
}

pub(crate) struct Bed {
    pub(crate) director: Director,
    pub(crate) configuration: Configuration,
    pub(crate) here: Nginx,
    _outside: Nginx,
    _echo: [UdpEcho; 2],
    pub(crate) topology: Topology,
}

impl Bed {
    pub(crate) fn start(shape: impl FnOnce(Configuration) -> Configuration) -> Result<Self> {
        let topology = Topology::with_one_real()?;
        topology.meet_neighbours()?;
        let (outside, here) = (&topology.reals[0], &topology.director);
        // As strict as a distribution may set it.
        here.sysctl(&[
            "net.ipv4.conf.all.rp_filter=1",
            "net.ipv4.conf.default.rp_filter=1",
        ])?;
        let configuration = shape(Configuration::new(topology.interfaces())).services(services(
            &topology,
            Scheduler::Rr,
            &[1],
        ));
        Ok(Self {
            director: Director::start(here, &configuration)?,
            configuration,
            here: Nginx::start_in(here, "director")?,
            _outside: Nginx::start(outside)?,
            _echo: [
                UdpEcho::start(outside)?,
                UdpEcho::start_in(here, "director", Family::BOTH.map(own))?,
            ],
            topology,
        })
    }

    /// Adds the director to the services of a family.
    pub(crate) fn join(&self, family: Family) -> Result<()> {
        let api = self.director.api();
        api.add_real(family.http_service(), &real(family, OTHER_HTTP_PORT)?)?;
        api.add_real(family.echo_service(), &real(family, ECHO_PORT)?)
    }

    /// The same, and has nobody else serve HTTP.
    pub(crate) fn serve_alone(&self, family: Family) -> Result<()> {
        let outside = self.topology.reals[0].address(family.vip());
        let outside = SocketAddr::new(outside, OTHER_HTTP_PORT);
        self.join(family)?;
        (self.director.api()).remove_real(family.http_service(), outside)
    }

    /// Says when SYNs for HTTP are answered with cookies.
    pub(crate) fn set_cookies(&self, family: Family, cookies: CookiePolicy) -> Result<()> {
        let patch = ServicePatch {
            cookies: Some(cookies),
            ..ServicePatch::default()
        };
        let id = family.http_service();
        let api = self.director.api();
        api.call(async |client| client.change_service(id, patch.clone()).await)?;
        Ok(())
    }

    /// Packets that programs of this host have sent and the director has read.
    pub(crate) fn caught(&self) -> Result<u64> {
        let workers = self.director.api().stats()?.workers;
        Ok(workers.iter().map(|worker| worker.from_host).sum())
    }

    /// Nobody is at `server`: its kernel says so.
    pub(crate) fn refuses(&self, server: SocketAddr) -> Result<()> {
        let client = UdpClient::open(&self.topology.client, server)?;
        wait::until("the refusal", PATIENCE, || {
            let sent = client.socket().send(b"anybody?");
            let heard = sent.and_then(|_| client.socket().recv(&mut [0; 16]));
            let refused = heard
                .as_ref()
                .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
            ensure!(refused, "{server}: {heard:?}");
            Ok(())
        })
    }

    pub(crate) fn ask_directly(&self, family: Family) -> Result<()> {
        let client = &self.topology.client;
        let name = HttpConnection::open(client, at(family, OTHER_HTTP_PORT))?.ask_name()?;
        ensure!(name == "director", "{name}");
        let name = UdpClient::open(client, at(family, ECHO_PORT))?.echo(b"you")?;
        ensure!(name == "director", "{name}");
        Ok(())
    }
}
