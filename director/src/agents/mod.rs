//! The agents of real servers, as the director sees them: who has reported lately, and which keys
//! each of them holds.
//!
//! * `serve`: takes connections of agents.
//! * `speakers`: who speaks for whom.

mod serve;
mod speakers;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use tokio::sync::mpsc::UnboundedSender;

use crate::channel::{Keys, KeysOf, Lack, Listening, Order, Report, SecretKey, Standing};
use crate::cookie::{self, Abilities, Key};
use crate::time::{Tick, Ticks};

pub use serve::{Door, serve, shown};
use speakers::Speakers;

/// After so long without a report nothing is entrusted to a real server.
const LEASE: Ticks = Ticks::seconds(2);

/// Agents at most.
const MOST: usize = 4096;

/// Services whose connections may come to one endpoint (`SERVICES` in `bpf/agent/cookie.h`).
const SERVICES: usize = 4;

/// Endpoints at most of whose queues one agent is asked beside those that it has keys for: a report is
/// a line of bounded length.
const QUEUES: usize = 4096;

/// One agent that is connected.
struct Session {
    heard: Tick,
    report: Report,
    /// What it was told last, and what it holds.
    told: Keys,
    holds: Keys,
    orders: UnboundedSender<Order>,
    host: IpAddr,
}

impl Session {
    fn is_alive(&self, now: Tick) -> bool {
        !self.report.leaving && self.heard.until(now) < LEASE
    }

    /// The listen queues of the endpoints that it has keys for, whatever else it tells of.
    fn queues(&self) -> impl Iterator<Item = &Listening> {
        let entrusted = self.told.services.iter().map(|keys| keys.endpoint);
        let entrusted: HashSet<_> = entrusted.collect();
        let all = self.report.listening.iter();
        all.filter(move |queue| entrusted.contains(&queue.endpoint))
    }

    /// What it tells of an endpoint.
    fn look(&self, endpoint: SocketAddr) -> Result<&Listening, Inability> {
        let mut listening = self.report.listening.iter();
        let found = listening.find(|listening| listening.endpoint == endpoint);
        found.ok_or("its agent has not looked yet")
    }

    fn holds(&self, service: u16, endpoint: SocketAddr, key: &Key) -> bool {
        let key = Some(SecretKey::from(*key));
        let of = |keys: &&KeysOf| keys.service == service && keys.endpoint == endpoint;
        let found = self.holds.services.iter().find(of);
        found.is_some_and(|found| found.keys.contains(&key))
    }

    /// Tells it all its keys, and whose queues are asked for, where that has changed.
    fn tell(&mut self, services: Vec<KeysOf>, queues: Vec<SocketAddr>, lease: u32) {
        let next = Keys {
            number: self.told.number,
            lease,
            scale: cookie::SCALE,
            services,
            queues,
        };
        let fresh = self.told.number == 0;
        if !fresh && self.told == next {
            return;
        }
        self.told = Keys {
            number: self.told.number + 1,
            ..next
        };
        let _ = self.orders.send(Order::Keys(self.told.clone()));
    }
}

/// All of them.
#[derive(Default)]
pub struct Agents {
    connected: Mutex<Connected>,
}

#[derive(Default)]
struct Connected {
    sessions: HashMap<u64, Session>,
    /// From where they are connected, and how many from there.
    hosts: HashMap<IpAddr, usize>,
    speakers: Speakers,
}

/// Why a real server takes no connections that cookies have proved.
pub(crate) type Inability = &'static str;

