//! How the health of real servers may be watched.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use regex::Regex;

use super::address::{Role, unusable};
use super::{validate_real, zero_port};
use crate::error::Problem;
use crate::model::{
    AgentCheck, Check, CheckKind, HealthPolicy, Millis, Octets, Pace, PassiveCheck, Protocol, Real,
    ServiceId,
};

/// The bounds of an interval and of a timeout.
const SPANS: RangeInclusive<Millis> = Millis(100)..=Millis::seconds(3600);

/// The longest that a real server is held down, or brought up.
const LONGEST: Millis = Millis::seconds(86_400);

/// The bounds of counts: of successes and failures in a row, of failures within a time.
const COUNTS: RangeInclusive<u32> = 1..=1000;

/// The longest text that is sent or looked for.
const MAX_TEXT: usize = 1024;

/// The most words of a command.
const MAX_WORDS: usize = 64;

/// Judges how the health of the real servers of a service is to be watched.
pub fn bad_health(
    service: ServiceId,
    policy: Option<&HealthPolicy>,
    reals: impl IntoIterator<Item = SocketAddr>,
) -> Vec<Problem> {
    let Some(policy) = policy else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    let check = policy.check.as_ref();
    problems.extend(
        check
            .into_iter()
            .flat_map(|check| below("/check", bad_check(service, check))),
    );
    problems.extend(
        policy
            .agent
            .iter()
            .flat_map(|agent| below("/agent", bad_agent(agent))),
    );
    if let Some(passive) = &policy.passive {
        problems.extend(below("/passive", bad_passive(service, passive)));
    }
    problems.extend(bad_queues(service, policy.queues));
    problems.extend(out_of("/quorum", policy.quorum, COUNTS));
    if policy.slow_start > LONGEST {
        problems.push(too_long("/slow_start"));
    }
    if let Some(sorry) = &policy.sorry {
        problems.extend(below("/sorry", bad_sorry(service, sorry, reals)));
    }
    below("/health", problems)
}

fn below(prefix: &str, problems: Vec<Problem>) -> Vec<Problem> {
    problems
        .into_iter()
        .map(|problem| problem.below(prefix))
        .collect()
}

/// Judges a check of a real server of `service`; pointers are relative to the check.
pub fn bad_check(service: ServiceId, check: &Check) -> Vec<Problem> {
    let mut problems = bad_pace(&check.pace());
    let kind = check.kind.name();
    problems.extend(check.misplaced().map(|field| {
        let message = format!("means nothing to a check of the type {kind}");
        Problem::new(format!("/{field}"), message, "leave it out")
    }));
    problems.extend(
        check
            .address
            .and_then(|a| unusable_target(a).map(|p| p.below("/address"))),
    );
    problems.extend(bad_port(service, check));
    problems.extend(bad_request(check));
    problems.extend(bad_words(check));
    problems.extend(bad_command(check));
    problems
}

fn bad_pace(pace: &Pace) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (pointer, span) in [("/interval", pace.interval), ("/timeout", pace.timeout)] {
        if !SPANS.contains(&span) {
            let message = format!("{span} is too short or too long");
            let mend = format!("use {} to {}", SPANS.start(), SPANS.end());
            problems.push(Problem::new(pointer, message, mend));
        }
    }
    problems.extend(out_of("/rise", pace.rise, COUNTS));
    problems.extend(out_of("/fall", pace.fall, COUNTS));
    problems.extend(out_of("/jitter", pace.jitter, 0..=50));
    problems
}

fn out_of(pointer: &str, value: u32, range: RangeInclusive<u32>) -> Option<Problem> {
    (!range.contains(&value)).then(|| {
        let mend = format!("use {} to {}", range.start(), range.end());
        Problem::new(pointer, format!("{value} is out of bounds"), mend)
    })
}

fn too_long(pointer: &str) -> Problem {
    Problem::new(pointer, "is too long", format!("use {LONGEST} at most"))
}

/// A host may be asked at its loopback address, but not at one that is no host's.
fn unusable_target(address: std::net::IpAddr) -> Option<Problem> {
    unusable(address, Role::Real).filter(|_| !address.is_loopback())
}

