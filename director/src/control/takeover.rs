//! What a daemon takes over from the one before: connections, templates, counters, levels.
//!
//! It is done before the first packet is judged. Real servers have the slots that they had
//! ([`Pool::remember`](crate::pool::Pool::remember)), so a connection is taken in as it was.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use adminapi::error::Result;
use adminapi::model::SyncDaemon;
use tracing::{info, warn};

use super::{Director, translate};
use crate::fast;
use crate::flow::{Departed, Direction, Entry, Found, Place, Reader};
use crate::keep::{Drained, Former, Held, KeepError, Running, Spread, Tally};
use crate::path;
use crate::pool::Pool;
use crate::service::{Drain, Real};
use crate::time::Tick;
use crate::wire::{Endpoint, Tuple};

/// How many entries of a table were taken over, and how many not.
#[derive(Debug, Default)]
struct Taken {
    over: u64,
    lost: u64,
}

impl Taken {
    fn count(&mut self, done: bool) {
        match done {
            true => self.over += 1,
            false => self.lost += 1,
        }
    }

    const fn and(self, other: Self) -> Self {
        Self {
            over: self.over + other.over,
            lost: self.lost + other.lost,
        }
    }

    /// Somebody who was taken over has had to go for another one, if it was not one who came meanwhile.
    const fn displace(&mut self) {
        self.over = self.over.saturating_sub(1);
        self.lost += 1;
    }
}

/// A connection before it is taken in.
struct Arrival<'p> {
    entry: Entry,
    real: &'p Real,
    forth: Place,
    /// Of one whose replies pass here.
    back: Option<Place>,
}

impl Director {
    /// Goes on where `former` ended; the services are already there. Of the levels that it has held
    /// those are kept for which `goes_on` holds.
    pub fn take_over(&self, former: &Former, goes_on: impl Fn(&Held) -> bool) {
        if let Err(error) = self.admit_remembered() {
            warn!(%error, "connections of real servers that are configured no more are lost");
        }
        if let Some(running) = &former.running {
            self.hold(running, former.tally.as_ref(), goes_on);
            self.resume(running);
            self.spread_on(&running.spread);
        }
        if let (Some(fast), Some(tally)) = (&self.shared.fast, &former.tally) {
            fast.bring_on(&tally.forwarded);
        }
        if let Some(running) = &former.running {
            self.mint_on(&running.coined);
            self.trust(&running.bearers);
        }
        let templates = self.take_templates(former);
        let connections = self.take_connections(former);
        self.shared.orders.set_keep_dead(false);
        self.end_lost(&self.filters.lock());
        // Those who are down are to get none of the first packets. Out of its service, one keeps its
        // connections only if it has them already.
        if let Some(running) = &former.running {
            self.care_on(&running.health);
        }
        // By now those are there who stand in for who is down.
        if let Some(tally) = &former.tally {
            self.count_on(tally);
            self.spend_on(&tally.limits);
        }
        info!(
            connections = connections.over,
            connections_lost = connections.lost,
            templates = templates.over,
            templates_lost = templates.lost,
            "taken over from the daemon before"
        );
    }

    /// Lists the networks that `former` had listed or banned and nobody has named since, and remembers
    /// whom it had banned before.
    pub fn list_on(&self, former: &Former) {
        let Some(running) = &former.running else {
            return;
        };
        if let Err(error) = self.list_as_before(&running.listed) {
            warn!(%error, "a network is not listed any more");
        }
        if let Err(error) = self.ban_as_before(&running.banned) {
            warn!(%error, "a network is not banned any more");
        }
        self.remember_offenders(&running.offenders);
    }

    /// Says that all is in place that the next daemon needs.
    ///
    /// # Errors
    /// The file system's.
    pub fn complete(&self) -> std::result::Result<(), KeepError> {
        let Some(keep) = &self.keeping.keep else {
            return Ok(());
        };
        self.keep_running();
        self.keep_tally();
        let shapes = [self.shared.table.shape(), self.shared.templates.shape()];
        keep.complete(&self.facts.clock, shapes)
    }

    /// Real servers that are listed no more have their connections still.
    fn admit_remembered(&self) -> Result<()> {
        self.change(|pool, touched| {
            for (service, endpoint) in pool.admit_remembered() {
                touched.real(&service, endpoint);
            }
            Ok(())
        })
    }

    fn resume(&self, running: &Running) {
        self.watch.lock().events.go_on(running.events);
        self.start_again(&running.daemons);
        for drained in &running.drains {
            if let Err(error) = self.drain_on(drained) {
                warn!(%error, "a drain is not taken over");
            }
        }
    }

    /// Starts the synchronisation daemons that there were before, as far as they can be started still:
    /// they do nothing, so nothing is to fail for them.
    pub fn start_again(&self, daemons: &[SyncDaemon]) {
        let (links, there) = (
            self.neighbourhood.links().borrow().clone(),
            self.daemons.all(),
        );
        let is_there = |daemon: &&SyncDaemon| there.iter().any(|one| one.role == daemon.role);
        for daemon in daemons.iter().filter(|daemon| !is_there(daemon)) {
            if let Err(error) = self.daemons.start(daemon.clone(), &links) {
                warn!(%error, "a synchronisation daemon is not taken over");
            }
        }
    }

    /// A drain goes on, unless the file gives the real server a weight again.
    pub(super) fn drain_on(&self, drained: &Drained) -> Result<()> {
        let (key, endpoint) = (
            translate::key(drained.service),
            Endpoint::from(drained.real),
        );
        let drain = Drain {
            since: drained.since,
            seconds: drained.seconds,
            until: Tick(drained.until),
        };
        self.change(|pool, _| {
            let real = pool
                .service(&key)
                .and_then(|service| service.reals.find(endpoint));
            match real.is_some_and(|real| real.weight == 0) {
                true => super::edit::drain_real(pool, &key, endpoint, drain),
                false => Ok(()),
            }
        })
    }

