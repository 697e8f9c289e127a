//! `[service.health]` and the `check` of a real server: the types of the API, read key by key.

use std::path::PathBuf;

use adminapi::model::{
    AgentCheck, Check, CheckKind, HealthPolicy, Millis, OnFailure, Pace, PassiveCheck, Real,
    Service,
};

use super::read::{Expected, Section};

const KINDS: &[&str] = &[
    "none", "tcp", "http", "https", "udp", "grpc", "grpcs", "exec",
];
const CONSEQUENCES: &[&str] = &["quiesce", "remove"];
const SPAN: Expected = Expected::Text("a time such as \"500ms\" or \"2s\"");
const NUMBER: Expected = Expected::Number(0..=u32::MAX as i64);
const PORT: Expected = Expected::Number(1..=u16::MAX as i64);
const ADDRESS: Expected = Expected::Text("an IPv4 or IPv6 address");
const TEXT: Expected = Expected::Text("a text");
const CODES: Expected = Expected::Text("status codes such as \"200-299,404\"");
const OCTETS: Expected = Expected::Text(r"a text, with \xNN for a byte that is none");

/// What the file says of health checks in general.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Where the programs of checks are that the API may ask for.
    pub scripts: PathBuf,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            scripts: PathBuf::from("/etc/bulwark/checks"),
        }
    }
}

/// `[health]`.
pub(super) fn read(mut section: Section<'_>) -> Health {
    let default = Health::default();
    let scripts = section.or("scripts", &Expected::Text("a directory"), default.scripts);
    if !scripts.is_absolute() {
        section.refuse("scripts", "is no absolute path", "begin it with /");
    }
    section.finish();
    Health { scripts }
}

