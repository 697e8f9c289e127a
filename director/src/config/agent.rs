//! The configuration of the real-server agent: a file of its own, with `[agent]` and `[log]`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use rustls::pki_types::ServerName;
use serde::Deserialize;

use super::datapath::InterfaceName;
use super::error::ConfigErrors;
use super::identity;
use super::log::{self, Log};
use super::read::{Expected, Section};
use crate::channel::Identity;
use crate::neighbour::Prefix;

/// What an agent does. Only [`AgentConfig::parse`] and [`AgentConfig::load`] make one from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// Where the directors' packets come in.
    pub interface: InterfaceName,
    /// Who may send tunnel packets; anybody when empty.
    pub directors: Vec<Prefix>,
    /// To whom the packets inside may go; any address of the host when empty.
    pub vips: Vec<Prefix>,
    /// What is decapsulated; at least one.
    pub tunnels: Vec<Tunnel>,
    /// UDP port of GUE.
    pub gue_port: u16,
    /// How the program is attached.
    pub hook: HookChoice,
    /// Seconds that a segment of TCP may be under way.
    pub msl: u8,
    /// `[[agent.director]]`: those who give keys for cookies.
    pub sources: Vec<Source>,
    /// `[log]`: what is logged, and how.
    pub log: Log,
}

/// A director that gives keys for cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it takes agents in.
    pub address: SocketAddr,
    /// What its certificate has to name: its address, unless another name is given.
    pub name: ServerName<'static>,
    /// Who this real server is, and whom it believes.
    pub identity: Identity,
}

/// A kind of tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tunnel {
    /// IP in IP, either family in either (RFC 2003, RFC 4213, RFC 2473).
    Ipip,
    /// GRE without key (RFC 2784).
    Gre,
    /// Generic UDP encapsulation (draft-ietf-intarea-gue).
    Gue,
}

impl Tunnel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ipip, Self::Gre, Self::Gue];
    const WORDS: &[&str] = &["ipip", "gre", "gue"];
}

/// How the program gets to tc ingress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookChoice {
    /// By a link where the kernel has them (6.6), else as a filter.
    #[default]
    Auto,
    /// By a link, or the start fails.
    Tcx,
    /// As a filter of the clsact qdisc.
    Clsact,
}

impl HookChoice {
    const WORDS: &[&str] = &["auto", "tcx", "clsact"];
}

impl AgentConfig {
    /// The GUE port unless the file says otherwise: IANA's.
    pub const DEFAULT_GUE_PORT: u16 = 6080;
    /// The maximum segment lifetime unless the file says otherwise: that of RFC 9293 3.4.1.
    pub const DEFAULT_MSL: u8 = 120;
    /// The most entries of `directors`, and of `vips`.
    pub const MOST_PREFIXES: usize = 1024;

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// That the file cannot be read, or everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        super::load(path, read)
    }

    /// Reads `text`, which errors call `name`.
    ///
    /// # Errors
    /// Everything that is wrong with it; only the first when it is not TOML at all.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigErrors> {
        super::parse(text, name, read)
    }
}

fn read(mut root: Section<'_>) -> Option<AgentConfig> {
    let mut section = root.section("agent");
    let interface = read_interface(&mut section);
    let directors = read_prefixes(&mut section, "directors");
    let vips = read_prefixes(&mut section, "vips");
    let tunnels = read_tunnels(&mut section);
    let port = Expected::Number(1..=65_535);
    let gue_port = section.or("gue_port", &port, AgentConfig::DEFAULT_GUE_PORT);
    let hook = Expected::Word(HookChoice::WORDS);
    let hook = section.or("hook", &hook, HookChoice::Auto);
    let msl = Expected::Number(1..=i64::from(u8::MAX));
    let msl = section.or("msl", &msl, AgentConfig::DEFAULT_MSL);
    let sources = read_sources(&mut section);
    section.finish();
    let log = log::read(root.section("log"));
    root.finish();
    Some(AgentConfig {
        interface: interface?,
        directors,
        vips,
        tunnels,
        gue_port,
        hook,
        msl,
        sources,
        log,
    })
}

/// One is a table, several are a list of them.
fn read_sources(section: &mut Section<'_>) -> Vec<Source> {
    if section.is_table("director") {
        let only = read_director(section.section("director"));
        return only.into_iter().collect();
    }
    let all = section.sections("director").into_iter();
    all.filter_map(|(_, section)| read_director(section))
        .collect()
}

