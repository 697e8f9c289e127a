//! Two FTP servers behind the director, in turn.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use adminapi::model::{
    Explanation, ForwardingMethod, Persistence, Protocol, Real, Scheduler, Service, ServiceId,
    ServicePatch,
};
use anyhow::{Context, Result};
use testbed::director::{Configuration, Director, by, service};
use testbed::ftp::{self, Vsftpd};
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{Plan, Topology, VIP_V4};

const SIZE: usize = 3 << 20;

/// What the director speaks from by FullNAT.
const LOCAL: [&str; 2] = ["10.0.2.240", "fd00:2::f0"];

/// Two real servers, in turn.
pub(crate) struct Bed {
    pub(crate) director: Director,
    pub(crate) servers: Vec<Vsftpd>,
    pub(crate) topology: Topology,
}

impl Bed {
    pub(crate) fn start() -> Result<Option<Self>> {
        Self::start_by(ForwardingMethod::Nat)
    }

    pub(crate) fn start_by(method: ForwardingMethod) -> Result<Option<Self>> {
        Self::start_shaped(method, |configuration| configuration)
    }

    pub(crate) fn start_shaped(
        method: ForwardingMethod,
        shape: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<Option<Self>> {
        if !require::machine() || !require::programs(&["vsftpd"]) {
            return Ok(None);
        }
        let topology = Topology::build(Plan {
            reals: 2,
            ..Plan::default()
        })?;
        topology.meet_neighbours()?;
        let local: Vec<IpAddr> = LOCAL
            .map(str::parse)
            .into_iter()
            .collect::<Result<_, _>>()?;
        if method == ForwardingMethod::FullNat {
            topology.isolate_reals(&local)?;
        }
        let servers = topology.reals.iter().map(|host| Vsftpd::start(host, SIZE));
        let servers = servers.collect::<Result<_>>()?;
        let configuration =
            Configuration::new(topology.interfaces()).services(Family::BOTH.map(|family| {
                let reals = topology.reals.iter().map(|host| {
                    let address = host.address(family.vip());
                    (SocketAddr::new(address, 21), 1)
                });
                let vip = SocketAddr::new(family.vip(), 21);
                let service = service(Protocol::Tcp, vip, Scheduler::Rr, reals);
                by(service, method, None)
            }));
        let configuration = match method {
            ForwardingMethod::FullNat => configuration.datapath("local_addresses", LOCAL.to_vec()),
            _ => configuration,
        };
        Ok(Some(Self {
            director: Director::start(&topology.director, &shape(configuration))?,
            servers,
            topology,
        }))
    }

    /// What would become of a packet.
    pub(crate) fn explain(&self, from: SocketAddr, to: SocketAddr) -> Result<Explanation> {
        self.director.api().explain(Protocol::Tcp, from, to)
    }

    /// The real server of a client's connection.
    pub(crate) fn real_of(&self, client: SocketAddr) -> Result<SocketAddr> {
        let id = ServiceId::at(Protocol::Tcp, (VIP_V4, 21).into());
        let all = self.director.api().connections(id)?;
        let own = all.iter().find(|each| each.client == client);
        Ok(own.context("no connection")?.real)
    }

    /// Changes the services at port 21.
    pub(crate) fn change(&self, patch: &ServicePatch) -> Result<()> {
        let api = self.director.api();
        for family in Family::BOTH {
            let id = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
            let patch = patch.clone();
            api.call(async |client| client.change_service(id, patch).await)?;
        }
        Ok(())
    }

    /// Adds a service with the real servers of that at port 21, each at its `port`.
    pub(crate) fn beside(&self, family: Family, id: ServiceId, port: Option<u16>) -> Result<()> {
        let api = self.director.api();
        let usual = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
        let usual = Service::from(&api.service(usual)?);
        let reals = usual.reals.into_iter().map(|real| Real { port, ..real });
        api.add_service(&Service {
            id,
            persistence: Some(Persistence::default()),
            reals: reals.collect(),
            ..usual
        })?;
        Ok(())
    }

    /// Fetches files over one control connection; what curl says is on standard error.
    pub(crate) fn fetch(
        &self,
        family: Family,
        mode: &[&str],
        files: &[(&str, &Path)],
    ) -> Result<String> {
        self.fetch_at(21, family, mode, files)
    }

    /// Fetches them from the service at `port`.
    pub(crate) fn fetch_at(
        &self,
        port: u16,
        family: Family,
        mode: &[&str],
        files: &[(&str, &Path)],
    ) -> Result<String> {
        let server = SocketAddr::new(family.vip(), port);
        ftp::fetch(&self.topology.client, server, mode, files)
    }
}
