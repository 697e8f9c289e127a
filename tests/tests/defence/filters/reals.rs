//! Real servers come in whatever is listed.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use director::filter::{List, Rules};
use director::gate::{Known, Roles, Trial, Verdict};
use director::wire::{Addr, Mac, Net};
use testbed::packet::{self, ethernet, udp};
use testbed::require;
use testbed::scene::Family;

/// Real servers, as many as share the bits of their addresses' places in the gate.
fn crowd(family: Family) -> impl Iterator<Item = IpAddr> {
    (0..600_u16).map(move |number| {
        let [high, low] = number.to_be_bytes();
        match family {
            Family::V4 => [10, 7, high, low].into(),
            Family::V6 => [0xfd00, 7, 0, 0, 0, 0, 0, number].into(),
        }
    })
}

#[test]
fn real_servers_are_let_in_whatever_is_listed() -> Result<()> {
    if !require::programs(&[]) {
        return Ok(());
    }
    let own = packet::Mac::of_host(1, 254);
    let trial = Trial::new(1000)?;
    trial.set_station(Mac(own.0))?;
    for everything in [
        Net::new(Addr::v4([0; 4]), Net::V4_BITS),
        Net::new(Addr::v6([0; 16]), 0),
    ] {
        trial.filters().list(everything, List::BlackHole, 0)?;
    }
    let known = Known {
        listed: [true; 2],
        ..Known::default()
    };
    trial.filters().set_known(&Rules::default(), known)?;
    let verdict = |from: IpAddr, family: Family| {
        let (from, to) = (SocketAddr::new(from, 4000), family.http());
        let frame = ethernet(packet::Mac::of_host(1, 1), own, &udp(from, to, b"?"));
        Ok::<_, anyhow::Error>(trial.put(&frame)?.0)
    };
    for family in Family::BOTH {
        for real in crowd(family) {
            assert_eq!(verdict(real, family)?, Verdict::Drop, "{real}");
            trial.endpoints().set_address(real.into(), Roles::REAL)?;
            trial.endpoints().set_address(real.into(), Roles::REAL)?;
        }
        for gone in crowd(family).step_by(2) {
            trial.endpoints().set_address(gone.into(), Roles::NONE)?;
        }
        for (number, real) in crowd(family).enumerate() {
            let expected = [Verdict::Drop, Verdict::Pass][number % 2];
            assert_eq!(verdict(real, family)?, expected, "{real}");
        }
    }
    Ok(())
}

#[test]
fn a_real_server_that_found_no_room_leaves_nothing_behind() -> Result<()> {
    if !require::programs(&[]) {
        return Ok(());
    }
    let trial = Trial::new(1000)?;
    let real = Addr::v4([10, 7, 0, 1]);
    let mut others = (0..u32::MAX).map(|number| Addr::v4((0x0b00_0000 + number).to_be_bytes()));
    others
        .find(|other| {
            trial
                .endpoints()
                .set_address(*other, Roles::SERVICE)
                .is_err()
        })
        .context("room for all there are")?;
    trial
        .endpoints()
        .set_address(real, Roles::REAL)
        .unwrap_err();
    ensure!(
        !trial.endpoints().may_be_real(real),
        "it is still looked for"
    );
    Ok(())
}