fn read_director(mut section: Section<'_>) -> Option<Source> {
    let expected = Expected::Text("an address with a port, as in \"10.0.2.254:7071\"");
    let mend = "set what the director has as `listen` under [agents]";
    let address: Option<SocketAddr> = section.required("address", &expected, mend);
    let name = Expected::Text("the name that the director's certificate has");
    let name: Option<String> = section.optional("name", &name);
    let name = match name.map(ServerName::try_from) {
        None => address.map(|address| ServerName::IpAddress(address.ip().into())),
        Some(Ok(name)) => Some(name),
        Some(Err(_)) => {
            section.refuse(
                "name",
                "is no name of a host",
                "leave it out for the address",
            );
            None
        }
    };
    let identity = identity::read(&mut section, "ca");
    section.finish();
    Some(Source {
        address: address?,
        name: name?,
        identity: identity?,
    })
}

fn read_interface(section: &mut Section<'_>) -> Option<InterfaceName> {
    let expected = Expected::Text("the name of an interface");
    let mend = "name the one that the directors' packets come in by, as in interface = \"eth0\"";
    let name: String = section.required("interface", &expected, mend)?;
    let interface = InterfaceName::new(&name);
    if interface.is_none() {
        let message = format!("{name:?} cannot be the name of an interface");
        section.refuse("interface", message, "`ip link` shows their names");
    }
    interface
}

fn read_tunnels(section: &mut Section<'_>) -> Vec<Tunnel> {
    const KEY: &str = "tunnels";
    let Some((length, tunnels)) = section.list(KEY, &Expected::Word(Tunnel::WORDS)) else {
        return Tunnel::ALL.to_vec();
    };
    if length == 0 {
        section.refuse(KEY, "is empty", "leave it out for all of them");
    }
    tunnels.into_iter().map(|(_, tunnel)| tunnel).collect()
}

fn read_prefixes(section: &mut Section<'_>, key: &'static str) -> Vec<Prefix> {
    let expected = Expected::Text("an address or a network, as in \"10.0.0.1\" or \"10.0.0.0/24\"");
    let Some((length, texts)) = section.list::<String>(key, &expected) else {
        return Vec::new();
    };
    if length == 0 {
        section.refuse(key, "is empty", "leave it out for any");
    }
    if length > AgentConfig::MOST_PREFIXES {
        let mend = format!("use at most {}", AgentConfig::MOST_PREFIXES);
        section.refuse(key, format!("has {length} entries"), mend);
    }
    let mut prefixes = Vec::with_capacity(texts.len());
    for (index, text) in texts {
        match read_prefix(&text) {
            Ok(prefix) => prefixes.push(prefix),
            Err((message, mend)) => section.refuse_at(&format!("/{key}/{index}"), message, mend),
        }
    }
    prefixes
}

