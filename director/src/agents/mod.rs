//! The agents of real servers, as the director sees them: who has reported lately, and which keys
//! each of them holds.
//!
//! * `serve`: takes connections of agents.

mod serve;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use tokio::sync::mpsc::UnboundedSender;

use crate::channel::{Keys, KeysOf, Order, Report, SecretKey, Standing, is_for};
use crate::cookie::{self, Abilities, Key};
use crate::time::{Tick, Ticks};

pub use serve::{Door, serve};

/// After so long without a report nothing is entrusted to a real server.
const LEASE: Ticks = Ticks::seconds(2);

/// Agents at most.
const MOST: usize = 4096;

/// Services whose connections may come to one endpoint (`SERVICES` in `bpf/agent/cookie.h`).
const SERVICES: usize = 4;

/// One agent that is connected.
struct Session {
    certificate: CertificateDer<'static>,
    /// Whether it speaks for an address, as far as that was asked.
    names: HashMap<IpAddr, bool>,
    heard: Tick,
    report: Report,
    /// What it was told last, and what it holds.
    told: Keys,
    holds: Keys,
    orders: UnboundedSender<Order>,
}

impl Session {
    fn is_for(&mut self, addr: IpAddr) -> bool {
        let certificate = &self.certificate;
        let ask = || is_for(certificate, addr);
        *self.names.entry(addr).or_insert_with(ask)
    }

    fn is_alive(&self, now: Tick) -> bool {
        !self.report.leaving && self.heard.until(now) < LEASE
    }

    fn holds(&self, service: u16, endpoint: SocketAddr, key: &Key) -> bool {
        let key = Some(SecretKey::from(*key));
        let of = |keys: &&KeysOf| keys.service == service && keys.endpoint == endpoint;
        let found = self.holds.services.iter().find(of);
        found.is_some_and(|found| found.keys.contains(&key))
    }
}

/// All of them.
#[derive(Default)]
pub struct Agents {
    sessions: Mutex<HashMap<u64, Session>>,
}

/// Why a real server takes no connections that cookies have proved.
pub(crate) type Inability = &'static str;

impl Agents {
    /// An agent has come; false when there are too many.
    fn join(
        &self,
        id: u64,
        certificate: CertificateDer<'static>,
        orders: UnboundedSender<Order>,
        now: Tick,
    ) -> bool {
        let mut sessions = self.sessions.lock();
        let room = sessions.len() < MOST;
        if room {
            let session = Session {
                certificate,
                names: HashMap::new(),
                heard: now,
                report: Report::default(),
                told: Keys::default(),
                holds: Keys::default(),
                orders,
            };
            sessions.insert(id, session);
        }
        room
    }

    /// It has said something.
    fn hear(&self, id: u64, report: Report, now: Tick) {
        if let Some(session) = self.sessions.lock().get_mut(&id) {
            session.heard = now;
            let news = session.holds.number != session.told.number;
            if news && report.number == session.told.number {
                session.holds.clone_from(&session.told);
            }
            session.report = report;
            // Nobody is there to hear it when it has gone.
            let _ = session.orders.send(Order::Stay);
        }
    }

    /// It has gone.
    fn part(&self, id: u64) {
        self.sessions.lock().remove(&id);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Tells each agent the keys of the real servers that it speaks for, where they have changed.
    pub(crate) fn tell(&self, all: &[(IpAddr, KeysOf)], lease: u32) {
        for session in self.sessions.lock().values_mut() {
            let own = all.iter().filter(|(addr, _)| session.is_for(*addr));
            let services = as_many_as_fit(own.map(|(_, keys)| keys));
            let fresh = session.told.number == 0;
            if !fresh && session.told.services == services && session.told.lease == lease {
                continue;
            }
            session.told = Keys {
                number: session.told.number + 1,
                lease,
                scale: cookie::SCALE,
                services,
            };
            let _ = session.orders.send(Order::Keys(session.told.clone()));
        }
    }

    /// Whether an agent speaks for a real server, however it is.
    pub(crate) fn has(&self, addr: IpAddr) -> bool {
        let mut sessions = self.sessions.lock();
        sessions.values_mut().any(|session| session.is_for(addr))
    }

    /// What the real server at `addr` can do with connections to `endpoint` that were proved with
    /// `key`.
    ///
    /// # Errors
    /// Why it takes none.
    pub(crate) fn stand(
        &self,
        addr: IpAddr,
        service: u16,
        endpoint: SocketAddr,
        key: &Key,
        now: Tick,
    ) -> Result<Abilities, Inability> {
        let mut sessions = self.sessions.lock();
        let mut why = "no agent speaks for it";
        for session in sessions.values_mut().filter(|s| s.is_alive(now)) {
            if !session.is_for(addr) {
                continue;
            }
            why = match lack(session, service, endpoint, key) {
                None => return Ok(session.report.able.into()),
                Some(lack) => lack,
            };
        }
        Err(why)
    }
}

/// The keys without those of services that an agent has no room for: nobody holds these, so nobody
/// makes cookies with them.
fn as_many_as_fit<'k>(all: impl Iterator<Item = &'k KeysOf>) -> Vec<KeysOf> {
    let mut taken: HashMap<SocketAddr, usize> = HashMap::new();
    let fits = |keys: &&KeysOf| {
        let services = taken.entry(keys.endpoint).or_default();
        *services += 1;
        *services <= SERVICES
    };
    all.filter(fits).cloned().collect()
}

/// What keeps a real server from taking such connections.
fn lack(session: &Session, service: u16, endpoint: SocketAddr, key: &Key) -> Option<Inability> {
    if !session.holds(service, endpoint, key) {
        return Some("its agent does not hold the key yet");
    }
    if !session.report.able.cookies {
        return Some("its tcp_syncookies is 0");
    }
    let mut listening = session.report.listening.iter();
    match listening.find(|listening| listening.endpoint == endpoint) {
        None => Some("its agent has not looked yet"),
        Some(found) if found.standing == Standing::Ready => None,
        Some(found) => Some(found.standing.name()),
    }
}

#[cfg(test)]
mod tests;
