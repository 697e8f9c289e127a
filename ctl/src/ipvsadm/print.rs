//! What is listed beside services, to the byte.

use adminapi::model::{Connection, SyncDaemon, Timeouts};
use adminapi::table::{Style, protocol_name};

/// First lines of a listing of connections.
pub(crate) const fn connections_title(engines: bool) -> &'static str {
    if engines {
        concat!(
            "IPVS connection entries\n",
            "pro expire state       source             virtual            destination        ",
            "pe name          pe_data\n"
        )
    } else {
        concat!(
            "IPVS connection entries\n",
            "pro expire state       source             virtual            destination\n"
        )
    }
}

/// The line of a connection.
pub(crate) fn connection(connection: &Connection, engines: bool, style: Style<'_>) -> String {
    let kind = connection.protocol;
    let text = |at| style.text(at, kind);
    let expires = format!(
        "{:02}:{:02}",
        connection.expires / 60,
        connection.expires % 60
    );
    let ends = format!(
        "{:<3} {expires:<6} {:<11} {:<18} {:<18}",
        connection.protocol.map_or("IP", protocol_name),
        connection.state,
        text(connection.client),
        text(connection.vip),
    );
    let real = text(connection.real);
    match connection.engine.filter(|_| engines) {
        None => format!("{ends} {real}\n"),
        Some(engine) => {
            let (name, data) = (engine.name(), engine_data(connection));
            format!("{ends} {real:<16} {name:<18} {data}\n")
        }
    }
}

/// What a persistence engine has gone by.
pub(crate) fn engine_data(connection: &Connection) -> &str {
    connection.engine_data.as_deref().unwrap_or_default()
}

/// The line of the timeouts.
pub(crate) fn timeouts(timeouts: &Timeouts) -> String {
    let Timeouts { tcp, tcpfin, udp } = timeouts;
    format!("Timeout (tcp tcpfin udp): {tcp} {tcpfin} {udp}\n")
}

/// The line of a synchronisation daemon; what is 0 is not shown.
pub(crate) fn daemon(daemon: &SyncDaemon) -> String {
    let SyncDaemon {
        role,
        interface,
        syncid,
        maxlen,
        group,
        port,
        ttl,
    } = daemon;
    let role = role.name();
    let maxlen = maxlen.map_or_else(String::new, |maxlen| format!(", maxlen={maxlen}"));
    format!(
        "{role} sync daemon (mcast={interface}, syncid={syncid}{maxlen}, group={group}, \
         port={port}, ttl={ttl})\n"
    )
}
