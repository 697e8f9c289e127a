//! Which way there is for a service's cookies, whether they are made now, and why.

use adminapi::model::{CookiePolicy, CookieStatus, CookieWay};
use adminapi::sysctl::Sysctls;

use super::Look;
use crate::cookie::Abilities;
use crate::gate::MAX_COOKIE_SERVICES;
use crate::pool::Pool;
use crate::service::{Real, Service, ServiceKey};
use crate::wire::Protocol;

const SET: &str = "set by the user";
const UNCALLED: &str = "nothing calls for them";
const TO_COME: &str = "set by the user; they begin at the next look";

/// Whether a service can have cookies: TCP, to one port.
pub(super) fn can_have(service: &Service) -> bool {
    matches!(service.key, ServiceKey::Address { protocol: Protocol::Tcp, vip } if vip.port > 0)
}

/// What there is to say where a service of a mark takes some of the clients: that would not know what
/// the gate has answered them, so they are not answered.
pub(super) fn overlaid(service: &Service, pool: &Pool) -> Option<String> {
    let mark = pool.overlaid_by(Protocol::Tcp, service.key.vip()?)?;
    Some(format!(
        "clients that the service of the mark {mark} takes have none"
    ))
}

/// A reason, with what there is to say beside it.
pub(super) fn with_note(reason: String, note: Option<String>) -> String {
    match note {
        Some(note) => format!("{reason}; {note}"),
        None => reason,
    }
}

/// What there is to tell when SYNs begin to be answered, are answered in another way, or no more.
pub(super) fn turned(
    before: &CookieStatus,
    reason: &Result<String, String>,
    way: &Result<CookieWay, String>,
) -> Option<String> {
    match (before.active, reason, way) {
        (false, Ok(why), Ok(way)) => Some(format!("SYNs are answered first ({way}): {why}")),
        (true, Ok(why), Ok(way)) if before.way != Some(*way) => Some(format!(
            "SYNs are answered in another way now ({way}): {why}"
        )),
        (true, Err(why), _) => Some(format!("SYNs are answered no more: {why}")),
        _ => None,
    }
}

/// The real servers that may get connections: those that the scheduler may choose, and those of weight
/// 0 that clients stick to.
pub(super) fn candidates<'s>(
    service: &'s Service,
    sysctls: &'s Sysctls,
) -> impl Iterator<Item = &'s Real> {
    let sticks = service.handling.persistence.is_some();
    let gets = move |real: &&Real| match real.weight {
        0 => sticks && real.load.sticking() > 0 && real.keeps_clients(sysctls),
        _ => service.sorry.is_none(),
    };
    let listed = service.reals.iter().map(|real| &**real).filter(gets);
    let sorry = service.sorry.as_deref().filter(|sorry| sorry.weight > 0);
    listed.chain(sorry)
}

/// Whether the director hears both ends of a real server's connections.
pub(super) const fn is_heard(real: &Real) -> bool {
    !real.method.is_one_way()
}

/// Whether a service needs keys now: agents have to have them before they are used, and who comes back
/// with a cookie that another director has made, or this one before it was started anew, has to be known.
pub(super) fn needs_dies(service: &Service, look: &Look<'_>) -> bool {
    places(service, look) > 0
}

/// Of how many places among the gate's counters a service may take one for its keys. Those of others
/// leave room for services that have to make cookies.
pub(super) fn places(service: &Service, look: &Look<'_>) -> u16 {
    let has_agent = |real: &Real| look.agents.has(real.endpoint.addr.into());
    let is_helped = || look.is_helped && candidates(service, look.sysctls).any(has_agent);
    match service.handling.cookies {
        CookiePolicy::Off => 0,
        CookiePolicy::Always => MAX_COOKIE_SERVICES,
        CookiePolicy::Auto if look.attacked || is_helped() => MAX_COOKIE_SERVICES,
        CookiePolicy::Auto if look.is_shared => MAX_COOKIE_SERVICES / 2,
        CookiePolicy::Auto => 0,
    }
}

