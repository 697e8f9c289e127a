//! What a real server must look like, and its changes.

use std::net::IpAddr;

use super::address::{Role, unusable};
use super::{MAX_THRESHOLD, MAX_WEIGHT, bad_check, zero_port};
use crate::error::Problem;
use crate::model::{
    Family, ForwardingMethod, MAX_SPAN, Real, RealPatch, RealView, ServiceId, TunnelChecksum,
    TunnelType,
};

/// Judges a real server of `service`; pointers are relative to the real server.
pub fn validate_real(service: ServiceId, real: &Real) -> Vec<Problem> {
    let mut problems = Vec::new();
    // A loopback address is the director itself.
    let unusable = unusable(real.address, Role::Real).filter(|_| !real.address.is_loopback());
    problems.extend(unusable.map(|p| p.below("/address")));
    if real.method != ForwardingMethod::Tun {
        problems.extend(other_family(service, real.address));
    }
    if real.port == Some(0) && service.port().is_some_and(|port| port != 0) {
        problems.push(zero_port("/port"));
    }
    problems.extend(bad_weight(real.weight));
    problems.extend(bad_tunnel(real).into_iter().map(|p| p.below("/tun")));
    problems.extend(bad_thresholds(real.upper, real.lower));
    let check = real
        .check
        .iter()
        .flat_map(|check| bad_check(service, check));
    problems.extend(check.map(|problem| problem.below("/check")));
    if let Some(vip) = service
        .vip()
        .filter(|vip| *vip == real.endpoint(Some(vip.port())))
        .filter(|_| real.method != ForwardingMethod::Dr)
    {
        problems.push(Problem::new(
            "/address",
            format!("real server {vip} is the service itself"),
            "name the server's own address",
        ));
    }
    problems
}

/// Judges a change of a real server as far as that is possible without the real server;
/// [`validate_changed_real`] does the rest.
pub fn validate_real_patch(patch: &RealPatch) -> Vec<Problem> {
    let mut problems: Vec<_> = patch.weight.and_then(bad_weight).into_iter().collect();
    problems.extend(patch.drain.and_then(bad_drain));
    if patch.drain.is_some() && patch.weight.is_some_and(|weight| weight > 0) {
        let message = "a real server that is drained has no weight";
        problems.push(Problem::new("/weight", message, "leave it out").with_other("/drain"));
    }
    problems.extend(bad_thresholds(
        patch.upper.unwrap_or(MAX_THRESHOLD),
        patch.lower.unwrap_or(0),
    ));
    problems
}

/// Judges `real`, which a change has made of the real server `now` of `service`.
pub fn validate_changed_real(service: ServiceId, now: &RealView, real: &Real) -> Vec<Problem> {
    let mut problems = validate_real(service, real);
    if real.endpoint(service.port()) != now.endpoint() {
        problems.push(Problem::new(
            "/method",
            format!(
                "with the method {} a real server has the service's port, this one has {}",
                real.method.name(),
                now.port
            ),
            "remove it and add it anew",
        ));
    }
    problems
}

/// Judges the thresholds of a real server. With `lower` alone it would never be overloaded.
pub fn bad_thresholds(upper: u32, lower: u32) -> Option<Problem> {
    let large = [("/upper", upper), ("/lower", lower)]
        .into_iter()
        .find(|(_, value)| *value > MAX_THRESHOLD);
    if let Some((pointer, value)) = large {
        let message = format!("threshold {value} is too large");
        let mend = format!("use 0 to {MAX_THRESHOLD}");
        return Some(Problem::new(pointer, message, mend));
    }
    (lower > upper).then(|| {
        Problem::new(
            "/lower",
            format!("lower threshold {lower} is above the upper one, {upper}"),
            "set both, the lower one at most as large",
        )
        .with_other("/upper")
    })
}

/// Judges the seconds that a drain may take.
pub fn bad_drain(seconds: u32) -> Option<Problem> {
    (!(1..=MAX_SPAN).contains(&seconds)).then(|| {
        Problem::new(
            "/drain",
            format!("a drain cannot take {seconds} seconds"),
            format!("use 1 to {MAX_SPAN}"),
        )
    })
}

fn bad_weight(weight: u32) -> Option<Problem> {
    (weight > MAX_WEIGHT).then(|| {
        Problem::new(
            "/weight",
            format!("weight {weight} is too large"),
            format!("use 0 to {MAX_WEIGHT}"),
        )
    })
}

/// Options that do not go together; pointers are relative to the tunnel.
fn bad_tunnel(real: &Real) -> Option<Problem> {
    let tun = real.tun?;
    let name = tun.kind.name();
    if real.method != ForwardingMethod::Tun {
        return Some(Problem::new(
            "",
            format!(
                "no tunnel leads there: the method is {}",
                real.method.name()
            ),
            "set the method tun, or leave tun out",
        ));
    }
    if tun.port == Some(0) {
        return Some(zero_port("/port"));
    }
    if tun.port.is_some() && tun.kind != TunnelType::Gue {
        let message = format!("{name} has no port");
        return Some(Problem::new("/port", message, "leave it out"));
    }
    let allowed: &[TunnelChecksum] = match tun.kind {
        TunnelType::Ipip => &[TunnelChecksum::None],
        TunnelType::Gre => &[TunnelChecksum::None, TunnelChecksum::Csum],
        TunnelType::Gue => &TunnelChecksum::ALL,
    };
    (!allowed.contains(&tun.checksum)).then(|| {
        let names: Vec<_> = allowed.iter().map(|checksum| checksum.name()).collect();
        Problem::new(
            "/checksum",
            format!("{name} has no checksum {}", tun.checksum.name()),
            format!("use {}", names.join(" or ")),
        )
    })
}

fn other_family(service: ServiceId, real: IpAddr) -> Option<Problem> {
    let (of_service, of_real) = (service.family(), Family::of(real));
    (of_service != of_real).then(|| {
        let whose = match service.vip() {
            Some(vip) => format!("the VIP {}", vip.ip()),
            None => format!("the service {service}"),
        };
        Problem::new(
            "/address",
            format!("{real} is {of_real}, {whose} is {of_service}"),
            "only a tunnel leads to another address family; set the method tun",
        )
    })
}