    /// Tables of schedulers are as large as they were, or nearly all clients would have others.
    fn spread_on(&self, spread: &[Spread]) {
        let widened = self.change(|pool, _| {
            for Spread { service, slots } in spread {
                pool.widen(&translate::key(*service), *slots);
            }
            Ok(())
        });
        if let Err(error) = widened {
            warn!(%error, "clients of mh may have other real servers than before");
        }
    }

    fn count_on(&self, tally: &Tally) {
        let pool = self.shared.pool.load();
        for counted in &tally.services {
            let Some(service) = pool.service(&translate::key(counted.service)) else {
                continue;
            };
            service.traffic.go_on(&counted.traffic);
            for counted in &counted.reals {
                if let Some(real) = service.find(counted.real.into()) {
                    real.traffic.go_on(&counted.traffic);
                }
            }
            if let (Some(counted), Some(sorry)) = (&counted.sorry, &service.sorry) {
                if sorry.endpoint == counted.real.into() {
                    sorry.traffic.go_on(&counted.traffic);
                }
            }
        }
    }

    fn take_templates(&self, former: &Former) -> Taken {
        let mut taken = Taken::default();
        let read = former.templates().and_then(|file| {
            Reader::ALONE.read(&file, &former.about.templates, |batch| {
                for found in batch {
                    taken.count(match found {
                        Found::Entry(template) => self.shared.templates.take_over(*template),
                        Found::Damaged => false,
                    });
                }
            })
        });
        if let Err(error) = read {
            warn!(%error, "templates cannot be taken over to the end");
        }
        taken
    }

    /// All CPUs do it: nobody new is let in before it is done. A shard has the connections of one of
    /// the former table, which one of them reads: they do not meet.
    fn take_connections(&self, former: &Former) -> Taken {
        let pool = self.shared.pool.load();
        thread::scope(|scope| {
            let readers = Reader::all().map(|reader| {
                let pool = &pool;
                scope.spawn(move || self.take_share(pool, former, reader))
            });
            let readers: Vec<_> = readers.collect();
            let shares = readers
                .into_iter()
                .map(|reader| reader.join().unwrap_or_else(|panic| resume_unwind(panic)));
            shares.fold(Taken::default(), Taken::and)
        })
    }

    fn take_share(&self, pool: &Arc<Pool>, former: &Former, reader: Reader) -> Taken {
        let mut taken = Taken::default();
        let read = former.connections().and_then(|file| {
            reader.read(&file, &former.about.connections, |batch| {
                self.take_batch(pool, batch, &mut taken);
            })
        });
        if let Err(error) = read {
            warn!(%error, "connections cannot be taken over to the end");
        }
        taken
    }

    /// Takes connections in. Where they are going to be is asked for before, for all at one time.
    fn take_batch(&self, pool: &Arc<Pool>, batch: &[Found], taken: &mut Taken) {
        let arrivals = batch.iter().map(|found| match found {
            Found::Entry(entry) => self.arrival(pool, entry),
            Found::Damaged => None,
        });
        let arrivals: Vec<_> = arrivals.collect();
        for arrival in arrivals {
            let gone = &mut |gone: &Entry, _| {
                path::leave(pool, &self.shared.pool, &self.shared.templates, gone);
                taken.displace();
            };
            let done = arrival.is_some_and(|arrival| self.take_in(pool, &arrival, gone));
            taken.count(done);
        }
    }

    /// Where a connection is going to be, as if it had just come, in the state that it is in. One that
    /// fits its real server no more is none.
    fn arrival<'p>(&self, pool: &'p Pool, entry: &Entry) -> Option<Arrival<'p>> {
        let mut entry = *entry;
        if entry.is_cached() {
            // Its last packet, which the gate has forwarded, nobody may be able to tell any more.
            let life = fast::lifetime(&entry, &self.shared.timeouts.load());
            entry.outlive(self.facts.clock.now().after(life));
        }
        let real = pool.real(entry.real())?;
        if !real.service.has(entry.protocol()) || entry.is_one_way() != real.method.is_one_way() {
            return None;
        }
        let table = &self.shared.table;
        let forth = table.locate(Direction::Original, &entry.original());
        let reply = Tuple {
            protocol: entry.protocol(),
            src: Endpoint::new(real.endpoint.addr, entry.real_port()),
            dst: pool.speakers().peer(&entry),
        };
        let back = match (entry.is_one_way(), entry.local_port) {
            (true, _) => None,
            (false, 0) => Some(table.locate(Direction::Reply, &reply)),
            (false, _) => Some(table.locate_by_port(&reply)),
        };
        std::iter::once(&forth)
            .chain(&back)
            .for_each(|place| table.prefetch(place));
        Some(Arrival {
            entry,
            real,
            forth,
            back,
        })
    }

    /// False when there is no room for it. Who has to make room is told to `gone`.
    fn take_in(
        &self,
        pool: &Pool,
        arrival: &Arrival<'_>,
        gone: &mut impl FnMut(&Entry, Departed),
    ) -> bool {
        let Arrival {
            entry, real, forth, ..
        } = arrival;
        let table = &self.shared.table;
        let taken = table.take_in(*entry, forth, arrival.back.as_ref(), gone);
        if taken.is_err() {
            return false;
        }
        real.enter(entry.tracked.phase());
        pool.speakers().enter(entry);
        pool.enrol(entry);
        if entry.controlled_by().is_some() {
            self.shared.templates.readopt(entry);
        }
        true
    }
}
