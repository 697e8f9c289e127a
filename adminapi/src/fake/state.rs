//! What the director without packets keeps, and how it shows it.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::error::{ControlError, Result};
use crate::model::*;
use crate::sysctl::Sysctls;

/// What it was told.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) services: Vec<ServiceView>,
    pub(super) timeouts: Timeouts,
    pub(super) daemons: Vec<SyncDaemon>,
    pub(super) sysctls: Sysctls,
    pub(super) marks: Vec<MarkRule>,
    pub(super) rules: FilterRules,
    /// What the filters have done, and the defence, where nobody has changed it.
    pub(crate) filtered: Filter,
    pub(crate) defense: Defense,
    pub(super) listings: Vec<Listed>,
    pub(super) levels: HashMap<Option<ServiceId>, u8>,
    pub(crate) changes: Vec<AuditEntry>,
    /// How often something was kept.
    pub(crate) kept: usize,
}

impl State {
    pub(super) fn place(&self, id: ServiceId) -> Option<usize> {
        self.services.iter().position(|service| service.id == id)
    }

    pub(super) fn service(&mut self, id: ServiceId) -> Result<&mut ServiceView> {
        let place = self.place(id).ok_or(ControlError::no_service(id))?;
        Ok(&mut self.services[place])
    }

    pub(super) fn real(&mut self, id: ServiceId, real: SocketAddr) -> Result<&mut RealView> {
        self.service(id)?
            .reals
            .iter_mut()
            .find(|view| view.endpoint() == real)
            .ok_or(ControlError::no_real(id, real))
    }
}

/// A view of `real` that has carried something, so that zeroing shows.
pub(super) fn real_view(service: ServiceId, real: &Real) -> RealView {
    let endpoint = real.endpoint(service.port());
    RealView {
        address: endpoint.ip(),
        port: endpoint.port(),
        weight: real.weight,
        method: real.method,
        tun: real.tunnel(),
        upper: real.upper,
        lower: real.lower,
        overloaded: false,
        active: 0,
        inactive: 0,
        check: real.check.clone(),
        condition: None,
        draining: None,
        persistent: 0,
        local_ports: None,
        stats: carried(),
        rates: Rates::default(),
        drops: Default::default(),
    }
}

pub(super) fn service_view(service: &Service) -> ServiceView {
    let id = service.id;
    ServiceView {
        id,
        naming: id.into(),
        scheduler: service.scheduler,
        scheduler_flags: service.scheduler_flags,
        persistence: service.persistence,
        engine: service.engine,
        one_packet: service.one_packet,
        health: service.health.clone(),
        condition: None,
        sorry: None,
        cookies: service.cookies,
        udp_repeats: service.udp_repeats,
        helper: service.helper,
        stats: carried(),
        rates: Rates::default(),
        drops: Default::default(),
        reals: service
            .reals
            .iter()
            .map(|real| real_view(id, real))
            .collect(),
    }
}

fn carried() -> Traffic {
    Traffic {
        connections: 7,
        ..Traffic::default()
    }
}

pub(super) fn listed(listing: &Listed) -> ListedView {
    ListedView {
        automatic: false,
        network: listing.network,
        list: listing.list,
        left: listing.seconds,
        why: listing.why.clone(),
        configured: false,
        packets: 0,
    }
}
