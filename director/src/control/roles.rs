//! What the gate has to hear of a change: the roles of the endpoints that it touched.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use adminapi::model::Family;

use crate::ftp;
use crate::gate::{Gate, GateError, Roles, Scope};
use crate::marks::Rule;
use crate::pool::Pool;
use crate::service::{Method, Real, ServiceKey};
use crate::wire::{Addr, Endpoint, Protocol};

/// Endpoints whose roles a change may have changed.
#[derive(Debug, Default)]
pub(super) struct Touched {
    endpoints: BTreeSet<(Protocol, Endpoint)>,
    reals: bool,
}

type Result = std::result::Result<(), GateError>;

/// Real servers that are the director itself.
#[derive(Debug, Default)]
pub(super) struct Locals {
    /// Whether there is one that packets are handed to.
    pub(super) any: bool,
    /// Why new ones get no packets.
    pub(super) unserved: Vec<String>,
}

impl Touched {
    /// A service came or went.
    pub(super) fn service(&mut self, key: ServiceKey) {
        let vip = key.vip().into_iter();
        let endpoints = vip.flat_map(|vip| key.protocols().map(move |p| (p, vip)));
        self.endpoints.extend(endpoints);
        if let ServiceKey::Address { protocol, vip } = key {
            // It may be one of FTP, whose data has other ports.
            self.endpoints
                .insert((protocol, Endpoint::new(vip.addr, 0)));
        }
    }

    /// A real server of a service came or went.
    pub(super) fn real(&mut self, service: &ServiceKey, endpoint: Endpoint) {
        let endpoints = service.protocols().map(|protocol| (protocol, endpoint));
        self.endpoints.extend(endpoints);
        if service.has(Protocol::Tcp) {
            // One of FTP answers from any port.
            let anywhere = Endpoint::new(endpoint.addr, 0);
            self.endpoints.insert((Protocol::Tcp, anywhere));
        }
        self.reals = true;
    }

    /// All endpoints, with those of data where `pool` follows FTP.
    fn endpoints(&self, pool: &Pool) -> BTreeSet<(Protocol, Endpoint)> {
        let vips = self.endpoints.iter().map(|(_, endpoint)| endpoint);
        let controls = vips.filter(|vip| pool.is_control(**vip));
        let data = controls.flat_map(|vip| {
            let ports = ftp::data_ports(vip.port);
            ports.map(|port| (Protocol::Tcp, Endpoint::new(vip.addr, port)))
        });
        data.chain(self.endpoints.iter().copied()).collect()
    }

    /// Whether a real server came or went.
    pub(super) const fn reals(&self) -> bool {
        self.reals
    }

    /// The real servers of `new` that are the director itself.
    pub(super) fn locals(&self, old: &Pool, new: &Pool, locals: &[Addr]) -> Locals {
        let mut found = Locals::default();
        for &(protocol, endpoint) in &self.endpoints {
            for real in served_here(new, protocol, endpoint, locals) {
                let before = old.service(&real.service);
                let before = before.and_then(|service| service.reals.find(endpoint));
                let is_new = before.is_none_or(|old| old.method != real.method);
                found
                    .unserved
                    .extend(unserved(real, locals).filter(|_| is_new));
                found.any |= is_handed_over(real);
            }
        }
        found
    }

    /// Where real servers of `pool` may answer from, and whether one does that is this host.
    pub(super) fn answering<'t>(
        &'t self,
        pool: &'t Pool,
        locals: &'t [Addr],
    ) -> impl Iterator<Item = (Protocol, Endpoint, bool)> + 't {
        let answers = move |&(protocol, endpoint): &(Protocol, Endpoint)| {
            let loopback = IpAddr::from(endpoint.addr).is_loopback();
            let here = !loopback && locals.contains(&endpoint.addr);
            (protocol, endpoint, here && pool.answers(protocol, endpoint))
        };
        self.endpoints.iter().map(answers)
    }

    /// Takes from the gate the roles that `new` has no more.
    pub(super) fn close(&self, gate: &Gate, old: &Pool, new: &Pool, locals: &[Addr]) -> Result {
        for (protocol, endpoint) in self.endpoints(old) {
            let (had, has) = (
                roles(old, protocol, endpoint, locals),
                roles(new, protocol, endpoint, locals),
            );
            if !has.has(had) {
                gate.endpoints()
                    .set_roles(protocol, endpoint, had.both(has))?;
            }
        }
        for addr in self.addrs() {
            let (had, has) = (
                address_roles(old, addr, locals),
                address_roles(new, addr, locals),
            );
            if !has.has(had) {
                gate.endpoints().set_address(addr, had.both(has))?;
            }
        }
        Ok(())
    }

    /// Gives the gate the roles that `new` has.
    pub(super) fn open(&self, gate: &Gate, new: &Pool, locals: &[Addr]) -> Result {
        for (protocol, endpoint) in self.endpoints(new) {
            let roles = roles(new, protocol, endpoint, locals);
            gate.endpoints().set_roles(protocol, endpoint, roles)?;
        }
        for addr in self.addrs() {
            gate.endpoints()
                .set_address(addr, address_roles(new, addr, locals))?;
        }
        Ok(())
    }

    fn addrs(&self) -> BTreeSet<Addr> {
        self.endpoints
            .iter()
            .map(|(_, endpoint)| endpoint.addr)
            .collect()
    }
}

