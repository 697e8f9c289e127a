//! Sources that no client has. A connection to one would have its answers come back to the director
//! itself, and two VIPs that are made to speak to each other would never end.
//!
//! | source | kernel |
//! |---|---|
//! | no host: unspecified, loopback, multicast, broadcast, reserved | `ip_route_input_slow`, `ip6_rcv_core` |
//! | IPv4: an address of this host, or a VIP | `__fib_validate_source`, whatever `rp_filter` is |
//! | an address that only the director speaks from | has none |

use super::refusal::Refusal;
use super::view::View;
use crate::drops::Cause;
use crate::neighbour::Fib;
use crate::pool::Pool;
use crate::service::Service;
use crate::wire::{Addr, Transport};

impl<'s> View<'s> {
    /// Refuses a packet to `service` that cannot come from where it says.
    #[inline]
    pub(super) fn believe(
        &self,
        service: &'s Service,
        packet: &Transport,
    ) -> Result<(), Refusal<'s>> {
        match is_forged(self.pool, self.fib, packet.tuple.src.addr) {
            true => Err(Refusal::from(Cause::ForgedSource).of_service(service)),
            false => Ok(()),
        }
    }
}

/// Whether no client can have this address. Who is served on this host comes in through no interface.
fn is_forged(pool: &Pool, fib: &Fib, src: Addr) -> bool {
    !src.is_host()
        || pool.speakers().has(src)
        || src.is_v4() && (pool.is_vip(src) || fib.is_own(src))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use adminapi::model::Scheduler;

    use super::*;
    use crate::marks::{ALL_PORTS, Rule, family_of};
    use crate::neighbour::{Change, Tables};
    use crate::region::Regions;
    use crate::service::ServiceKey;
    use crate::wire::{Endpoint, Net, Protocol};

    fn addr(text: &str) -> Addr {
        text.parse::<IpAddr>().unwrap().into()
    }

    /// Services at 192.0.2.1 and 2001:db8::1, on a host that is 10.0.1.254 and fd00:1::fe, and speaks
    /// by FullNAT from 10.0.2.100 and fd00:2::100.
    fn director() -> (Pool, Fib) {
        let mut pool = Pool::new(1);
        for vip in ["192.0.2.1", "2001:db8::1"] {
            let vip = Endpoint::new(addr(vip), 53);
            let key = ServiceKey::at(Protocol::Udp, vip);
            pool.add_service(key, Scheduler::Rr).unwrap();
        }
        pool.list_speakers(&["10.0.2.100", "fd00:2::100"].map(addr));
        let mut tables = Tables::new::<&str>(&[]);
        for own in ["10.0.1.254", "fd00:1::fe"] {
            tables.apply(Change::Address(2, addr(own), 24));
        }
        (pool, tables.snapshot())
    }

    /// A rule that marks what goes to so many bits of `addr` with 7.
    fn rule(addr: Addr, bits: u8) -> Rule {
        Rule {
            mark: 7,
            protocol: None,
            src: Net::default(),
            dst: Net::new(addr, bits),
            src_ports: ALL_PORTS,
            dst_ports: (53, 53),
            port: None,
            region: Regions::default(),
        }
    }

    #[test]
    fn an_address_that_a_rule_names_is_a_vip_while_a_service_takes_its_mark() {
        let (mut pool, fib) = director();
        let (vip, beside) = (addr("192.0.2.9"), addr("198.51.100.1"));
        pool.set_marks([rule(vip, 128), rule(beside, 120)].into());
        assert!(!is_forged(&pool, &fib, vip));
        let key = |mark| {
            let family = family_of(vip);
            ServiceKey::Mark { mark, family }
        };
        pool.add_service(key(8), Scheduler::Rr).unwrap();
        assert!(!is_forged(&pool, &fib, vip));
        pool.add_service(key(7), Scheduler::Rr).unwrap();
        assert!(is_forged(&pool, &fib, vip));
        assert!(
            !is_forged(&pool, &fib, beside),
            "anybody may be in a network"
        );
        pool.remove_service(&key(7)).unwrap();
        assert!(!is_forged(&pool, &fib, vip));
    }

    #[test]
    fn what_no_client_can_be_is_forged() {
        let (pool, fib) = director();
        for (src, forged) in [
            ("10.0.1.1", false),
            ("10.0.1.255", false),
            ("169.254.0.1", false),
            ("192.0.2.2", false),
            ("223.255.255.255", false),
            ("0.0.0.0", true),
            ("0.1.2.3", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("224.0.0.5", true),
            ("240.0.0.1", true),
            ("255.255.255.255", true),
            ("10.0.1.254", true),
            ("192.0.2.1", true),
            ("10.0.2.100", true),
            ("fd00:1::1", false),
            ("fe80::1", false),
            ("fd00:1::fe", false),
            ("2001:db8::1", false),
            ("::", true),
            ("::1", true),
            ("ff02::5", true),
            ("fd00:2::100", true),
        ] {
            assert_eq!(is_forged(&pool, &fib, addr(src)), forged, "{src}");
        }
    }
}
