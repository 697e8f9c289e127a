//! What templates are filed under: the place of a connection, taken by a client.

use adminapi::model::Family;

use crate::flow::Tracked;
use crate::service::{FTP_PORT, Persistence, RealId, ServiceKey};
use crate::sip::Call;
use crate::time::Ticks;
use crate::wire::{Addr, Endpoint, Protocol, Tuple};

/// The virtual port of a template that is set aside (`ip_vs_check_template`).
pub(super) const SET_ASIDE: u16 = 0xffff;
/// The client's port in the table for a mark, which could be mistaken for an address else.
pub(super) const OF_MARK: u16 = 1;
/// The same for a call, which may be made to a mark.
const OF_CALL: u16 = 2;
/// The same for a template that is set aside.
const ASIDE: u16 = 4;

/// A client of a persistent service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    pub(super) key: Tuple,
    pub(super) timeout: Ticks,
    /// The call that it makes, and its Call-ID, where that decides.
    pub(super) call: Option<(Call, &'a str)>,
}

impl<'a> Client<'a> {
    pub(super) fn of(service: &ServiceKey, persistence: &Persistence, tuple: &Tuple) -> Self {
        Self {
            key: key(service, persistence.prefix, tuple),
            timeout: persistence.timeout,
            call: None,
        }
    }

    pub(super) fn calling(self, call: Call, id: &'a str) -> Self {
        Self {
            key: of_call(&self.key, call),
            call: Some((call, id)),
            ..self
        }
    }

    /// What is tracked of its connection.
    pub(crate) fn tracked(&self, tracked: Tracked) -> Tracked {
        self.call.map_or(tracked, |(call, _)| Tracked::Call(call))
    }
}

/// What a template is filed under.
pub(super) fn key(service: &ServiceKey, prefix: u8, tuple: &Tuple) -> Tuple {
    let client = tuple.src.addr.masked(prefix);
    match *service {
        ServiceKey::Address { protocol, vip } => Tuple {
            protocol,
            src: Endpoint::new(client, 0),
            dst: Endpoint::new(vip.addr, if vip.port == FTP_PORT { 0 } else { vip.port }),
        },
        ServiceKey::Mark { mark, family } => Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(client, OF_MARK),
            dst: Endpoint::new(address_of(mark, family), 0),
        },
    }
}

/// What the template of a call is filed under; `client` is that of its client alone.
pub(super) const fn of_call(client: &Tuple, Call(call): Call) -> Tuple {
    Tuple {
        src: Endpoint::new(Addr::v6(call), client.src.port | OF_CALL),
        dst: Endpoint::new(client.src.addr, client.dst.port),
        ..*client
    }
}

/// The call that a template filed under `key` is of.
pub(super) const fn call_of(key: &Tuple) -> Option<Call> {
    match key.src.port & OF_CALL {
        0 => None,
        _ => Some(Call(*key.src.addr.octets())),
    }
}

/// A mark as IPVS writes it into an address: its first four bytes.
pub(super) fn address_of(mark: u32, family: Family) -> Addr {
    let [a, b, c, d] = mark.to_be_bytes();
    match family {
        Family::Ipv4 => Addr::v4([a, b, c, d]),
        Family::Ipv6 => Addr::v6([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    }
}

/// Whether it is set aside.
pub(super) const fn is_aside(key: &Tuple) -> bool {
    key.src.port & ASIDE != 0
}

/// What it is filed under when it is set aside: several real servers may have lost one client.
pub(super) fn aside(key: &Tuple, real: RealId) -> Tuple {
    if is_aside(key) {
        return *key;
    }
    let port = key.src.port | ASIDE;
    let real = u128::from(real.0);
    if let Some(Call(call)) = call_of(key) {
        // Another call than the one in force, which has a name of its own in `calls`.
        let other = u128::from_be_bytes(call) ^ (real + 1);
        let addr = Addr::v6(other.to_be_bytes());
        return Tuple {
            src: Endpoint::new(addr, port),
            dst: Endpoint::new(key.dst.addr, SET_ASIDE),
            ..*key
        };
    }
    let addr = Addr::v6(real.to_be_bytes());
    Tuple {
        src: Endpoint::new(key.src.addr, port),
        dst: Endpoint::new(addr, SET_ASIDE),
        ..*key
    }
}