impl Agents {
    /// An agent has come; false when there are too many.
    fn join(
        &self,
        id: u64,
        (host, certificate): (IpAddr, CertificateDer<'static>),
        orders: UnboundedSender<Order>,
        now: Tick,
    ) -> bool {
        let mut connected = self.connected.lock();
        let room = connected.sessions.len() < MOST;
        if room {
            let session = Session {
                heard: now,
                report: Report::default(),
                told: Keys::default(),
                holds: Keys::default(),
                orders,
                host,
            };
            connected.sessions.insert(id, session);
            *connected.hosts.entry(host).or_default() += 1;
            connected.speakers.join(id, certificate);
        }
        room
    }

    /// It has said something.
    fn hear(&self, id: u64, report: Report, now: Tick) {
        if let Some(session) = self.connected.lock().sessions.get_mut(&id) {
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

    /// It has gone. Whether it had said so.
    fn part(&self, id: u64) -> bool {
        let mut connected = self.connected.lock();
        connected.speakers.part(id);
        let Some(session) = connected.sessions.remove(&id) else {
            return false;
        };
        if let Some(others @ 1..) = connected.hosts.remove(&session.host).map(|all| all - 1) {
            connected.hosts.insert(session.host, others);
        }
        session.report.leaving
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.connected.lock().sessions.len()
    }

    /// Tells each agent the keys of the real servers that it speaks for, and of which `queues` of theirs
    /// it is to tell, where that has changed.
    pub(crate) fn tell(
        &self,
        all: &[(IpAddr, KeysOf)],
        queues: &[(IpAddr, SocketAddr)],
        lease: u32,
    ) {
        let Connected {
            sessions, speakers, ..
        } = &mut *self.connected.lock();
        let mut own: HashMap<u64, Vec<&KeysOf>> = HashMap::new();
        for (addr, keys) in all {
            for id in speakers.of(*addr) {
                own.entry(*id).or_default().push(keys);
            }
        }
        let mut asked: HashMap<u64, BTreeSet<SocketAddr>> = HashMap::new();
        for (addr, endpoint) in queues {
            for id in speakers.of(*addr) {
                asked.entry(*id).or_default().insert(*endpoint);
            }
        }
        for (id, session) in sessions {
            let own = own.remove(id).unwrap_or_default();
            let asked = asked.remove(id).unwrap_or_default();
            let asked = asked.into_iter().take(QUEUES).collect();
            session.tell(as_many_as_fit(own.into_iter()), asked, lease);
        }
    }

    /// Whether an agent speaks for a real server, however it is.
    pub(crate) fn has(&self, addr: IpAddr) -> bool {
        !self.connected.lock().speakers.of(addr).is_empty()
    }

    /// How full the fullest listen queue is that an agent tells of, in percent; none if nobody does.
    pub(crate) fn fullest(&self, now: Tick) -> Option<f64> {
        let connected = self.connected.lock();
        let alive = connected
            .sessions
            .values()
            .filter(|session| session.is_alive(now));
        let full = alive.flat_map(Session::queues).filter_map(fill);
        full.reduce(f64::max)
    }

    /// How full the listen queue at an endpoint of the real server at `addr` is, in whole percent.
    ///
    /// # Errors
    /// Why nobody tells.
    pub(crate) fn filled(
        &self,
        addr: IpAddr,
        endpoint: SocketAddr,
        now: Tick,
    ) -> Result<u32, Inability> {
        self.ask(addr, now, |session| {
            let queue = session.look(endpoint)?;
            let full = fill(queue).ok_or_else(|| shut(queue))?;
            Ok(full as u32)
        })
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
        self.ask(addr, now, |session| {
            stands(session, service, endpoint, key)?;
            Ok(session.report.able.into())
        })
    }

    /// The first answer that one of the agents gives who speak for the real server at `addr`.
    fn ask<T>(
        &self,
        addr: IpAddr,
        now: Tick,
        question: impl Fn(&Session) -> Result<T, Inability>,
    ) -> Result<T, Inability> {
        let Connected {
            sessions,
            hosts,
            speakers,
        } = &mut *self.connected.lock();
        let (mut lacking, mut idle) = (None, None);
        for session in speakers.of(addr).iter().filter_map(|id| sessions.get(id)) {
            if !session.is_alive(now) {
                idle = Some(match session.report.leaving {
                    true => "its agent is ending",
                    false => "its agent is silent",
                });
                continue;
            }
            match question(session) {
                Ok(answer) => return Ok(answer),
                Err(lack) => lacking = Some(lack),
            }
        }
        Err(lacking.or(idle).unwrap_or(match hosts.contains_key(&addr) {
            true => "the certificate of its agent is not for its address",
            false => "no agent speaks for it",
        }))
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

/// That a real server takes such connections, or what keeps it from that.
fn stands(
    session: &Session,
    service: u16,
    endpoint: SocketAddr,
    key: &Key,
) -> Result<(), Inability> {
    if !session.holds(service, endpoint, key) {
        return Err("its agent does not hold the key yet");
    }
    if !session.report.able.cookies {
        let lack = session.report.able.lack;
        return Err(lack.map_or("its tcp_syncookies is 0", Lack::name));
    }
    let found = session.look(endpoint)?;
    match found.standing {
        Standing::Ready => Ok(()),
        _ => Err(shut(found)),
    }
}

/// Why an endpoint is not ready.
const fn shut(found: &Listening) -> Inability {
    match found.elsewhere {
        true => "its address is none of its host's",
        false => found.standing.name(),
    }
}

/// How full a listen queue is, in percent; none where nobody listens.
fn fill(queue: &Listening) -> Option<f64> {
    (queue.limit > 0).then(|| match queue.standing {
        Standing::Full => 100.0,
        _ => 100.0 * f64::from(queue.waiting.min(queue.limit)) / f64::from(queue.limit),
    })
}

#[cfg(test)]
mod tests;
