//! The messages between director and agent.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::cookie::{Abilities, Key};

/// Of the messages and of the cookies that they are about.
pub(crate) const VERSION: u32 = 2;

/// From the director.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// All keys that are good from now on.
    Keys(Keys),
    /// Those keys stay good.
    Stay,
}

/// All keys of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keys {
    /// To be acknowledged when they are in force.
    pub(crate) number: u64,
    /// For how long they are good after each word of the director, seconds.
    pub(crate) lease: u32,
    /// The window scale that clients were told.
    pub(crate) scale: u8,
    /// What for.
    pub(crate) services: Vec<KeysOf>,
    /// Endpoints of whose listen queues it is to tell as well, keys or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) queues: Vec<SocketAddr>,
}

/// The keys of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeysOf {
    /// Its number in the MAC.
    pub(crate) service: u16,
    /// To where its connections come on this real server.
    pub(crate) endpoint: SocketAddr,
    /// The keys, by their parity.
    pub(crate) keys: [Option<SecretKey>; 2],
}

/// A key as a message has it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretKey(pub(crate) [u8; 16]);

impl From<Key> for SecretKey {
    fn from(key: Key) -> Self {
        Self(key.0)
    }
}

/// Not what it is.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

/// From an agent, twice a second and whenever it has obeyed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// The keys that are in force; 0 = none.
    pub(crate) number: u64,
    /// That no more connections are to be sent: it ends.
    pub(crate) leaving: bool,
    /// What its kernel can do.
    pub(crate) able: Able,
    /// How each endpoint stands that it has keys for, or is to tell of.
    pub(crate) listening: Vec<Listening>,
}

/// All that is known of the reports of versions to come.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Report {
    /// Reads one.
    ///
    /// # Errors
    /// When it is of another version, or makes no sense.
    pub(crate) fn read(line: &str) -> io::Result<Self> {
        let Versioned { version } = serde_json::from_str(line)?;
        if version != VERSION {
            let text = format!("it speaks version {version}, not {VERSION}");
            return Err(io::Error::other(text));
        }
        Ok(serde_json::from_str(line)?)
    }
}

/// What a kernel can do, by its sysctls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Able {
    /// Without it no such connection is taken: `tcp_syncookies` is not 0, and nothing else is lacking.
    pub(crate) cookies: bool,
    /// What is, beside `tcp_syncookies`.
    #[serde(default)]
    pub(crate) lack: Option<Lack>,
    /// `tcp_sack`.
    pub(crate) sack: bool,
    /// `tcp_window_scaling`.
    pub(crate) scale: bool,
    /// `tcp_timestamps`.
    pub(crate) timestamps: bool,
    /// `tcp_ecn`.
    pub(crate) ecn: bool,
}

impl From<Able> for Abilities {
    fn from(able: Able) -> Self {
        Self {
            sack: able.sack,
            scale: able.scale,
            timestamps: able.timestamps,
            ecn: able.ecn,
        }
    }
}

/// What a real server needs for connections that cookies have proved, and has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lack {
    /// `bpf_sk_assign_tcp_reqsk()` in its kernel.
    Kernel,
    /// The agent's program on its interface.
    Program,
}

impl Lack {
    /// In words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kernel => {
                "its kernel takes none: that needs Linux 6.9 or newer with CONFIG_SYN_COOKIES"
            }
            Self::Program => "its agent's program has been taken off its interface",
        }
    }
}

/// An endpoint of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listening {
    /// Which.
    pub(crate) endpoint: SocketAddr,
    /// How it stands.
    pub(crate) standing: Standing,
    /// Connections that wait to be accepted.
    pub(crate) waiting: u32,
    /// How many may.
    pub(crate) limit: u32,
    /// That the address is none of the host's: it is closed, whoever listens at all of them.
    #[serde(default)]
    pub(crate) elsewhere: bool,
}

/// Whether connections can be taken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// They can.
    Ready,
    /// Nobody listens.
    Closed,
    /// A listener of MPTCP takes none.
    Mptcp,
    /// The kernel has refused one lately.
    Refused,
    /// The queue of those that wait is full.
    Full,
}

impl Standing {
    /// In words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Closed => "nobody listens",
            Self::Mptcp => "the listener is one of MPTCP",
            Self::Refused => "the kernel refuses",
            Self::Full => "the listen queue is full",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_no_queues_is_read_as_before_they_were_asked_for() {
        let keys = Keys {
            number: 7,
            ..Keys::default()
        };
        let line = serde_json::to_string(&Order::Keys(keys.clone())).unwrap();
        let former = r#"{"keys":{"number":7,"lease":0,"scale":0,"services":[]}}"#;
        assert_eq!(line, former);
        let read: Order = serde_json::from_str(former).unwrap();
        assert_eq!(read, Order::Keys(keys));
    }

    #[test]
    fn a_report_of_another_version_is_refused_by_that_whatever_it_says() {
        let later = r#"{"version":9,"listening":[{"standing":"asleep"}]}"#;
        let said = Report::read(later).unwrap_err().to_string();
        assert_eq!(said, format!("it speaks version 9, not {VERSION}"));
        let report = Report {
            version: VERSION,
            ..Report::default()
        };
        let line = serde_json::to_string(&report).unwrap();
        assert_eq!(Report::read(&line).unwrap(), report);
    }
}
