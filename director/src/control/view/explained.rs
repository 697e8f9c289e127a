//! What would become of a packet, as the API shows it.

use std::net::SocketAddr;

use adminapi::ControlError;
use adminapi::error::Result;
use adminapi::model::{
    CookieWay, DecidingRule, ExplainQuery, Explanation, Fate, NextHop, Scheduler,
};

use super::template;
use crate::control::origin::{Origin, Sender};
use crate::control::{Director, translate};
use crate::drops::{Cause, DropReason};
use crate::flow::Direction;
use crate::neighbour::Hop;
use crate::path::{self, Probe};
use crate::service::Service;
use crate::wire::tcp::Flags;
use crate::wire::{Addr, Tuple};

impl Director {
    /// What would become of a packet.
    pub(in crate::control) fn explained(&self, query: &ExplainQuery) -> Result<Explanation> {
        let probe = probe(query);
        let tuple = &probe.tuple;
        let now = self.facts.clock.now();
        let port = self.port_of(query.interface.as_deref())?;
        let found = self.shared.explain(&probe, port, now);
        let is_taken = found.pool.takes(tuple, port);
        let origin = self.origin(&sender(&found, &probe, port), is_taken)?;
        let answer = self.answer(&found, &origin, &probe);
        let refused = origin
            .refused
            .or(answer.err().map(Cause::name))
            .or(found.refused.map(DropReason::name));
        let limit = || self.limit(&found, refused, tuple.src.addr);
        let listed = |entry| self.listed(&found.pool, entry, now);
        let template = |entry| template(&self.shared.templates, &found.pool, entry, now);
        let real = found.real.as_ref();
        Ok(Explanation {
            fate: fate(refused, is_taken),
            reason: refused.map(str::to_owned),
            listed: origin.listed,
            rule: origin.rule.or_else(limit),
            cookies: answer.ok().flatten(),
            repeats: refused.is_none() && self.is_asked_again(&found),
            place: self.place_of(tuple.src.addr),
            service: found.service.as_ref().map(translate::id),
            connection: found.connection.as_ref().and_then(listed),
            becomes: found.becomes.map(|state| state.name().to_owned()),
            left_behind: found.left.as_ref().and_then(listed),
            template: found.template.as_ref().and_then(template),
            one_packet: found.one_packet,
            expected: found.expected,
            scheduler: scheduler(&found).filter(|_| probe.opens() || found.real.is_some()),
            real: destination(&found),
            sorry: is_sorry(&found),
            method: real.map(|real| translate::api_method(real.method).0),
            next_hop: found.hop.and_then(|hop| self.next_hop(&hop)),
        })
    }

    /// The number of the interface `name`; the first when none is named.
    fn port_of(&self, name: Option<&str>) -> Result<u16> {
        let Some(name) = name else {
            return Ok(0);
        };
        let mut interfaces = self.facts.interfaces.iter();
        let port = interfaces.position(|(interface, _)| interface.name == name);
        let unknown = || ControlError::NoInterface(name.to_owned());
        port.map(|port| port as u16).ok_or_else(unknown)
    }

    /// How a packet would be answered with a cookie, or which cookie it lacks.
    ///
    /// # Errors
    /// When nobody would hear it: it would be said to what is no host.
    fn answer(
        &self,
        found: &path::Explanation,
        origin: &Origin,
        probe: &Probe<'_>,
    ) -> std::result::Result<Option<CookieWay>, Cause> {
        let lacks_one = found.refused == Some(Cause::BadCookie.into());
        if is_known(found) || origin.refused.is_some() || !probe.opens() && !lacks_one {
            return Ok(None);
        }
        match service(found).and_then(|service| self.answering_way(service)) {
            Some(_) if !probe.tuple.src.addr.is_host() => Err(Cause::BadCookie),
            way => Ok(way),
        }
    }

    /// The limit of the workers' that refuses a packet, if one does.
    fn limit(
        &self,
        found: &path::Explanation,
        refused: Option<&str>,
        from: Addr,
    ) -> Option<DecidingRule> {
        match refused {
            Some("source_connections" | "service_connections") => {
                self.crowd_of(found.crowded?, from)
            }
            Some("source_limit" | "service_limit") => self.pace_of(found.hasty?, from),
            _ => None,
        }
    }

    /// Whether a client would have to come again.
    fn is_asked_again(&self, found: &path::Explanation) -> bool {
        let asks = |key| self.repeating().contains(&key);
        !is_known(found) && found.service.is_some_and(asks)
    }

    fn next_hop(&self, hop: &Hop) -> Option<NextHop> {
        let (interface, _) = self.facts.interfaces.get(usize::from(hop.port))?;
        Some(NextHop {
            interface: interface.name.clone(),
            station: hop.dst_mac.map(|byte| format!("{byte:02x}")).join(":"),
            mtu: hop.mtu,
        })
    }
}

fn probe(query: &ExplainQuery) -> Probe<'_> {
    let tuple = Tuple {
        protocol: translate::protocol(query.protocol),
        src: query.from.into(),
        dst: query.to.into(),
    };
    let opening = Probe::opening(tuple);
    Probe {
        flags: query.flags.map_or(opening.flags, |flags| Flags(flags.0)),
        call_id: query.call_id.as_deref(),
        ..opening
    }
}

fn sender<'a>(found: &'a path::Explanation, probe: &'a Probe<'a>, port: u16) -> Sender<'a> {
    let tuple = &probe.tuple;
    let connection = found.connection.as_ref().map(|entry| {
        let way = match entry.matches_original(tuple) {
            true => Direction::Original,
            false => Direction::Reply,
        };
        (entry, way)
    });
    Sender {
        probe,
        port,
        pool: &found.pool,
        connection,
    }
}

fn fate(refused: Option<&str>, is_taken: bool) -> Fate {
    match refused {
        None => Fate::Forward,
        Some("no_service") if !is_taken => Fate::Pass,
        Some(_) => Fate::Drop,
    }
}

/// Whether a packet is of a connection, or of one that is expected.
const fn is_known(found: &path::Explanation) -> bool {
    found.connection.is_some() || found.expected
}

fn service(found: &path::Explanation) -> Option<&Service> {
    let service = found.pool.service(found.service.as_ref()?)?;
    Some(service)
}

/// Whether a packet goes to the sorry server of its service.
fn is_sorry(found: &path::Explanation) -> bool {
    let sorry = service(found).and_then(|service| service.sorry.as_ref());
    let real = found.real.as_ref();
    sorry.is_some_and(|sorry| real.is_some_and(|real| real.id == sorry.id))
}

/// The scheduler, if it is what chooses the real server.
fn scheduler(found: &path::Explanation) -> Option<Scheduler> {
    let is_settled = is_known(found) || found.template.is_some() || is_sorry(found);
    let service = service(found).filter(|_| !is_settled);
    service.map(|service| service.algorithm)
}

/// The real server, with the port there.
fn destination(found: &path::Explanation) -> Option<SocketAddr> {
    let real = found.real.as_ref()?;
    let port = found.port.unwrap_or(real.endpoint.port);
    Some(SocketAddr::new(real.endpoint.addr.into(), port))
}
