//! Clients that ask again and again, each on one connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::scene::Family;
use testbed::traffic::HttpConnection;
use testbed::wait;

use crate::bed::{Bench, PATIENCE};

/// As many as there are of them.
const CLIENTS: usize = 24;

/// The clients. One whose connection breaks ends.
pub(super) struct Crowd {
    asked: Arc<[AtomicU32]>,
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<()>>>,
}

impl Crowd {
    pub(super) fn begin(bench: &Bench) -> Result<Self> {
        let asked: Arc<[AtomicU32]> = (0..CLIENTS).map(|_| AtomicU32::new(0)).collect();
        let over = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|n| {
            let (asked, over) = (Arc::clone(&asked), Arc::clone(&over));
            bench.topology.client.spawn(move || {
                let mut open = HttpConnection::open_here(Family::V4.http())?;
                while !over.load(Relaxed) {
                    open.ask_name()?;
                    asked[n].fetch_add(1, Relaxed);
                    thread::sleep(Duration::from_millis(20));
                }
                Ok(())
            })
        });
        let clients = clients.collect::<Result<_>>()?;
        Ok(Self {
            asked,
            over,
            clients,
        })
    }

    /// Waits until each has had some more answers, or one has none any more.
    pub(super) fn talk_on(&self) -> Result<()> {
        let count = || self.asked.iter().map(|asked| asked.load(Relaxed));
        let before: Vec<_> = count().collect();
        wait::until("everybody to talk on", PATIENCE, || {
            let waiting = count().zip(&before).filter(|(now, old)| *now < **old + 20);
            ensure!(waiting.count() == 0 || self.clients.iter().any(JoinHandle::is_finished));
            Ok(())
        })
    }

    /// # Errors
    /// When a connection was lost.
    pub(super) fn end(self) -> Result<()> {
        self.over.store(true, Relaxed);
        for client in self.clients {
            client.join().expect("a client panicked")?;
        }
        Ok(())
    }
}