fn bad_port(service: ServiceId, check: &Check) -> Option<Problem> {
    let asks_nowhere = matches!(check.kind, CheckKind::None | CheckKind::Exec);
    match check.port {
        Some(0) => Some(zero_port("/port")),
        None if service.port() == Some(0) && !asks_nowhere => {
            let message = "a service for every port has none to be checked at";
            Some(Problem::new("/port", message, "set one"))
        }
        _ => None,
    }
}

fn bad_request(check: &Check) -> Vec<Problem> {
    let is_token =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    let is_path = |text: &str| text.starts_with('/') && is_visible(text) && text.is_ascii();
    let is_host = |text: &str| is_visible(text) && text.is_ascii();
    let is_short = |text: &str| text.len() <= MAX_TEXT;
    let problems = [
        unless(is_token, &check.method, "/method", NO_METHOD),
        unless(is_path, &check.path, "/path", NO_PATH),
        unless(is_host, &check.host, "/host", NO_HOST),
        unless(is_short, &check.service, "/service", ("is too long", "")),
    ];
    let problems = problems.into_iter().flatten();
    problems
        .chain(bad_body(check))
        .chain(bad_trust(check))
        .collect()
}

/// What is wrong, and what to do.
type Fault = (&'static str, &'static str);

const NO_METHOD: Fault = ("is no method of HTTP", "write GET, HEAD or OPTIONS");
const NO_PATH: Fault = ("is no path", "begin it with / and encode what is no ASCII");
const NO_HOST: Fault = (
    "is no name of a host",
    "write a name, with :PORT if it needs one",
);
const NO_BODY: Fault = ("is empty or too long", "use 1 to 1024 bytes");

fn unless(
    is_good: impl Fn(&str) -> bool,
    text: &Option<String>,
    pointer: &str,
    (message, mend): Fault,
) -> Option<Problem> {
    let bad = text.as_ref().is_some_and(|text| !is_good(text));
    bad.then(|| Problem::new(pointer, message, mend))
}

fn bad_body(check: &Check) -> Vec<Problem> {
    let is_some = |text: &str| !text.is_empty() && text.len() <= MAX_TEXT;
    let mut problems = Vec::new();
    problems.extend(unless(is_some, &check.body, "/body", NO_BODY));
    problems.extend(unless(is_some, &check.body_regex, "/body_regex", NO_BODY));
    if let Some(Err(error)) = check.body_regex.as_deref().map(Regex::new) {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default();
        let message = format!("is no regular expression: {why}");
        problems.push(Problem::new("/body_regex", message, ""));
    }
    let looks = check.body.is_some() || check.body_regex.is_some();
    if looks && check.method.as_deref() == Some("HEAD") {
        let message = "an answer to HEAD has no body to look into";
        problems.push(Problem::new("/method", message, "use GET"));
    }
    problems
}

fn bad_trust(check: &Check) -> Vec<Problem> {
    let mut problems = Vec::new();
    if check.verify == Some(false) && check.ca.is_some() {
        let message = "nothing is verified against it";
        problems.push(Problem::new("/ca", message, "leave it out, or verify"));
    }
    let relative = ("is no absolute path", "begin it with /");
    problems.extend(unless(|ca| ca.starts_with('/'), &check.ca, "/ca", relative));
    problems
}

fn is_visible(text: &str) -> bool {
    let graphic = |c: char| !c.is_control() && !c.is_whitespace();
    !text.is_empty() && text.len() <= MAX_TEXT && text.chars().all(graphic)
}

fn bad_words(check: &Check) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (pointer, octets) in [("/send", &check.send), ("/expect", &check.expect)] {
        if octets
            .as_ref()
            .is_some_and(|octets| octets.0.len() > Octets::MAX)
        {
            let mend = format!("use {} bytes at most", Octets::MAX);
            problems.push(Problem::new(pointer, "is too long", mend));
        }
    }
    problems
}

