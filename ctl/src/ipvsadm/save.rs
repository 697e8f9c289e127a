//! `-S`: the services as lines that `-R` takes.

use std::net::SocketAddr;

use adminapi::model::{ForwardingMethod, Protocol, ServiceView};

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
        text += &format!("-a {selector} -r {address} {method} -w {weight}\n");
    }
    text
}

const fn method_switch(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Nat => "-m",
    }
}
