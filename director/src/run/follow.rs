//! What goes on beside the packets for as long as the director runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tracing::warn;

use crate::control::{self, Director, WATCH_PERIOD, listen_for_errors};
use crate::health::Switchboard;
use crate::logging;
use crate::stats::rate;
use crate::wire::Version;

/// Looks after the real servers until `end`, on a thread of its own: what checks cost is kept from
/// the API.
///
/// # Errors
/// That there is no thread to be had.
pub fn look_after(
    director: Arc<Director>,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let lines = {
        let _within = runtime.enter();
        Switchboard::open()?
    };
    let thread = std::thread::Builder::new().name("health".to_owned());
    let work = move || runtime.block_on(control::look_after(director, lines, end));
    thread
        .spawn(work)
        .context("cannot start a thread for health checks")
}

/// Hears what is said of packets in tunnels. Never ends.
pub async fn hear(director: Arc<Director>) {
    let listen = async |version| {
        if let Err(error) = listen_for_errors(&director, version).await {
            warn!(%error, ?version, "what is said of packets in tunnels is not heard");
        }
    };
    tokio::join!(listen(Version::V4), listen(Version::V6));
}

/// How often it is looked whether a file that says where networks are has changed.
const ATLAS_PERIOD: Duration = Duration::from_secs(2);

/// Reads the files anew that say where networks are, when they have changed. Never ends.
pub async fn follow_atlas(director: Arc<Director>) {
    let mut look = tokio::time::interval(ATLAS_PERIOD);
    loop {
        look.tick().await;
        let director = Arc::clone(&director);
        let renew = move || {
            if director.has_old_atlas() {
                director.renew_atlas();
            }
        };
        if let Err(fault) = tokio::task::spawn_blocking(renew).await {
            warn!(%fault, "the files of countries are not followed");
        }
    }
}

/// How often it is looked which queues the interfaces have.
const QUEUES_PERIOD: Duration = Duration::from_secs(1);

/// Opens sockets for queues that come. Never ends.
pub async fn follow_queues(director: Arc<Director>) {
    let mut look = tokio::time::interval(QUEUES_PERIOD);
    loop {
        look.tick().await;
        let director = Arc::clone(&director);
        let look = tokio::task::spawn_blocking(move || director.look_at_queues());
        if let Err(fault) = look.await {
            warn!(%fault, "queues that come are not followed");
        }
    }
}

/// Keeps the gate true to the host's network and the neighbourhood to the real servers, and
/// forgets what is gone. Never ends.
pub async fn follow(director: Arc<Director>) {
    let neighbourhood = director.neighbourhood();
    let (mut links, mut addresses) = (neighbourhood.links(), neighbourhood.addresses());
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut estimation = tokio::time::interval(rate::INTERVAL);
    let mut look = tokio::time::interval(WATCH_PERIOD.into());
    loop {
        let told = tokio::select! {
            Ok(()) = links.changed() => {
                director.look_at_lanes();
                director.set_links(&links.borrow_and_update().clone())
            }
            Ok(()) = addresses.changed() => director.set_locals(&addresses.borrow_and_update().clone()),
            _ = estimation.tick() => {
                director.estimate_rates();
                Ok(())
            }
            _ = look.tick() => {
                director.watch();
                director.follow_ways();
                director.renew_flows();
                director.withhold_refused();
                director.tend_cookies();
                director.tend_repeats();
                director.tend_bans();
                director.look_at_sights();
                director.keep_running();
                director.beat();
                Ok(())
            }
            _ = second.tick() => {
                logging::tell_held_back();
                director.sample();
                director.keep_tally();
                director.keep_neighbours();
                director.look_at_lanes();
                director.keep_shortening();
                director.look_at_ways_back();
                if let Err(error) = director.end_listings() {
                    warn!(%error, "a network is not taken off its list yet");
                }
                if let Err(error) = director.end_drains() {
                    warn!(%error, "a drained real server is not removed yet");
                }
                director.reap().and_then(|()| director.keep_answers())
            }
        };
        if let Err(error) = told {
            warn!(%error, "the gate is behind the host's network");
        }
    }
}
