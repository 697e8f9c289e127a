//! Which agents speak for which real server: what their certificates say, asked once.

use std::collections::HashMap;
use std::net::IpAddr;

use rustls::pki_types::CertificateDer;

use crate::channel::is_for;

/// Addresses that are remembered; a pool that has changed so much is asked about anew.
const MOST: usize = 1 << 16;

/// All who are connected.
#[derive(Default)]
pub(super) struct Speakers {
    certificates: HashMap<u64, CertificateDer<'static>>,
    /// Of each address that somebody has asked about, all who speak for it.
    known: HashMap<IpAddr, Vec<u64>>,
}

impl Speakers {
    /// An agent has come.
    pub(super) fn join(&mut self, id: u64, certificate: CertificateDer<'static>) {
        for (addr, speakers) in &mut self.known {
            if is_for(&certificate, *addr) {
                speakers.push(id);
            }
        }
        self.certificates.insert(id, certificate);
    }

    /// It has gone.
    pub(super) fn part(&mut self, id: u64) {
        if self.certificates.remove(&id).is_some() {
            for speakers in self.known.values_mut() {
                speakers.retain(|speaker| *speaker != id);
            }
        }
    }

    /// Who speaks for `addr`.
    pub(super) fn of(&mut self, addr: IpAddr) -> &[u64] {
        if self.known.len() >= MOST && !self.known.contains_key(&addr) {
            self.known.clear();
        }
        let certificates = &self.certificates;
        self.known.entry(addr).or_insert_with(|| {
            let speaks = certificates.iter().filter(|(_, own)| is_for(own, addr));
            speaks.map(|(id, _)| *id).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::tests::certificate;

    #[test]
    fn whoever_comes_and_goes_speaks_for_what_his_certificate_says() {
        let [one, other]: [IpAddr; 2] = ["10.0.2.1", "10.0.2.2"].map(|a| a.parse().unwrap());
        let mut speakers = Speakers::default();
        assert!(speakers.of(one).is_empty());
        speakers.join(1, certificate("10.0.2.1"));
        speakers.join(2, certificate("10.0.2.2"));
        speakers.join(3, certificate("10.0.2.1"));
        assert_eq!(speakers.of(one), [1, 3], "asked about before they came");
        assert_eq!(speakers.of(other), [2], "and after");
        speakers.part(1);
        speakers.part(2);
        assert_eq!(speakers.of(one), [3]);
        assert!(speakers.of(other).is_empty());
    }

    #[test]
    fn no_more_addresses_are_remembered_than_there_is_room_for() {
        let mut speakers = Speakers::default();
        for number in 0..MOST as u32 + 10 {
            speakers.of(std::net::Ipv4Addr::from(number).into());
        }
        assert!(speakers.known.len() <= MOST);
        speakers.join(1, certificate("0.0.0.1"));
        assert_eq!(speakers.of("0.0.0.1".parse().unwrap()), [1]);
    }
}
