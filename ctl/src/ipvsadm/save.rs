//! `-S`: the services as lines that `-R` takes.

use std::net::SocketAddr;

use adminapi::model::{
    ForwardingMethod, Protocol, ServiceView, Tunnel, TunnelChecksum, TunnelType,
};

use super::address::Style;
use super::print::transport;

/// The lines that make this service and its real servers.
pub(crate) fn service(service: &ServiceView, style: Style<'_>) -> String {
    let kind = transport(service.protocol);
    let vip = style.text(SocketAddr::new(service.address, service.port), kind);
    let selector = match service.protocol {
        Protocol::Tcp => format!("-t {vip}"),
        Protocol::Udp => format!("-u {vip}"),
    };
    let mut text = format!("-A {selector} -s {}\n", service.scheduler.name());
    for real in &service.reals {
        let address = style.text(SocketAddr::new(real.address, real.port), kind);
        let method = method_switch(real.method);
        let weight = real.weight;
        text += &format!("-a {selector} -r {address} {method} -w {weight}");
        if let Some(tun) = real.tun {
            text += &tunnel(&tun);
        }
        text.push('\n');
    }
    text
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