/// The `health` of a service, if it has any; `read_real` reads its sorry server.
pub(super) fn read_policy(
    service: &mut Section<'_>,
    read_real: impl FnOnce(Section<'_>) -> Option<Real>,
) -> Option<HealthPolicy> {
    if !service.has("health") {
        return None;
    }
    let mut section = service.section("health");
    let consequence = Expected::Word(CONSEQUENCES);
    let sorry = section.has("sorry").then(|| section.section("sorry"));
    let policy = HealthPolicy {
        check: read_check(&mut section),
        agent: section
            .has("agent")
            .then(|| section.section("agent"))
            .and_then(read_agent),
        passive: section
            .has("passive")
            .then(|| section.section("passive"))
            .map(read_passive),
        queues: section.or("queues", &Expected::BOOLEAN, false),
        on_failure: section.or("on_failure", &consequence, OnFailure::default()),
        quorum: section.or("quorum", &NUMBER, 1),
        slow_start: section.or("slow_start", &SPAN, Millis::default()),
        sorry: sorry.and_then(read_real),
    };
    section.finish();
    Some(policy)
}

/// What there is to say of each of `services` whose weights would go by listen queues and do not, by
/// their schedulers or since nobody tells of queues.
pub(super) fn idle_queues(services: &[Service], has_agents: bool) -> impl Iterator<Item = String> {
    let wants = |service: &&Service| service.health.as_ref().is_some_and(|health| health.queues);
    services.iter().filter(wants).filter_map(move |service| {
        let Service { id, scheduler, .. } = service;
        let scheduler = scheduler.name();
        match (service.scheduler.weighs(), has_agents) {
            (false, _) => Some(format!(
                "{id}: queues under health does nothing, since {scheduler} goes by no weights: leave it out, \
                 or use wrr, wlc or another that does"
            )),
            (true, false) => Some(format!(
                "{id}: queues under health does nothing without agents: add [agents], or leave it out"
            )),
            (true, true) => None,
        }
    })
}

/// The `check` of a service's health or of a real server, if it has one.
pub(super) fn read_check(section: &mut Section<'_>) -> Option<Check> {
    if !section.has("check") {
        return None;
    }
    let mut section = section.section("check");
    let mend = "set tcp, http, https, udp, grpc, grpcs, exec or none";
    let kind: Option<CheckKind> = section.required("type", &Expected::Word(KINDS), mend);
    let pace = read_pace(&mut section);
    let command = section.list("command", &TEXT).map(|(_, words)| words);
    let check = Check {
        address: section.optional("address", &ADDRESS),
        port: section.optional("port", &PORT),
        method: section.optional("method", &TEXT),
        path: section.optional("path", &TEXT),
        host: section.optional("host", &TEXT),
        status: section.optional("status", &CODES),
        body: section.optional("body", &TEXT),
        body_regex: section.optional("body_regex", &TEXT),
        verify: section.optional("verify", &Expected::BOOLEAN),
        ca: section.optional("ca", &TEXT),
        send: section.optional("send", &OCTETS),
        expect: section.optional("expect", &OCTETS),
        service: section.optional("service", &TEXT),
        command: command
            .into_iter()
            .flatten()
            .map(|(_, word)| word)
            .collect(),
        ..Check::paced(kind.unwrap_or(CheckKind::None), pace)
    };
    section.finish();
    kind.map(|_| check)
}

fn read_pace(section: &mut Section<'_>) -> Pace {
    let default = Pace::default();
    Pace {
        rise: section.or("rise", &NUMBER, default.rise),
        fall: section.or("fall", &NUMBER, default.fall),
        ..read_tempo(section)
    }
}

fn read_tempo(section: &mut Section<'_>) -> Pace {
    let default = Pace::default();
    Pace {
        interval: section.or("interval", &SPAN, default.interval),
        timeout: section.or("timeout", &SPAN, default.timeout),
        jitter: section.or("jitter", &NUMBER, default.jitter),
        ..default
    }
}

fn read_agent(mut section: Section<'_>) -> Option<AgentCheck> {
    let port = section.required("port", &PORT, "set the port of the agent");
    let address = section.optional("address", &ADDRESS);
    let tempo = read_tempo(&mut section);
    section.finish();
    Some(AgentCheck {
        port: port?,
        address,
        interval: tempo.interval,
        timeout: tempo.timeout,
        jitter: tempo.jitter,
    })
}

fn read_passive(mut section: Section<'_>) -> PassiveCheck {
    let default = PassiveCheck::default();
    let passive = PassiveCheck {
        failures: section.or("failures", &NUMBER, default.failures),
        within: section.or("within", &SPAN, default.within),
        share: section.or("share", &NUMBER, default.share),
        hold: section.or("hold", &SPAN, default.hold),
    };
    section.finish();
    passive
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const HEAD: &str = "datapath.interfaces = [\"eth0\"]\n";
    const SERVICE: &str = "[[service]]\nprotocol = \"tcp\"\naddress = \"192.0.2.10\"\nport = 80\n";

    #[test]
    fn words_are_those_of_the_api() {
        assert_eq!(KINDS, CheckKind::ALL.map(CheckKind::name));
        assert_eq!(CONSEQUENCES, OnFailure::ALL.map(OnFailure::name));
    }

    /// The file and the API read the same: a service of one is that of the other.
    #[test]
    fn all_of_it_is_read_as_the_api_reads_it() {
        let text = format!(
            r#"{HEAD}{SERVICE}
            [service.health]
            on_failure = "remove"
            quorum = 2
            slow_start = "30s"
            queues = true
            check = {{ type = "https", method = "GET", path = "/up", host = "a.example", status = "2xx",
                body = "ok", body_regex = "^o", verify = true, ca = "/ca.pem", interval = "500ms",
                timeout = 1, rise = 4, fall = 5, jitter = 6, address = "10.0.2.9", port = 81 }}
            agent = {{ port = 5555, interval = "3s" }}
            passive = {{ failures = 7, within = "5s", share = 30, hold = "1m" }}
            sorry = {{ address = "10.0.2.99", port = 8080 }}
            [[service.real]]
            address = "10.0.2.1"
            check = {{ type = "exec", command = ["/bin/true", "x"] }}
            [[service.real]]
            address = "10.0.2.2"
            check = {{ type = "udp", send = '\x00ping', expect = "pong" }}
            [[service.real]]
            address = "10.0.2.3"
            check = {{ type = "grpc", service = "a.B" }}
            "#
        );
        let config = Config::parse(&text, "test").unwrap();
        let json = r#"{"protocol":"tcp","address":"192.0.2.10","port":80,
            "health":{"on_failure":"remove","quorum":2,"slow_start":"30s","queues":true,
                "check":{"type":"https","method":"GET","path":"/up","host":"a.example","status":"2xx",
                    "body":"ok","body_regex":"^o","verify":true,"ca":"/ca.pem","interval":"500ms",
                    "timeout":1,"rise":4,"fall":5,"jitter":6,"address":"10.0.2.9","port":81},
                "agent":{"port":5555,"interval":"3s"},
                "passive":{"failures":7,"within":"5s","share":30,"hold":"1m"},
                "sorry":{"address":"10.0.2.99","port":8080}},
            "real":[
                {"address":"10.0.2.1","check":{"type":"exec","command":["/bin/true","x"]}},
                {"address":"10.0.2.2","check":{"type":"udp","send":"\\x00ping","expect":"pong"}},
                {"address":"10.0.2.3","check":{"type":"grpc","service":"a.B"}}]}"#;
        let service: Service = serde_json::from_str(json).unwrap();
        assert_eq!(config.services, [service]);
    }

    #[test]
    fn queues_that_nothing_goes_by_are_told_of() {
        let agents = "[agents]\nlisten = \"10.0.2.254:7071\"\ncertificate = \"/c\"\nkey = \"/k\"\nclient_ca = \"/a\"\n";
        let said = |agents: &str, lines: &str| {
            let config =
                Config::parse(&format!("{HEAD}{agents}{SERVICE}{lines}\n"), "test").unwrap();
            config.idle_queues(&config.services).collect::<Vec<_>>()
        };
        let on = "health.queues = true";
        for (agents, lines, expected) in [
            (agents, on.to_owned(), None),
            (
                agents,
                format!("scheduler = \"rr\"\n{on}"),
                Some("rr goes by no weights"),
            ),
            ("", on.to_owned(), Some("add [agents]")),
            ("", "health.queues = false".to_owned(), None),
            ("", String::new(), None),
        ] {
            let said = said(agents, &lines);
            assert_eq!(said.len(), usize::from(expected.is_some()), "{said:?}");
            let told = said.iter().all(|said| {
                said.starts_with("tcp:192.0.2.10:80: ")
                    && said.contains(expected.unwrap_or_default())
            });
            assert!(told, "{said:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (lines, expected) in [
            (
                "health.check.type = \"htp\"",
                "service.health.check.type: must be one of none, tcp, http, https, udp, grpc, \
                 grpcs, exec, not \"htp\"; did you mean http?",
            ),
            (
                "health.check = { type = \"tcp\", path = \"/\" }",
                "service.health.check.path: means nothing to a check of the type tcp; leave it out",
            ),
            (
                "health.check = { type = \"tcp\", interval = \"2 s\" }",
                "service.health.check.interval: must be a time such as \"500ms\" or \"2s\", not \"2 s\"",
            ),
            (
                "health.agent = {}",
                "service.health.agent.port: is missing; set the port of the agent",
            ),
            (
                "health.quorrum = 1",
                "service.health.quorrum: unknown key; did you mean quorum?",
            ),
        ] {
            let text = format!("{HEAD}{SERVICE}{lines}\n");
            let errors = Config::parse(&text, "test").unwrap_err();
            assert_eq!(errors.to_string(), format!("test:6: {expected}"));
        }
    }
}
