//! `-S`: the services as lines that `-R` takes.

use std::net::SocketAddr;

use adminapi::model::{
    ForwardingMethod, Protocol, RealView, ServiceView, Tunnel, TunnelChecksum, TunnelType,
};

use super::address::Style;
use super::flags;
use super::parse::Dialect;
use super::print::transport;

/// The lines that make this service and its real servers. ipvsadm loses thresholds.
pub(crate) fn service(service: &ServiceView, style: Style<'_>, dialect: Dialect) -> String {
    let kind = transport(service.protocol);
    let vip = style.text(SocketAddr::new(service.address, service.port), kind);
    let selector = match service.protocol {
        Protocol::Tcp => format!("-t {vip}"),
        Protocol::Udp => format!("-u {vip}"),
        Protocol::Sctp => format!("--sctp-service {vip}"),
    };
    let mut text = format!("-A {selector} -s {}", service.scheduler.name());
    if let Some(flags) = flags::names(service.scheduler, service.scheduler_flags) {
        text += &format!(" -b {flags}");
    }
    text.push('\n');
    for real in &service.reals {
        let address = style.text(SocketAddr::new(real.address, real.port), kind);
        let method = method_switch(real.method);
        let weight = real.weight;
        text += &format!("-a {selector} -r {address} {method} -w {weight}");
        if let Some(tun) = real.tun {
            text += &tunnel(&tun);
        }
        if dialect == Dialect::Bulwark {
            text += &thresholds(real);
        }
        text.push('\n');
    }
    text
}

fn thresholds(real: &RealView) -> String {
    match (real.upper, real.lower) {
        (0, _) => String::new(),
        (upper, 0) => format!(" -x {upper}"),
        (upper, lower) => format!(" -x {upper} -y {lower}"),
    }
}

const fn method_switch(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Nat => "-m",
        ForwardingMethod::Dr => "-g",
        ForwardingMethod::Tun => "-i",
    }
}

/// The options of a tunnel.
fn tunnel(tun: &Tunnel) -> String {
    let mut text = format!(" --tun-type {}", tun.kind.name());
    if tun.kind == TunnelType::Gue {
        text += &format!(" --tun-port {}", tun.port.unwrap_or(Tunnel::GUE_PORT));
    }
    if tun.kind != TunnelType::Ipip {
        text += match tun.checksum {
            TunnelChecksum::None => " --tun-nocsum",
            TunnelChecksum::Csum => " --tun-csum",
            TunnelChecksum::Remcsum => " --tun-remcsum",
        };
    }
    text
}
