//! Two directors that share keys: the SYN is answered by one, and all that follows goes through the
//! other.

use adminapi::model::ForwardingMethod;
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::require;
use testbed::scene::Family;
use testbed::traffic::HttpConnection;
use testbed::wait;

use crate::bed::{Bed, PATIENCE, Shape, Twin};

const CONNECTIONS: u64 = 20;

#[test]
fn what_one_director_answers_the_other_takes_in() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let secrets = tempfile::tempdir()?;
    let secret = secrets.path().join("cookies.key");
    std::fs::write(&secret, "an open secret is none, of 32 bytes or more")?;
    restrict(&secret)?;
    let shape = Shape {
        method: ForwardingMethod::Dr,
        // The keys change meanwhile.
        rotation: 6,
        ..Shape::NAT
    };
    let path = secret.display().to_string();
    let bed = Bed::build_with(shape, |file| file.cookies("secret_file", path.clone()))?;
    let twin = Twin::beside(&bed, shape, |file| file.cookies("secret_file", path))?;
    bed.await_cookies(Family::V4, 3, true)?;
    twin.await_cookies(Family::V4, 3, true)?;
    twin.part_ways(&bed)?;
    for _ in 0..CONNECTIONS {
        let mut open = HttpConnection::open(&bed.topology.client, Family::V4.http())?;
        open.ask_name()?;
        std::thread::sleep(std::time::Duration::from_millis(400));
    }
    wait::until("the counters", PATIENCE, || {
        let (first, second) = (bed.status(Family::V4)?, twin.status(Family::V4)?);
        ensure!(
            first.sent >= CONNECTIONS && first.accepted == 0,
            "{first:?}"
        );
        ensure!(
            second.accepted >= CONNECTIONS && second.sent == 0,
            "{second:?}"
        );
        ensure!(second.refused == 0, "{second:?}");
        Ok(())
    })?;
    assert_eq!(bed.syns()?, 0, "a real server has seen a SYN");
    let there = twin.director.api().connections(Family::V4.http_service())?;
    assert!(!there.is_empty());
    assert_accounts(&bed.director);
    assert_accounts(&twin.director);
    Ok(())
}

pub(crate) fn restrict(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(())
}
