//! SYNs of nobody, and who comes beside them.

use anyhow::{Result, ensure};
use testbed::generator::{Flows, Generator};
use testbed::namespace::Namespace;
use testbed::scene::Family;

use crate::bed::Bed;

/// SYNs of a flood that have to be answered.
pub(crate) const FLOOD: u64 = 5000;

/// SYNs at once.
pub(crate) const ROUND: u32 = 20_000;

/// SYNs from all over the world to the service of a family.
pub(crate) fn flood(client: &Namespace, family: Family) -> Result<Generator> {
    Generator::beside(client, &Flows::spoofed_syns(family.http()))
}

/// Does `work` beside a flood of one family, of which many SYNs are answered.
pub(crate) fn beside_a_flood<T: Send>(
    bed: &Bed,
    family: Family,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let client = &bed.topology.client;
    let generator = flood(client, family)?;
    generator.flood_beside(client, ROUND, work, || {
        let status = bed.status(family)?;
        ensure!(status.sent > FLOOD, "{status:?}");
        Ok(())
    })
}
