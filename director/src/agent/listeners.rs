//! Who listens on this host, by sock_diag(7), and what its kernel can do, by its sysctls.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};

use crate::channel::{Able, Lack, Listening, Standing};

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    addr: IpAddr,
    port: u16,
    /// One of IPv6 that takes no IPv4.
    v6_only: bool,
    mptcp: bool,
    waiting: u32,
    limit: u32,
}

/// `inet_diag_req_v2` behind `nlmsghdr`, and the states that are asked for
/// (include/uapi/linux/inet_diag.h).
mod request {
    pub(super) const HEADER: usize = 16;
    pub(super) const LENGTH: usize = HEADER + 56;
    pub(super) const BY_FAMILY: u16 = 20;
    /// NLM_F_REQUEST | NLM_F_DUMP.
    pub(super) const DUMP: u16 = 0x301;
    /// INET_DIAG_INFO, with which the kernel says which protocol is on top.
    pub(super) const INFO: u8 = 1 << 1;
    /// `1 << TCP_LISTEN`.
    pub(super) const LISTENING: u32 = 1 << 10;
}

/// Where things stand in `inet_diag_msg`, and its attributes.
mod answer {
    pub(super) const FAMILY: usize = 0;
    pub(super) const PORT: usize = 4;
    pub(super) const ADDR: usize = 8;
    pub(super) const WAITING: usize = 56;
    pub(super) const LIMIT: usize = 60;
    pub(super) const LENGTH: usize = 72;
    pub(super) const V6_ONLY: u16 = 11;
    pub(super) const ULP: u16 = 19;
}

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// All sockets that listen for TCP.
pub(super) fn all() -> io::Result<Vec<Listener>> {
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        ask(family as u8, &mut found)?;
    }
    Ok(found)
}

fn ask(family: u8, found: &mut Vec<Listener>) -> io::Result<()> {
    let socket = Socket::new(NETLINK_SOCK_DIAG)?;
    let mut ask = [0; request::LENGTH];
    ask[..4].copy_from_slice(&(request::LENGTH as u32).to_ne_bytes());
    ask[4..6].copy_from_slice(&request::BY_FAMILY.to_ne_bytes());
    ask[6..8].copy_from_slice(&request::DUMP.to_ne_bytes());
    let body = &mut ask[request::HEADER..];
    body[0] = family;
    body[1] = libc::IPPROTO_TCP as u8;
    body[2] = request::INFO;
    body[4..8].copy_from_slice(&request::LISTENING.to_ne_bytes());
    socket.send(&ask, 0)?;
    loop {
        let (bytes, _) = socket.recv_from_full()?;
        if read_all(&bytes, found)? {
            return Ok(());
        }
    }
}

