//! What health has done to the pool.

use std::sync::Arc;

use adminapi::error::Result;

use super::super::roles::Touched;
use super::super::{edit, translate};
use crate::pool::Pool;
use crate::service::{Bulletin, Fitness, ServiceKey, Settings};
use crate::wire::Endpoint;

/// What is to be done to the pool.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    /// A real server gets what its health leaves of its weight.
    Fit(Endpoint, Fitness, Option<Arc<Bulletin>>),
    /// It is taken out of service.
    Out(Endpoint, Option<Arc<Bulletin>>),
    /// The sorry server takes the new connections, or nobody in its place.
    Sorry(Option<(Endpoint, Settings)>),
}

/// Does them all; what has gone meanwhile needs nothing any more.
pub(super) fn carry_out(
    pool: &mut Pool,
    touched: &mut Touched,
    orders: &[(ServiceKey, Order)],
) -> Result<()> {
    for (key, order) in orders {
        let Some(service) = pool.service(key).cloned() else {
            continue;
        };
        let error = |error| translate::error(error, key, None);
        match order {
            Order::Fit(endpoint, fitness, bulletin) if service.find(*endpoint).is_some() => {
                if service.aside.find(*endpoint).is_some() {
                    pool.readmit(key, *endpoint).map_err(error)?;
                    touched.real(key, *endpoint);
                }
                let bulletin = bulletin.as_ref();
                pool.set_fitness(key, *endpoint, *fitness, bulletin)
                    .map_err(error)?;
            }
            Order::Out(endpoint, bulletin) if service.find(*endpoint).is_some() => {
                pool.set_aside(key, *endpoint, bulletin.as_ref())
                    .map_err(error)?;
                touched.real(key, *endpoint);
            }
            Order::Fit(..) | Order::Out(..) => {}
            Order::Sorry(sorry) => {
                if let Some((endpoint, _)) = sorry {
                    edit::refuse_sorry(pool, key, *endpoint)?;
                }
                pool.set_sorry(key, *sorry).map_err(error)?;
                let changed = sorry.map(|(endpoint, _)| endpoint);
                let before = service.sorry.as_ref().map(|real| real.endpoint);
                for endpoint in before.into_iter().chain(changed) {
                    touched.real(key, endpoint);
                }
            }
        }
    }
    Ok(())
}
