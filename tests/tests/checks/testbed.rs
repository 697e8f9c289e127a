//! The testbed itself, with the kernel's NAT in the director's place: what fails here is not
//! Bulwark's fault.

use adminapi::model::Scheduler;
use anyhow::Result;
use testbed::nftables::Rules;
use testbed::require;
use testbed::scene::{Family, services};
use testbed::servers::{Nginx, UdpEcho, big_file};
use testbed::topology::{Layout, Plan, Topology};
use testbed::traffic::{UdpClient, download_sha256, fetch_names, file_sha256};

#[test]
fn http_and_echo_pass_through_the_kernels_nat() -> Result<()> {
    if !require::programs(&["ip", "ethtool", "nginx", "curl", "nft"]) {
        return Ok(());
    }
    for layout in [Layout::Bridged, Layout::Direct] {
        let topology = Topology::build(Plan {
            reals: 2,
            layout,
            ..Plan::default()
        })?;
        let web = topology
            .reals
            .iter()
            .map(Nginx::start)
            .collect::<Result<Vec<_>>>()?;
        let echo = topology
            .reals
            .iter()
            .map(UdpEcho::start)
            .collect::<Result<Vec<_>>>()?;
        let _rules = Rules::load(
            &topology.director,
            &services(&topology, Scheduler::Rr, &[1, 1]),
        )?;
        for family in Family::BOTH {
            let names = fetch_names(&topology.client, family.http(), 4)?;
            assert_eq!(
                names.iter().filter(|name| *name == "rs1").count(),
                2,
                "{names:?}"
            );
            let name = UdpClient::open(&topology.client, family.echo())?.echo(b"hello: there")?;
            assert!(name.starts_with("rs"), "{name}");
        }
        let sum = download_sha256(&topology.client, Family::V6.http(), "/big")?;
        assert_eq!(sum, file_sha256(&big_file()?)?);
        let served = web[0].served()?;
        assert!((4..=5).contains(&served.connections), "{served:?}");
        assert_eq!(echo.iter().map(UdpEcho::answered).sum::<u64>(), 2);
    }
    Ok(())
}
