//! The real servers of a service that nobody's packets get to, looked up once for all of them: to ask one
//! after the other for each new connection would take a worker longer than all else that it does.

use rustc_hash::FxHashSet;

use super::refusal::Refusal;
use crate::neighbour::{Fib, NoHop};
use crate::service::{Real, RealId, Service};

/// Those of a service, by a snapshot of the routes.
#[derive(Debug)]
pub(super) struct Lost {
    reals: FxHashSet<RealId>,
    is_all: bool,
}

impl Lost {
    pub(super) fn of(service: &Service, fib: &Fib) -> Self {
        let all = service.reals.iter();
        let lost = all.filter(|real| is_lost(real, fib)).map(|real| real.id);
        let reals: FxHashSet<_> = lost.collect();
        let is_all = reals.len() == service.reals.len();
        Self { reals, is_all }
    }

    /// Whether the service has nobody else.
    pub(super) const fn is_all(&self) -> bool {
        self.is_all
    }

    pub(super) fn has(&self, real: &Real) -> bool {
        self.reals.contains(&real.id)
    }
}

/// Whether no flow to a real server has a way. What is for this host may yet be served here.
fn is_lost(real: &Real, fib: &Fib) -> bool {
    let (hop, is_only) = fib.way(real.endpoint.addr, 0);
    let is_cut_off = |no_hop| no_hop != NoHop::Local && Refusal::from(no_hop).cuts_off();
    is_only && hop.is_err_and(is_cut_off)
}

#[cfg(test)]
mod tests {
    use adminapi::model::Scheduler;

    use super::*;
    use crate::neighbour::{
        Change, Form, Link, Placement, Prefix, Route, Table, Tables, Target, Via,
    };
    use crate::pool::Pool;
    use crate::service::{ServiceKey, Settings};
    use crate::wire::{Addr, Endpoint, Protocol};

    /// Addresses on the link: one that is asked for in vain, and one that is only being asked for.
    const SILENT: Addr = Addr::v4([10, 0, 0, 1]);
    const ASKED: Addr = Addr::v4([10, 0, 0, 2]);
    /// One that some flows cannot get to, and one that no route leads to.
    const FOR_SOME: Addr = Addr::v4([10, 1, 0, 1]);
    const NOWHERE: Addr = Addr::v4([10, 2, 0, 1]);

    fn route(net: [u8; 4], gateways: &[Option<Addr>]) -> Change {
        let via = |gateway: &Option<Addr>| Via {
            ifindex: 2,
            gateway: *gateway,
            weight: 1,
            mtu: 0,
        };
        let route = Route {
            prefix: Prefix::new(Addr::v4(net), 16),
            table: Table::Main,
            metric: 0,
            form: Form::Group,
            target: Target::Forward(gateways.iter().map(via).collect()),
        };
        Change::Route(route, Placement::Last)
    }

    fn fib() -> Fib {
        let mut tables = Tables::new(&["eth0"]);
        tables.apply(Change::Link(Link {
            ifindex: 2,
            name: "eth0".into(),
            mac: Some([2; 6]),
            mtu: 1500,
            up: true,
            port: None,
        }));
        tables.apply(route([10, 0, 0, 0], &[None]));
        tables.apply(route([10, 1, 0, 0], &[Some(SILENT), Some(ASKED)]));
        tables.apply(Change::NeighbourSilent(2, SILENT));
        tables.snapshot()
    }

    /// Who of these is lost, and whether that is all of them.
    fn lost(hosts: &[Addr]) -> (Vec<Addr>, bool) {
        let key = ServiceKey::at(Protocol::Udp, Endpoint::new(Addr::v4([10, 9, 9, 9]), 53));
        let mut pool = Pool::new(1);
        pool.add_service(key, Scheduler::Rr).unwrap();
        for host in hosts {
            let end = Endpoint::new(*host, 53);
            pool.add_real(&key, end, Settings::weight(1)).unwrap();
        }
        let service = pool.service(&key).unwrap();
        let lost = Lost::of(service, &fib());
        let reals = service.reals.iter().rev().filter(|real| lost.has(real));
        let reals = reals.map(|real| real.endpoint.addr).collect();
        (reals, lost.is_all())
    }

    #[test]
    fn those_are_lost_whom_no_flow_gets_to_for_now() {
        let all = [SILENT, ASKED, FOR_SOME, NOWHERE];
        assert_eq!(lost(&all), (vec![SILENT, NOWHERE], false));
        assert_eq!(lost(&[SILENT, NOWHERE]), (vec![SILENT, NOWHERE], true));
    }
}