fn bad_command(check: &Check) -> Option<Problem> {
    if check.kind != CheckKind::Exec {
        return None;
    }
    let Some(program) = check.command.first() else {
        let mend = "name the program and its arguments";
        return Some(Problem::new("/command", "is missing", mend));
    };
    let too_long = check
        .command
        .iter()
        .any(|word| word.len() > MAX_TEXT || word.contains('\0'));
    if too_long || check.command.len() > MAX_WORDS {
        return Some(Problem::new(
            "/command",
            "is too long or has a NUL in it",
            "",
        ));
    }
    (!program.starts_with('/')).then(|| {
        let message = format!("{program:?} is no absolute path");
        Problem::new("/command/0", message, "begin it with /")
    })
}

fn bad_agent(agent: &AgentCheck) -> Vec<Problem> {
    let mut problems = bad_pace(&agent.pace());
    if agent.port == 0 {
        problems.push(zero_port("/port"));
    }
    problems.extend(
        agent
            .address
            .and_then(|a| unusable_target(a).map(|p| p.below("/address"))),
    );
    problems
}

/// The clients of a service for every port choose the port that is closed.
fn bad_passive(service: ServiceId, passive: &PassiveCheck) -> Vec<Problem> {
    let mut problems = Vec::new();
    if service.vip().is_some_and(|vip| vip.port() == 0) {
        let message = "a service for every port cannot be judged by refused connections";
        problems.push(Problem::new(
            "",
            message,
            "its clients choose the port; leave it out",
        ));
    }
    problems.extend(out_of("/failures", passive.failures, COUNTS));
    problems.extend(out_of("/share", passive.share, 1..=100));
    for (pointer, span) in [("/within", passive.within), ("/hold", passive.hold)] {
        if span < Millis::seconds(1) || span > LONGEST {
            let mend = format!("use 1s to {LONGEST}");
            problems.push(Problem::new(
                pointer,
                format!("{span} is out of bounds"),
                mend,
            ));
        }
    }
    problems
}

/// An agent is asked about the listener at one place.
fn bad_queues(service: ServiceId, queues: bool) -> Option<Problem> {
    let listens =
        service.protocol() == Some(Protocol::Tcp) && service.port().is_some_and(|port| port > 0);
    (queues && !listens).then(|| {
        let message = "a service has listen queues when it is of TCP, at one port";
        Problem::new("/queues", message, "leave it out")
    })
}