/// Reads netlink messages; true when the last one is there.
fn read_all(mut bytes: &[u8], found: &mut Vec<Listener>) -> io::Result<bool> {
    while let Some(header) = bytes.first_chunk::<{ request::HEADER }>() {
        let length = u32_at(header, 0) as usize;
        let message = bytes.get(request::HEADER..length);
        let message = message.ok_or(io::ErrorKind::InvalidData)?;
        match u16_at(header, 4) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let error = message.first_chunk().map_or(0, |e| i32::from_ne_bytes(*e));
                return Err(io::Error::from_raw_os_error(-error));
            }
            _ => found.extend(read(message)),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn read(message: &[u8]) -> Option<Listener> {
    let fixed = message.get(..answer::LENGTH)?;
    let addr = &fixed[answer::ADDR..];
    let addr: IpAddr = match i32::from(fixed[answer::FAMILY]) {
        libc::AF_INET => Ipv4Addr::from(*addr.first_chunk::<4>()?).into(),
        _ => Ipv6Addr::from(*addr.first_chunk::<16>()?).into(),
    };
    let mut listener = Listener {
        // A socket of IPv6 may be bound to an address of IPv4.
        addr: addr.to_canonical(),
        port: u16::from_be_bytes([fixed[answer::PORT], fixed[answer::PORT + 1]]),
        v6_only: false,
        mptcp: false,
        waiting: u32_at(fixed, answer::WAITING),
        limit: u32_at(fixed, answer::LIMIT),
    };
    let mut rest = message.get(answer::LENGTH..)?;
    while let Some(header) = rest.first_chunk::<4>() {
        let length = usize::from(u16_at(header, 0)).max(4);
        let data = rest.get(4..length).unwrap_or_default();
        match u16_at(header, 2) {
            answer::V6_ONLY => listener.v6_only = data.first() == Some(&1),
            // The name stands in an attribute of its own.
            answer::ULP => listener.mptcp = data.windows(5).any(|name| name == b"mptcp"),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(listener)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
    word.map_or(0, |word| u16::from_ne_bytes(*word))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
    word.map_or(0, |word| u32::from_ne_bytes(*word))
}

impl Listener {
    fn is_at(&self, endpoint: SocketAddr) -> bool {
        self.port == endpoint.port() && self.addr == endpoint.ip()
    }

    fn is_everywhere(&self, endpoint: SocketAddr) -> bool {
        let family = match (self.addr, endpoint) {
            (IpAddr::V4(_), SocketAddr::V4(_)) | (IpAddr::V6(_), SocketAddr::V6(_)) => true,
            (IpAddr::V6(_), SocketAddr::V4(_)) => !self.v6_only,
            _ => false,
        };
        self.port == endpoint.port() && self.addr.is_unspecified() && family
    }
}

/// How `endpoint` stands: by the sockets of just that address, else by those of every address.
pub(super) fn standing(listeners: &[Listener], endpoint: SocketAddr) -> Listening {
    let exact: Vec<_> = listeners.iter().filter(|l| l.is_at(endpoint)).collect();
    let found = match exact.is_empty() {
        false => exact,
        true => {
            let all = listeners.iter();
            all.filter(|l| l.is_everywhere(endpoint)).collect()
        }
    };
    let sum = |of: fn(&Listener) -> u32| found.iter().map(|l| of(l)).fold(0, u32::saturating_add);
    let (waiting, limit) = (sum(|l| l.waiting), sum(|l| l.limit));
    Listening {
        endpoint,
        standing: match found.is_empty() {
            true => Standing::Closed,
            false if found.iter().any(|l| l.mptcp) => Standing::Mptcp,
            false if waiting >= limit.max(1) => Standing::Full,
            false => Standing::Ready,
        },
        waiting,
        limit,
        elsewhere: false,
    }
}

/// How an endpoint stands whose address is none of this host's: what comes for it is not taken in.
pub(super) const fn elsewhere(endpoint: SocketAddr) -> Listening {
    Listening {
        endpoint,
        standing: Standing::Closed,
        waiting: 0,
        limit: 0,
        elsewhere: true,
    }
}

/// What the kernel of this network namespace can do, of which somebody knows what it lacks for good.
pub(super) fn able(lack: Option<Lack>) -> Able {
    let sysctl = |name: &str| {
        let value = fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        value.is_ok_and(|value| value.trim() != "0")
    };
    Able {
        cookies: lack.is_none() && sysctl("tcp_syncookies"),
        lack,
        sack: sysctl("tcp_sack"),
        scale: sysctl("tcp_window_scaling"),
        timestamps: sysctl("tcp_timestamps"),
        ecn: sysctl("tcp_ecn"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn listener(addr: &str, waiting: u32) -> Listener {
        Listener {
            addr: addr.parse().unwrap(),
            port: 80,
            v6_only: false,
            mptcp: false,
            waiting,
            limit: 10,
        }
    }

    #[test]
    fn who_lacks_something_takes_no_cookies_whatever_the_sysctls_say() {
        let able = able(Some(Lack::Kernel));
        assert!(!able.cookies);
        assert_eq!(able.lack, Some(Lack::Kernel));
    }

    #[test]
    fn a_socket_of_this_process_is_found() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = socket.local_addr().unwrap();
        let found = standing(&all().unwrap(), endpoint);
        assert_eq!((found.standing, found.waiting), (Standing::Ready, 0));
        assert!(found.limit > 0);
        drop(socket);
        let found = standing(&all().unwrap(), endpoint);
        assert_eq!(found.standing, Standing::Closed);
    }

    #[test]
    fn a_socket_of_ipv6_at_an_address_of_ipv4_is_found_there() {
        let socket = TcpListener::bind("[::ffff:127.0.0.1]:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let endpoint = SocketAddr::from(([127, 0, 0, 1], port));
        let found = standing(&all().unwrap(), endpoint);
        assert_eq!(found.standing, Standing::Ready);
    }

    #[test]
    fn the_socket_of_an_address_goes_before_those_of_all() {
        let at = |addr: &str| SocketAddr::new(addr.parse().unwrap(), 80);
        let mptcp = Listener {
            mptcp: true,
            ..listener("0.0.0.0", 0)
        };
        let all = [mptcp, listener("10.0.0.1", 10), listener("::", 3)];
        for (addr, expected) in [
            ("10.0.0.1", Standing::Full),
            ("10.0.0.2", Standing::Mptcp),
            ("fd00::1", Standing::Ready),
        ] {
            assert_eq!(standing(&all, at(addr)).standing, expected, "{addr}");
        }
        let v6_only = Listener {
            v6_only: true,
            ..listener("::", 0)
        };
        let v4 = |listener| standing(&[listener], at("10.0.0.1")).standing;
        assert_eq!(v4(v6_only), Standing::Closed);
        assert_eq!(v4(listener("::", 0)), Standing::Ready);
    }
}
