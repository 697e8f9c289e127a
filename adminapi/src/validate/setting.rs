//! What settings and questions must look like.

use super::zero_port;
use crate::error::Problem;
use crate::model::{
    ConnectionQuery, DefenseLevel, ExplainQuery, Protocol, SyncDaemon, Timeouts, TimeoutsPatch,
};

/// Judges a synchronisation daemon.
pub fn validate_daemon(daemon: &SyncDaemon) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !daemon.group.is_multicast() {
        let message = format!("{} is no multicast group", daemon.group);
        let mend = format!("use one, such as {}", SyncDaemon::GROUP);
        problems.push(Problem::new("/group", message, mend));
    }
    if daemon.port == 0 {
        problems.push(zero_port("/port"));
    }
    if daemon.ttl == 0 {
        problems.push(Problem::new(
            "/ttl",
            "nothing is sent with TTL 0",
            "use 1 to 255",
        ));
    }
    problems
}

/// Judges a level of defence.
pub fn validate_level(DefenseLevel { level }: DefenseLevel) -> Vec<Problem> {
    let wrong = level > DefenseLevel::MAX;
    let problem = || Problem::new("/level", format!("{level} is no level"), "use 0, 1 or 2");
    wrong.then(problem).into_iter().collect()
}

/// Judges a change of the timeouts.
pub fn validate_timeouts(patch: TimeoutsPatch) -> Vec<Problem> {
    [
        ("/tcp", patch.tcp),
        ("/tcpfin", patch.tcpfin),
        ("/udp", patch.udp),
    ]
    .into_iter()
    .filter(|(_, seconds)| seconds.is_some_and(|s| !(1..=Timeouts::MAX).contains(&s)))
    .map(|(pointer, seconds)| {
        Problem::new(
            pointer,
            format!("{} seconds is no timeout", seconds.unwrap_or_default()),
            format!("use 1 to {}", Timeouts::MAX),
        )
    })
    .collect()
}

/// Judges a query for connections; pointers name its parameters.
pub fn validate_query(query: &ConnectionQuery) -> Vec<Problem> {
    if (1..=ConnectionQuery::MAX_LIMIT).contains(&query.limit) {
        return Vec::new();
    }
    vec![Problem::new(
        "/limit",
        format!("a page cannot hold {} connections", query.limit),
        format!("use 1 to {}", ConnectionQuery::MAX_LIMIT),
    )]
}

/// Judges a question about a packet: it has one address family, and flags only if it is TCP.
pub fn validate_explain(query: &ExplainQuery) -> Vec<Problem> {
    let mixed = query.from.is_ipv4() != query.to.is_ipv4();
    let message = "a packet is from and to addresses of one family";
    let problem = Problem::new("/from", message, "name two of the same").with_other("/to");
    let mixed = mixed.then_some(problem);
    let alien = query.flags.is_some() && query.protocol != Protocol::Tcp;
    let alien = alien.then(|| Problem::new("/flags", "only TCP has flags", "leave them out"));
    mixed.into_iter().chain(alien).collect()
}