/// How a service stands that has no keys.
pub(super) fn at_rest(service: &Service, pool: &Pool, sysctls: &Sysctls) -> CookieStatus {
    let reals = candidates(service, sysctls).count() as u32;
    let lack = (reals > 0).then(|| "no real server has an agent".to_owned());
    let stands = Stands {
        able: 0,
        reals,
        heard: candidates(service, sysctls).all(is_heard),
        abilities: Abilities::ALL,
        lack,
    };
    let way = way_of(service, &stands);
    let why = match (service.handling.cookies, &way) {
        (CookiePolicy::Off, _) => SET.to_owned(),
        (CookiePolicy::Always, Ok(_)) => TO_COME.to_owned(),
        (CookiePolicy::Auto, Ok(_)) => UNCALLED.to_owned(),
        (_, Err(lack)) => lack.clone(),
    };
    CookieStatus {
        reason: with_note(why, overlaid(service, pool)),
        way: way.ok(),
        reals,
        ..CookieStatus::default()
    }
}

/// How the real servers of a service stand.
pub(super) struct Stands {
    pub(super) able: u32,
    pub(super) reals: u32,
    /// Whether the director hears both ends, whoever it is.
    pub(super) heard: bool,
    pub(super) abilities: Abilities,
    /// Why those that are not able are not.
    pub(super) lack: Option<String>,
}

impl Stands {
    fn lack(&self) -> String {
        let lack = self.lack.as_deref();
        lack.unwrap_or("no real server").to_owned()
    }
}

/// The best way that there is for a service: its real servers read cookies themselves if all can, or
/// the director asks them, if it hears both ends; else those that can get all who come, and at last
/// there is what any client does.
pub(super) fn way_of(service: &Service, stands: &Stands) -> Result<CookieWay, String> {
    let all_heard = !service.is_ftp() && stands.heard;
    // Who sticks to a real server must be able to go there.
    let sticks = service.handling.persistence.is_some();
    match (stands.able, stands.reals) {
        (_, 0) => Err(stands.lack()),
        (able, reals) if able == reals => Ok(CookieWay::Agents),
        _ if all_heard => Ok(CookieWay::Splice),
        (1.., _) if !sticks => Ok(CookieWay::Agents),
        _ => Ok(CookieWay::Reset),
    }
}

/// What is offered to clients. Of a real server that is yet to be asked ECN is not known: a client
/// that was promised it would wait for marks that never come.
pub(super) fn abilities(way: &Result<CookieWay, String>, stands: &Stands) -> Abilities {
    match way {
        Ok(CookieWay::Splice) => Abilities {
            ecn: false,
            ..Abilities::ALL
        },
        _ => stands.abilities,
    }
}

/// Why SYNs are answered with cookies, or why not.
pub(super) fn decide(
    policy: CookiePolicy,
    way: &Result<CookieWay, String>,
    stands: &Stands,
    look: &Look<'_>,
) -> Result<String, String> {
    let with_lack = |why: &str| match &stands.lack {
        Some(lack) => format!("{why}; {lack}"),
        None => why.to_owned(),
    };
    match (policy, way) {
        (CookiePolicy::Off, _) => Err(SET.to_owned()),
        (_, Err(lack)) => Err(lack.clone()),
        (CookiePolicy::Always, _) => Ok(with_lack(SET)),
        (CookiePolicy::Auto, _) if look.attacked => Ok(with_lack("under attack")),
        // Who has agents wants to know of one that is missing before they are called for.
        (CookiePolicy::Auto, _) if look.is_helped => Err(with_lack(UNCALLED)),
        (CookiePolicy::Auto, _) => Err(UNCALLED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_when_syns_are_answered_or_not_or_in_another_way() {
        let why = || Ok("under attack".to_owned());
        let no = || Err("nothing calls for them".to_owned());
        let (reset, agents) = (CookieWay::Reset, CookieWay::Agents);
        for (active, was, reason, way, told) in [
            (false, Some(reset), no(), Ok(reset), None),
            (false, Some(reset), no(), Ok(agents), None),
            (
                false,
                None,
                why(),
                Ok(reset),
                Some("SYNs are answered first (reset): under attack"),
            ),
            (true, Some(reset), why(), Ok(reset), None),
            (
                true,
                Some(agents),
                why(),
                Ok(reset),
                Some("SYNs are answered in another way now (reset): under attack"),
            ),
            (
                true,
                Some(agents),
                no(),
                Ok(reset),
                Some("SYNs are answered no more: nothing calls for them"),
            ),
        ] {
            let before = CookieStatus {
                active,
                way: was,
                ..CookieStatus::default()
            };
            assert_eq!(turned(&before, &reason, &way).as_deref(), told);
        }
    }
}
