//! The pool, and the tables that know it: new ones, or those that another daemon has left.

use std::fs::File;
use std::io;
use std::sync::Arc;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;

use crate::config::Config;
use crate::datapath::Datapath;
use crate::fast::Fast;
use crate::filter::Crowds;
use crate::flow::{Elsewhere, Limits, Shape, Table};
use crate::keep::{Former, Keep};
use crate::pool::Pool;
use crate::tcp::Timeouts;
use crate::templates::Templates;
use crate::time::{Clock, Tick};

/// The pool and the tables that know it.
pub(super) struct Tables {
    pub(super) pool: Arc<ArcSwap<Pool>>,
    pub(super) connections: Table,
    pub(super) templates: Templates,
    pub(super) timeouts: Arc<ArcSwap<Timeouts>>,
    pub(super) fast: Option<Arc<Fast>>,
}

pub(super) fn tables(
    config: &Config,
    datapath: &Datapath,
    keep: Option<&Keep>,
    former: Option<&Former>,
    clock: Clock,
) -> Result<Tables> {
    let workers = datapath.worker_count();
    let limits = Limits {
        connections: config.limits.connections as usize,
        half_open: config.limits.half_open as usize,
        workers,
    };
    let clients = Templates::limits(config.limits.templates as usize, workers);
    let now = clock.now();
    let about = former.map(|former| &former.about);
    let file = keep.map(Keep::connections).transpose()?;
    let connections = table(&limits, file, about.map(|about| &about.connections), now)
        .context("cannot get memory for the connection table; lower [limits] connections")?;
    let file = keep.map(Keep::templates).transpose()?;
    let templates = table(&clients, file, about.map(|about| &about.templates), now)
        .context("cannot get memory for templates; lower [limits] templates")?;
    if let Some(keep) = keep {
        let bytes = connections.kept_bytes() + templates.kept_bytes();
        keep.check_room(bytes as u64, former)?;
    }
    let crowds = Crowds::of(connections.locator());
    let pool = pool(config, datapath, former).counting(Arc::new(crowds));
    let pool = Arc::new(ArcSwap::from_pointee(pool));
    let timeouts = Arc::<ArcSwap<Timeouts>>::default();
    let fast = fast(config, datapath, &timeouts)?;
    if let Some(fast) = &fast {
        fast.wake(now);
    }
    let elsewhere = fast.clone().map(|fast| fast as Arc<dyn Elsewhere>);
    Ok(Tables {
        templates: Templates::of(templates, Arc::clone(&pool)),
        connections: connections.seen_by(elsewhere),
        timeouts,
        fast,
        pool,
    })
}

/// A table whose entries outlive this process if there is a `file` for them; those of a `former`
/// one of that shape all find a place in it.
fn table(
    limits: &Limits,
    file: Option<File>,
    former: Option<&Shape>,
    now: Tick,
) -> io::Result<Table> {
    match file {
        Some(file) => Table::kept(limits, &file, former, now),
        None => Table::new(limits),
    }
}

/// A pool of no service yet, which knows what slots a former one has given.
fn pool(config: &Config, datapath: &Datapath, former: Option<&Former>) -> Pool {
    let pool = Pool::new(datapath.worker_count());
    let mut pool = pool
        .speaking_from(config.datapath.local.ports.clone())
        .enrolling(Arc::clone(datapath.gate.roll()));
    if let Some(former) = former {
        pool.remember(former.names.iter().copied());
        pool.remember_speakers(former.speakers.iter().copied());
    }
    pool
}

/// The fast path, if it is wanted.
fn fast(
    config: &Config,
    datapath: &Datapath,
    timeouts: &Arc<ArcSwap<Timeouts>>,
) -> Result<Option<Arc<Fast>>> {
    if config.datapath.flows == 0 {
        return Ok(None);
    }
    let flows = datapath.gate.flows()?;
    Ok(Some(Arc::new(Fast::new(flows, Arc::clone(timeouts)))))
}
