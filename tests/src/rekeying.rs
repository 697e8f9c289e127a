//! Clients that come while one key of cookies takes another one's place.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::director::Director;
use crate::namespace::Namespace;
use crate::scene::Family;
use crate::traffic::HttpConnection;

const PATIENCE: Duration = Duration::from_secs(30);

/// The bit of a cookie that names its key.
const KEY_BIT: u32 = 9;

/// One client after the other comes to the service of each family, until the third key is in use: the
/// first one is good no more by then. All are served, and no cookie is refused.
///
/// # Errors
/// When it is otherwise, or the keys do not change.
pub fn hinders_nobody(client: &Namespace, director: &Director) -> Result<()> {
    thread::scope(|scope| {
        let come = |family| scope.spawn(move || outlive(client, director, family));
        for coming in Family::BOTH.map(come) {
            coming.join().ok().context("a client has panicked")??;
        }
        Ok(())
    })
}

fn outlive(client: &Namespace, director: &Director, family: Family) -> Result<()> {
    let cookies = || director.api().cookies(family.http_service());
    let before = cookies()?;
    let clients = client.enter(|| connect_until_keys_have_changed(family))?;
    let now = cookies()?;
    let served = now.accepted - before.accepted >= clients;
    ensure!(
        served && now.refused == before.refused,
        "{clients}, {now:?}"
    );
    Ok(())
}

/// How many have come.
fn connect_until_keys_have_changed(family: Family) -> Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    let (mut clients, mut keys) = (0, Vec::new());
    while keys.len() < 3 {
        ensure!(Instant::now() < deadline, "{family:?}: no third key");
        let mut connection = HttpConnection::open_here(family.http())?;
        let (_, next) = connection.numbers()?;
        let key = next.wrapping_sub(1) >> KEY_BIT & 1;
        if keys.last() != Some(&key) {
            keys.push(key);
        }
        connection.ask_name()?;
        clients += 1;
    }
    Ok(clients)
}
