//! `[limits]`: how much is tracked.

use super::read::{Expected, Section};

/// How much the connection table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections, half-open ones not counted.
    pub connections: u32,
    /// Most half-open connections, beside those.
    pub half_open: u32,
    /// Most clients that persistent services remember.
    pub templates: u32,
}

impl Limits {
    /// Connections unless the file says otherwise.
    pub const DEFAULT_CONNECTIONS: u32 = 1_000_000;
    /// The smallest table.
    pub const MIN_CONNECTIONS: u32 = 1024;
    /// The largest table: 128 GiB.
    pub const MAX_CONNECTIONS: u32 = 1 << 30;
    /// Memory of one connection, all told, in bytes.
    pub const BYTES_PER_CONNECTION: u64 = 128;
}

/// How memory is divided unless the file says otherwise: into eleven parts, of which eight are for
/// connections, two for half-open ones, one for clients. Beside a number of connections the others
/// are in the same proportion.
const PARTS: u64 = 11;
const HALF_OPEN_PARTS: u64 = 2;
const TEMPLATE_PARTS: u64 = 1;

pub(super) fn read(mut section: Section<'_>) -> Limits {
    let places = read_memory(&mut section);
    let bounds = i64::from(Limits::MIN_CONNECTIONS)..=i64::from(Limits::MAX_CONNECTIONS);
    let connections = section.optional("connections", &Expected::Number(bounds));
    let bounds = 1..=i64::from(Limits::MAX_CONNECTIONS);
    let half_open = section.optional("half_open", &Expected::Number(bounds));
    let bounds = 1..=i64::from(Limits::MAX_CONNECTIONS);
    let templates = section.optional("templates", &Expected::Number(bounds));
    let share = |parts| match (connections, places) {
        (None, Some(places)) => (u64::from(places) * parts / PARTS) as u32,
        (given, _) => {
            let connections = u64::from(given.unwrap_or(Limits::DEFAULT_CONNECTIONS));
            (connections * parts / (PARTS - HALF_OPEN_PARTS - TEMPLATE_PARTS)) as u32
        }
    };
    let half_open = half_open.unwrap_or_else(|| share(HALF_OPEN_PARTS));
    let templates = templates.unwrap_or_else(|| share(TEMPLATE_PARTS)).max(1);
    let rest = |places: u32| places.saturating_sub(half_open).saturating_sub(templates);
    let connections = connections.or(places.map(rest));
    let connections = connections.unwrap_or(Limits::DEFAULT_CONNECTIONS);
    let limits = Limits {
        connections,
        half_open,
        templates,
    };
    refuse_excess(&mut section, &limits, places);
    section.finish();
    limits
}

/// All three have to fit into the memory that is given for them.
fn refuse_excess(section: &mut Section<'_>, limits: &Limits, places: Option<u32>) {
    let Limits {
        connections,
        half_open,
        templates,
    } = *limits;
    let needed = [connections, half_open, templates].map(u64::from);
    let needed: u64 = needed.iter().sum();
    if let Some(places) = places.filter(|places| needed > u64::from(*places) || connections == 0) {
        section.refuse(
            "memory",
            format!(
                "{connections} connections, {half_open} half-open ones and {templates} clients do \
                 not fit, {places} do"
            ),
            "give more memory, or lower the others",
        );
    }
}

/// The connections of all kinds that fit into `memory`.
fn read_memory(section: &mut Section<'_>) -> Option<u32> {
    let text: String = section.optional("memory", &SIZE)?;
    let Some(bytes) = bytes(&text) else {
        let message = format!("{text:?} is not a size");
        section.refuse("memory", message, SIZE_MEND);
        return None;
    };
    let fit = bytes / Limits::BYTES_PER_CONNECTION;
    if fit < u64::from(Limits::MIN_CONNECTIONS) {
        let message = format!("{text} holds {fit} connections");
        section.refuse("memory", message, "use 128KiB or more");
        return None;
    }
    Some(u32::try_from(fit).map_or(Limits::MAX_CONNECTIONS, |fit| {
        fit.min(Limits::MAX_CONNECTIONS)
    }))
}

/// How much memory.
pub(super) const SIZE: Expected = Expected::Text("a size, as in \"256MiB\"");
/// How it is written.
pub(super) const SIZE_MEND: &str = "write a whole number of KiB, MiB or GiB, as in \"256MiB\"";

/// `256MiB` and the like in bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start() {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("1KiB", Some(1 << 10)),
            ("256MiB", Some(256 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("0KiB", Some(0)),
            ("256", None),
            ("256M", None),
            ("MiB", None),
            ("1.5GiB", None),
            ("-1GiB", None),
            ("99999999999999GiB", None),
            ("", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