fn bad_sorry(
    service: ServiceId,
    sorry: &Real,
    reals: impl IntoIterator<Item = SocketAddr>,
) -> Vec<Problem> {
    let mut problems = validate_real(service, sorry);
    if sorry.check.is_some() {
        let message = "a sorry server is not checked";
        problems.push(Problem::new("/check", message, "leave it out"));
    }
    if sorry.weight == 0 {
        let message = "a sorry server of weight 0 gets no connections";
        problems.push(Problem::new("/weight", message, "leave it out"));
    }
    let endpoint = sorry.endpoint(service.port());
    if reals.into_iter().any(|real| real == endpoint) {
        let message = format!("{endpoint} is a real server of this service");
        problems.push(Problem::new("/address", message, "name another one"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(port: u16) -> ServiceId {
        format!("tcp:192.0.2.10:{port}").parse().unwrap()
    }

    /// What is said of a policy, by its JSON.
    fn judge(port: u16, policy: &str) -> Vec<String> {
        let policy: HealthPolicy = serde_json::from_str(policy).unwrap();
        let real = "10.0.2.1:80".parse().unwrap();
        let problems = bad_health(service(port), Some(&policy), [real]);
        problems
            .into_iter()
            .map(|problem| problem.pointer)
            .collect()
    }

    #[test]
    fn what_works_is_taken() {
        for policy in [
            "{}",
            r#"{"check":{"type":"tcp"}}"#,
            r#"{"check":{"type":"http","method":"HEAD","path":"/up?x=1","host":"a.example:8080","status":"2xx"}}"#,
            r#"{"check":{"type":"https","body_regex":"^ok$","verify":false,"interval":"500ms","jitter":0}}"#,
            r#"{"check":{"type":"udp","send":"\\x00ping","expect":"pong","port":53,"address":"127.0.0.1"}}"#,
            r#"{"check":{"type":"grpcs","service":"a.B","ca":"/etc/ca.pem"}}"#,
            r#"{"check":{"type":"exec","command":["/bin/true"]}}"#,
            r#"{"queues":true}"#,
            r#"{"agent":{"port":5555},"passive":{},"on_failure":"remove","quorum":2,"slow_start":"30s",
                "sorry":{"address":"10.0.2.99"}}"#,
        ] {
            assert_eq!(judge(80, policy), Vec::<String>::new(), "{policy}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_in_its_place() {
        for (policy, pointers) in [
            (
                r#"{"check":{"type":"tcp","path":"/"}}"#,
                &["/health/check/path"][..],
            ),
            (
                r#"{"check":{"type":"http","command":["/x"]}}"#,
                &["/health/check/command"],
            ),
            (r#"{"check":{"type":"exec"}}"#, &["/health/check/command"]),
            (
                r#"{"check":{"type":"exec","command":["true"]}}"#,
                &["/health/check/command/0"],
            ),
            (
                r#"{"check":{"type":"http","path":"up"}}"#,
                &["/health/check/path"],
            ),
            (
                r#"{"check":{"type":"http","path":"/a b"}}"#,
                &["/health/check/path"],
            ),
            (
                r#"{"check":{"type":"http","host":"a\r\nX: y"}}"#,
                &["/health/check/host"],
            ),
            (
                r#"{"check":{"type":"http","method":"get it"}}"#,
                &["/health/check/method"],
            ),
            (
                r#"{"check":{"type":"http","method":"HEAD","body":"x"}}"#,
                &["/health/check/method"],
            ),
            (
                r#"{"check":{"type":"http","body_regex":"("}}"#,
                &["/health/check/body_regex"],
            ),
            (
                r#"{"check":{"type":"https","verify":false,"ca":"/x"}}"#,
                &["/health/check/ca"],
            ),
            (
                r#"{"check":{"type":"tcp","interval":"50ms","rise":0,"jitter":51}}"#,
                &[
                    "/health/check/interval",
                    "/health/check/rise",
                    "/health/check/jitter",
                ],
            ),
            (
                r#"{"check":{"type":"tcp","port":0}}"#,
                &["/health/check/port"],
            ),
            (
                r#"{"check":{"type":"tcp","address":"224.0.0.1"}}"#,
                &["/health/check/address"],
            ),
            (r#"{"agent":{"port":0}}"#, &["/health/agent/port"]),
            (
                r#"{"passive":{"failures":0,"share":101,"hold":"500ms"}}"#,
                &[
                    "/health/passive/failures",
                    "/health/passive/share",
                    "/health/passive/hold",
                ],
            ),
            (
                r#"{"quorum":0,"slow_start":"25h"}"#,
                &["/health/quorum", "/health/slow_start"],
            ),
            (
                r#"{"sorry":{"address":"10.0.2.1"}}"#,
                &["/health/sorry/address"],
            ),
            (
                r#"{"sorry":{"address":"10.0.2.9","weight":0}}"#,
                &["/health/sorry/weight"],
            ),
            (
                r#"{"sorry":{"address":"10.0.2.9","check":{"type":"tcp"}}}"#,
                &["/health/sorry/check"],
            ),
        ] {
            assert_eq!(judge(80, policy), pointers, "{policy}");
        }
        assert_eq!(
            judge(0, r#"{"check":{"type":"tcp"},"passive":{}}"#),
            ["/health/check/port", "/health/passive"]
        );
        assert_eq!(judge(0, r#"{"queues":true}"#), ["/health/queues"]);
        for id in ["udp:192.0.2.10:53", "sctp:192.0.2.10:80", "fwm:7"] {
            let policy = HealthPolicy {
                queues: true,
                ..HealthPolicy::default()
            };
            let problems = bad_health(id.parse().unwrap(), Some(&policy), []);
            assert_eq!(problems.len(), 1, "{id}");
            assert_eq!(problems[0].pointer, "/health/queues", "{id}");
        }
    }
}
