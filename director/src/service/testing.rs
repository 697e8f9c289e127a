//! Real servers that are known by number, for tests.

use std::sync::Arc;

use super::{Fitness, Ftp, Method, Real, RealId, ServiceKey, Standing};
use crate::stats::PerWorker;
use crate::wire::{Addr, Endpoint, Protocol};

/// Real server 1, 2, 3... of the captures: 10.2.1.1, 10.2.2.1, 10.2.3.1, 10.2.1.2, ...
pub(crate) fn real(number: u32, weight: u32) -> Arc<Real> {
    let [row, column] = [(number - 1) % 3 + 1, (number - 1) / 3 + 1];
    let [high, low] = (column as u16).to_be_bytes();
    let addr = Addr::v4([10, 2 + high, row as u8, low]);
    real_at(number, Endpoint::new(addr, 80), weight)
}

pub(crate) fn real_at(number: u32, endpoint: Endpoint, weight: u32) -> Arc<Real> {
    Arc::new(Real {
        id: RealId(number),
        service: ServiceKey::at(Protocol::Tcp, Endpoint::new(Addr::v4([10, 9, 9, 9]), 80)),
        endpoint,
        weight,
        configured: weight,
        fitness: Fitness::default(),
        bulletin: None,
        check: None,
        last_weight: weight,
        upper: 0,
        lower: 0,
        method: Method::Nat,
        drain: None,
        standing: Standing::Listed,
        load: Arc::default(),
        traffic: Arc::new(PerWorker::new(1)),
        service_traffic: Arc::new(PerWorker::new(1)),
        stance: Arc::default(),
        cookies: Arc::default(),
        ftp: Ftp::default(),
    })
}