/// `10.0.0.1`, `10.0.0.0/24`, or what is wrong and what to do.
fn read_prefix(text: &str) -> Result<Prefix, (String, String)> {
    let (address, length) = text
        .split_once('/')
        .map_or((text, None), |(address, length)| (address, Some(length)));
    let address: Option<IpAddr> = address.parse().ok();
    let longest = address.map_or(0, |address| if address.is_ipv4() { 32 } else { 128 });
    let length = length.map_or(Some(longest), |length| length.parse().ok());
    let (Some(address), Some(length)) = (address, length.filter(|length| *length <= longest))
    else {
        let message = format!("{text:?} is neither an address nor a network");
        return Err((message, "write 10.0.0.1 or 10.0.0.0/24".to_owned()));
    };
    let prefix = Prefix::new(address.into(), length);
    let network = IpAddr::from(prefix.addr());
    if network != address {
        let message = format!("{text} has bits behind its first {length}");
        return Err((message, format!("write {network}/{length}")));
    }
    if network == IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) && length < 96 {
        let message = format!("{text} would cover IPv4 as well");
        return Err((message, "write 2000::/3, or leave the list out".to_owned()));
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "[agent]\ninterface = \"eth0\"\n";

    fn complaints(more: &str) -> Vec<String> {
        let text = format!("{MINIMAL}{more}");
        let errors = AgentConfig::parse(&text, "f").expect_err(&text);
        errors.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_minimal_file_has_the_documented_defaults() {
        let config = AgentConfig::parse(MINIMAL, "f").unwrap();
        assert_eq!(config.interface.as_str(), "eth0");
        assert_eq!((config.directors, config.vips), (vec![], vec![]));
        assert_eq!(config.tunnels, Tunnel::ALL);
        assert_eq!(config.gue_port, 6080);
        assert_eq!(config.hook, HookChoice::Auto);
        assert_eq!(config.msl, 120);
        assert_eq!(config.sources, []);
        assert_eq!(config.log, Log::default());
    }

    #[test]
    fn the_sample_file_is_good_and_what_it_shows_is_the_default() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/agent.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let sample = AgentConfig::parse(&text, "agent.toml").unwrap_or_else(|e| panic!("{e}"));
        let chosen = ["#directors", "#vips"];
        let shown: String = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(key) if key.starts_with(char::is_alphabetic) => {
                    let chosen = chosen.iter().any(|chosen| line.starts_with(chosen));
                    if chosen { line } else { key }
                }
                _ => line,
            })
            .map(|line| format!("{line}\n"))
            .collect();
        assert_ne!(shown, text);
        let shown = AgentConfig::parse(&shown, "agent.toml").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(shown, sample);
        let chosen = text
            .replace("#directors", "directors")
            .replace("#vips", "vips");
        let chosen = AgentConfig::parse(&chosen, "agent.toml").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((chosen.directors.len(), chosen.vips.len()), (2, 2));
    }

    #[test]
    fn what_is_set_is_taken() {
        let config = AgentConfig::parse(
            "[agent]\ninterface = \"bond0\"\ndirectors = [\"10.0.0.1\", \"fd00::/64\"]\n\
             vips = [\"0.0.0.0/0\"]\ntunnels = [\"gue\"]\ngue_port = 5555\nhook = \"clsact\"\nmsl = 30\n\
             [log]\nlevel = \"debug\"\n",
            "f",
        )
        .unwrap();
        let prefix =
            |address: &str, bits| Prefix::new(address.parse::<IpAddr>().unwrap().into(), bits);
        assert_eq!(
            config.directors,
            [prefix("10.0.0.1", 32), prefix("fd00::", 64)]
        );
        assert_eq!(config.vips, [prefix("0.0.0.0", 0)]);
        assert_eq!(config.tunnels, [Tunnel::Gue]);
        assert_eq!((config.gue_port, config.hook), (5555, HookChoice::Clsact));
        assert_eq!(config.msl, 30);
    }

    #[test]
    fn a_director_is_known_by_its_address_unless_it_has_a_name() {
        let read = |more: &str| {
            let files = "certificate = \"c\"\nkey = \"k\"\nca = \"a\"\n";
            let text =
                format!("{MINIMAL}[agent.director]\naddress = \"10.0.0.9:7071\"\n{files}{more}");
            AgentConfig::parse(&text, "f").unwrap().sources.remove(0)
        };
        assert_eq!(read("").name.to_str(), "10.0.0.9");
        assert_eq!(read("name = \"lb.example\"").name.to_str(), "lb.example");
        assert_eq!(read("").identity.authority.to_str(), Some("a"));
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_mend() {
        for (more, complaint) in [
            (
                "directors = []",
                "f:3: agent.directors: is empty; leave it out for any",
            ),
            (
                "directors = [\"10.0.0.1\", \"lb1\"]",
                "f:3: agent.directors: \"lb1\" is neither an address nor a network; write 10.0.0.1 or 10.0.0.0/24",
            ),
            (
                "vips = [\"10.0.0.1/33\"]",
                "f:3: agent.vips: \"10.0.0.1/33\" is neither an address nor a network; write 10.0.0.1 or 10.0.0.0/24",
            ),
            (
                "vips = [\"10.0.0.1/24\"]",
                "f:3: agent.vips: 10.0.0.1/24 has bits behind its first 24; write 10.0.0.0/24",
            ),
            (
                "vips = [\"::/0\"]",
                "f:3: agent.vips: ::/0 would cover IPv4 as well; write 2000::/3, or leave the list out",
            ),
            (
                "tunnels = [\"gru\"]",
                "f:3: agent.tunnels: must be one of ipip, gre, gue, not \"gru\"; did you mean gre?",
            ),
            (
                "tunnels = []",
                "f:3: agent.tunnels: is empty; leave it out for all of them",
            ),
            (
                "gue_port = 0",
                "f:3: agent.gue_port: must be a whole number from 1 to 65535, not 0",
            ),
            (
                "hook = \"xdp\"",
                "f:3: agent.hook: must be one of auto, tcx, clsact, not \"xdp\"",
            ),
            (
                "msl = 256",
                "f:3: agent.msl: must be a whole number from 1 to 255, not 256",
            ),
            (
                "vip = \"10.0.0.1\"",
                "f:3: agent.vip: unknown key; did you mean vips?",
            ),
            (
                "[agent.director]\naddress = \"10.0.0.1:7\"\ncertificate = \"c\"\nkey = \"k\"",
                "f:3: agent.director.ca: is missing; name a PEM file; docs/cookies.md shows how to make one",
            ),
        ] {
            assert_eq!(complaints(more), [complaint], "{more}");
        }
    }

    #[test]
    fn the_interface_must_be_there_and_possible() {
        let said = |text: &str| AgentConfig::parse(text, "f").unwrap_err().to_string();
        assert!(said("[agent]\n").starts_with("f:1: agent.interface: is missing; name the one"));
        assert!(said("").contains("agent.interface: is missing"));
        assert!(said("[agent]\ninterface = \"a/b\"\n").contains("cannot be the name"));
    }
}