/// The real servers at `endpoint` that are this host: all if the address is its own, else one that
/// is the service itself.
fn served_here<'p>(
    pool: &'p Pool,
    protocol: Protocol,
    endpoint: Endpoint,
    locals: &[Addr],
) -> impl Iterator<Item = &'p Arc<Real>> {
    let local = IpAddr::from(endpoint.addr).is_loopback() || locals.contains(&endpoint.addr);
    let present = local.then(|| pool.present(protocol, endpoint));
    let itself = || {
        let service = pool.service(&ServiceKey::at(protocol, endpoint))?;
        service.reals.find(endpoint)
    };
    let itself = if local { None } else { itself() };
    present.into_iter().flatten().chain(itself)
}

/// Whether packets for `real`, which is this host, are handed to the kernel.
fn is_handed_over(real: &Real) -> bool {
    match real.method {
        Method::Nat => !IpAddr::from(real.endpoint.addr).is_loopback(),
        Method::Dr | Method::Tun(_) => true,
        Method::FullNat | Method::Bypass => false,
    }
}

/// Why a real server that is this host gets no packets, if it gets none.
fn unserved(real: &Real, locals: &[Addr]) -> Option<String> {
    let Real {
        endpoint, method, ..
    } = real;
    let why = match (method, real.service) {
        (Method::FullNat, _) => {
            "which by FullNAT would speak to itself; use NAT or direct routing".to_owned()
        }
        (Method::Nat, _) if !is_handed_over(real) => {
            "whose kernel takes nothing for a loopback address from outside; \
             use another address of this host, or direct routing"
                .to_owned()
        }
        (Method::Dr | Method::Tun(_), ServiceKey::Address { vip, .. })
            if !locals.contains(&vip.addr) =>
        {
            format!(
                "which does not have {vip}; give the VIP to an interface of this host, `lo` for instance"
            )
        }
        _ => return None,
    };
    Some(format!(
        "packets for the real server {endpoint} are dropped: it is the director itself, {why}"
    ))
}

/// What the gate is to take. What a real server on this host answers comes in through no interface:
/// who sends so from outside has forged its source, and is left to the kernel.
fn roles(pool: &Pool, protocol: Protocol, endpoint: Endpoint, locals: &[Addr]) -> Roles {
    let service = pool.service(&ServiceKey::at(protocol, endpoint)).is_some()
        || protocol == Protocol::Tcp && pool.takes_data(endpoint);
    let outside = !locals.contains(&endpoint.addr);
    let roles = of(service, outside && pool.answers(protocol, endpoint));
    let data = endpoint.port == 0 && pool.takes_ftp_data(protocol, endpoint.addr);
    roles.and(if data { Roles::FTP_DATA } else { Roles::NONE })
}

/// What the gate takes beyond endpoints with a port.
pub(super) fn scope(pool: &Pool) -> Scope {
    let has = |mark, family| pool.service(&ServiceKey::Mark { mark, family }).is_some();
    let wanted = |rule: &Rule| {
        let families = Family::ALL.into_iter();
        families.filter(|family| has(rule.mark, *family)).collect()
    };
    let rules = pool.marks().iter();
    Scope {
        wide: pool.is_wide(),
        rules: rules.map(|rule| (*rule, wanted(rule))).collect(),
    }
}

fn address_roles(pool: &Pool, addr: Addr, locals: &[Addr]) -> Roles {
    let outside = !locals.contains(&addr);
    of(pool.has_vip(addr), outside && pool.address_answers(addr))
}

fn of(service: bool, real: bool) -> Roles {
    let service = if service { Roles::SERVICE } else { Roles::NONE };
    service.and(if real { Roles::REAL } else { Roles::NONE })
}
