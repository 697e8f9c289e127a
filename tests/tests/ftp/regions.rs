//! Data connections of clients whose region is refused.

use std::net::TcpStream;
use std::time::Duration;

use adminapi::model::{
    Fate, FilterList, FilterRules, ForwardingMethod, Protocol, Region, ServiceId,
};
use anyhow::{Result, ensure};
use testbed::mmdb::Mmdb;
use testbed::topology::{CLIENT_V4, VIP_V4};
use testbed::wait;

use crate::bed::Bed;
use crate::control::{Control, PATIENCE};

/// Where a client comes from is asked before what it was told, and before whether its real server is
/// there.
#[test]
fn a_region_is_refused_data_connections_as_explained() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let countries = directory.path().join("country.mmdb");
    let network = format!("{CLIENT_V4}/32").parse()?;
    let written = Mmdb::new("Test-Country").country(network, "DE", "EU");
    written.write(&countries)?;
    let file = countries.display().to_string();
    let bed = Bed::start_shaped(ForwardingMethod::Nat, |configuration| {
        configuration.filter("country_file", file)
    })?;
    let Some(bed) = bed else {
        return Ok(());
    };
    let api = bed.director.api();
    let deny = |countries: &[&str]| {
        let region = Region {
            name: "there".to_owned(),
            countries: countries.iter().map(|&code| code.to_owned()).collect(),
            list: Some(FilterList::Deny),
            ..Region::default()
        };
        let rules = FilterRules {
            regions: vec![region],
            ..FilterRules::default()
        };
        api.put_filter(&rules)
    };
    bed.topology.client.enter(|| {
        let mut control = Control::log_in()?;
        let real = bed.real_of(control.client()?)?;
        let to = control.offered()?;
        let why = |to| {
            let told = bed.explain((CLIENT_V4, 1).into(), to)?;
            anyhow::Ok((told.fate, told.reason.unwrap_or_default(), told.expected))
        };
        assert_eq!(why(to)?, (Fate::Forward, String::new(), true));
        deny(&["DE"])?;
        assert_eq!(why(to)?, (Fate::Drop, "region".to_owned(), true));
        let beside = (VIP_V4, to.port() ^ 1).into();
        assert_eq!(why(beside)?, (Fate::Drop, "region".to_owned(), false));
        for to in [to, beside] {
            let dropped = || api.dropped("region");
            let before = dropped()?;
            let opened = TcpStream::connect_timeout(&to, Duration::from_millis(500));
            ensure!(opened.is_err(), "{to} was taken");
            wait::until("a drop", PATIENCE, || {
                ensure!(dropped()? > before);
                Ok(())
            })?;
        }
        let service = ServiceId::at(Protocol::Tcp, (VIP_V4, 21).into());
        api.remove_real(service, real)?;
        assert_eq!(why(to)?, (Fate::Drop, "region".to_owned(), true));
        deny(&["BR"])?;
        assert_eq!(why(to)?, (Fate::Drop, "real_removed".to_owned(), true));
        Ok(())
    })?;
    Ok(())
}
