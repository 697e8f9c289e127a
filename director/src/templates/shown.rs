//! Templates as listings show them.

use adminapi::model::Engine;

use super::key::{OF_MARK, address_of, call_of};
use crate::flow::{Class, Entry};
use crate::service::ServiceKey;
use crate::wire::{Endpoint, Protocol};

/// A template as listings show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// None for a mark.
    pub(crate) protocol: Option<Protocol>,
    /// Whether its client has talked to the real server.
    pub(crate) state: &'static str,
    /// The client, port 0.
    pub(crate) client: Endpoint,
    /// Where it goes.
    pub(crate) vip: Endpoint,
    /// Whether it is of one call of the client.
    pub(crate) engine: Option<Engine>,
}

/// A template of `service` as listings show it.
pub(crate) fn shown(template: &Entry, service: &ServiceKey) -> Shown {
    let mark = template.client().port & OF_MARK != 0;
    let call = call_of(&template.original());
    let client = match call {
        Some(_) => template.vip().addr,
        None => template.client().addr,
    };
    let addr = match *service {
        ServiceKey::Address { vip, .. } => vip.addr,
        ServiceKey::Mark { mark, family } => address_of(mark, family),
    };
    Shown {
        protocol: (!mark).then_some(template.protocol()),
        state: match template.class() {
            Class::Closing | Class::Established => "ASSURED",
            _ => "NONE",
        },
        client: Endpoint::new(client, 0),
        vip: Endpoint::new(addr, template.vip().port),
        engine: call.map(|_| Engine::Sip),
    }
}
