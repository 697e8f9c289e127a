//! `-S`: what is configured as lines that `-R` takes.

use std::net::SocketAddr;

use adminapi::model::{
    Configuration, Family, ForwardingMethod, Levels, MarkRule, Protocol, RealRow, Service,
    ServiceId, ServiceRow, Timeouts, Tunnel, TunnelChecksum, TunnelType,
};
use adminapi::table::{Line, client_mask, flags, signed};

use super::spelling::Spelling;

/// How much is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What ipvsadm saves: it loses thresholds.
    Ipvsadm,
    /// Services and real servers.
    Services,
    /// Timeouts and settings too.
    Full,
}

/// All lines of a configuration.
pub(crate) fn whole(config: &Configuration, spelling: Spelling<'_>) -> Vec<u8> {
    let mut text = (timeouts(config.timeouts) + &settings(config)).into_bytes();
    for each in &config.services {
        service(&mut text, &each.into(), spelling, Extent::Full);
    }
    text.extend_from_slice(levels(&config.defense).as_bytes());
    text.extend_from_slice(cookies(&config.services).as_bytes());
    text.extend_from_slice(repeats(&config.services).as_bytes());
    text
}

/// The line that sets these timeouts.
pub(crate) fn timeouts(timeouts: Timeouts) -> String {
    let Timeouts { tcp, tcpfin, udp } = timeouts;
    format!("--set {tcp} {tcpfin} {udp}\n")
}

/// The lines of what is set beside timeouts, before there are services.
pub(crate) fn settings(config: &Configuration) -> String {
    let mut text = String::new();
    for (name, value) in &config.sysctls {
        text += &format!(
            "sysctl -w {name}={}\n",
            value.to_string().replace('\t', " ")
        );
    }
    if let Some(rules) = &config.marks {
        text += "mark clear\n";
        text.extend(rules.iter().map(mark));
    }
    text
}

fn mark(rule: &MarkRule) -> String {
    let switch = |name: &str, value: Option<String>| {
        value.map_or_else(String::new, |value| format!(" --{name} {value}"))
    };
    format!(
        "mark add {}{}{}{}{}{}{}{}\n",
        rule.mark,
        switch("protocol", rule.protocol.map(|of| of.name().to_owned())),
        switch("source", rule.source.map(|of| of.to_string())),
        switch("sport", rule.source_ports.map(|of| of.to_string())),
        switch("destination", rule.destination.map(|of| of.to_string())),
        switch("dport", rule.destination_ports.map(|of| of.to_string())),
        switch("interface", rule.interface.clone()),
        switch("region", rule.region.clone()),
    )
}

/// The lines of levels of defence.
pub(crate) fn levels(levels: &Levels) -> String {
    let all = levels.level.map(|level| format!("defense level {level}\n"));
    let services = levels.services.iter().map(|(id, level)| {
        let selector = selector(*id, Spelling::Numeric, Extent::Full);
        format!("defense level {level} {selector}\n")
    });
    all.into_iter().chain(services).collect()
}

/// The lines of when SYNs are answered with cookies, where that is not as usual.
pub(crate) fn cookies(services: &[Service]) -> String {
    let unusual = services.iter().filter(|each| !each.cookies.is_default());
    let line = |each: &Service| {
        let selector = selector(each.id, Spelling::Numeric, Extent::Full);
        format!("defense cookies {} {selector}\n", each.cookies)
    };
    unusual.map(line).collect()
}

/// The lines of when clients have to come twice, where a service says so itself.
pub(crate) fn repeats(services: &[Service]) -> String {
    let line = |each: &Service| {
        let policy = each.udp_repeats?;
        let selector = selector(each.id, Spelling::Numeric, Extent::Full);
        Some(format!("defense repeats {policy} {selector}\n"))
    };
    services.iter().filter_map(line).collect()
}

/// Writes the lines that make this service and its real servers behind `text`.
pub(crate) fn service(
    text: &mut Vec<u8>,
    service: &ServiceRow,
    spelling: Spelling<'_>,
    extent: Extent,
) {
    let kind = service.id.protocol();
    let selector = selector(service.id, spelling, extent);
    let mut line = Line::behind(text);
    for part in ["-A ", &selector, " -s ", service.scheduler.name()] {
        line.text(part);
    }
    line.text(&handling(service, extent));
    line.end();
    for real in &service.reals {
        let mut line = Line::behind(text);
        for part in ["-a ", &selector, " -r "] {
            line.text(part);
        }
        match (real.endpoint(), spelling) {
            // By far the most of what is saved.
            (SocketAddr::V4(at), Spelling::Numeric) => line.endpoint(at, 0),
            (at, _) => line.text(&spelling.text(at, kind)),
        }
        for part in [" ", method_switch(real.method), " -w"] {
            line.text(part);
        }
        line.count(real.weight, 0);
        if let Some(tun) = real.tunnel() {
            line.text(&tunnel(&tun));
        }
        if extent != Extent::Ipvsadm && real.upper > 0 {
            line.text(&thresholds(real));
        }
        line.end();
    }
}

/// The options of how a service treats connections.
fn handling(service: &ServiceRow, extent: Extent) -> String {
    let mut text = String::new();
    if let Some(persistence) = service.persistence {
        text += &format!(" -p {}", persistence.timeout);
        let mask = client_mask(service.id.family(), persistence);
        text += &mask.map_or_else(String::new, |mask| format!(" -M {mask}"));
    }
    let engine = service
        .persistence
        .and_then(|persistence| persistence.engine);
    if let Some(engine) = engine.or(service.engine) {
        text += &format!(" --pe {}", engine.name());
    }
    if service.one_packet {
        text += " -o";
    }
    let named = match extent {
        Extent::Ipvsadm => flags::saved,
        Extent::Services | Extent::Full => flags::whole,
    };
    if let Some(flags) = named(service.scheduler, service.scheduler_flags) {
        text += &format!(" -b {flags}");
    }
    if extent != Extent::Ipvsadm && !service.helper.is_default() {
        text += &format!(" --helper {}", service.helper);
    }
    text
}

/// What names a service on a line. ipvsadm does not read the marks above 2^31 that it writes.
pub(crate) fn selector(id: ServiceId, spelling: Spelling<'_>, extent: Extent) -> String {
    match id {
        ServiceId::Address { protocol, vip } => {
            let switch = service_switch(id);
            format!("{switch} {}", spelling.text(vip, Some(protocol)))
        }
        ServiceId::Mark { mark, family } => {
            let mark = match extent {
                Extent::Ipvsadm => signed(mark).to_string(),
                Extent::Services | Extent::Full => mark.to_string(),
            };
            match family {
                Family::Ipv4 => format!("-f {mark}"),
                Family::Ipv6 => format!("-f {mark} -6"),
            }
        }
    }
}

/// The switch that names a service of this kind.
pub(crate) const fn service_switch(id: ServiceId) -> &'static str {
    match id {
        ServiceId::Address { protocol, .. } => match protocol {
            Protocol::Tcp => "-t",
            Protocol::Udp => "-u",
            Protocol::Sctp => "--sctp-service",
        },
        ServiceId::Mark { .. } => "-f",
    }
}

fn thresholds(real: &RealRow) -> String {
    match (real.upper, real.lower) {
        (upper, 0) => format!(" -x {upper}"),
        (upper, lower) => format!(" -x {upper} -y {lower}"),
    }
}

/// The switch of a method.
pub(crate) const fn method_switch(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Nat => "-m",
        ForwardingMethod::Dr => "-g",
        ForwardingMethod::Tun => "-i",
        ForwardingMethod::FullNat => "--fullnat",
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
