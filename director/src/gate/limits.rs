//! The limits and their buckets, as `bpf/limit.h` lays them out.
//!
//! Buckets are in the same map for the gate of another director, as long as that is there, and for this
//! one. Limits that are the same go on with theirs; others have buckets of another series, so that none
//! is taken for one of another limit.

use std::os::fd::AsFd;

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use parking_lot::Mutex;

use super::GateError;
use super::carried::Carried;
use super::map::{sum_percpu, zero_percpu};
use super::skel::{GateSkel, OpenGateSkel};
use crate::filter::{Accused, Limit, MAX_LIMITS, MOST_ACCUSED, Per, Rules};
use crate::wire::{Addr, Tuple};

const BUCKETS: &str = "buckets";
const LIMITS: &str = "limits";
const FILTERS: &str = "filters";

/// The maps that a later director goes on with.
pub(super) const LIMIT_MAPS: [&str; 3] = [BUCKETS, LIMITS, FILTERS];

/// Of those, the ones that it reads: which limits there were.
pub(super) const READ_MAPS: [&str; 2] = [LIMITS, FILTERS];

/// Where in `struct filter` the number of limits is.
const LIMITS_AT: usize = 16;

/// The limits that the gate holds.
#[derive(Debug)]
pub(super) struct Limits {
    limits: MapHandle,
    buckets: MapHandle,
    over: MapHandle,
    accused: MapHandle,
    series: Mutex<Series>,
}

/// Which buckets are those of the present limits.
#[derive(Debug, Default)]
struct Series {
    number: u32,
    /// The limits of another director that have them, until this one has some of its own.
    former: Vec<Vec<u8>>,
}

impl Series {
    /// The limits of another director as its maps have them.
    fn read(carried: &Carried) -> Option<Self> {
        let entry = |map: &MapHandle, number: u32| {
            let value = map.lookup(&number.to_ne_bytes(), MapFlags::ANY);
            value.ok().flatten()
        };
        let filter = entry(carried.map(FILTERS)?, 0)?;
        let count = u32::from_ne_bytes(*filter.get(LIMITS_AT..)?.first_chunk()?);
        let limits = carried.map(LIMITS)?;
        let former = (0..count).map(|number| entry(limits, number));
        Some(Self {
            number: u32::from_ne_bytes(*entry(limits, 0)?.last_chunk()?),
            former: former.collect::<Option<_>>()?,
        })
    }

    /// The series of these limits, when they become the present ones.
    fn of<'l>(&mut self, limits: impl Iterator<Item = &'l Limit>) -> u32 {
        let former = std::mem::take(&mut self.former);
        let go_on = limits.map(|limit| limit.to_bytes(self.number));
        if former.is_empty() || !former.into_iter().eq(go_on) {
            self.number = self.number.wrapping_add(1);
        }
        self.number
    }
}

/// Whose bucket it is, as `struct bucket_name` has it.
fn bucket_name((number, limit): (u8, &Limit), series: u32, tuple: &Tuple) -> [u8; 24] {
    let mut name = [0; 24];
    let addr = match limit.scope.per {
        Per::Source => limit.source(tuple.src.addr).addr,
        Per::Service => {
            name[16..18].copy_from_slice(&tuple.dst.port.to_be_bytes());
            name[18] = tuple.protocol.number();
            tuple.dst.addr
        }
    };
    name[..16].copy_from_slice(addr.octets());
    name[19] = number;
    name[20..].copy_from_slice(&series.to_ne_bytes());
    name
}

/// The limits of the gate, as many as it has room for.
pub(super) fn limits_of(rules: &Rules) -> impl Iterator<Item = &Limit> {
    let limits = rules.limits_of_gate().map(|(_, limit)| limit);
    limits.take(MAX_LIMITS)
}

fn map(map: &'static str) -> impl Fn(libbpf_rs::Error) -> GateError {
    move |error| GateError::Map { map, error }
}

impl Limits {
    pub(super) fn of(skel: &GateSkel<'_>) -> libbpf_rs::Result<Self> {
        Ok(Self {
            limits: MapHandle::try_from(&skel.maps.limits)?,
            buckets: MapHandle::try_from(&skel.maps.buckets)?,
            over: MapHandle::try_from(&skel.maps.over_limits)?,
            accused: MapHandle::try_from(&skel.maps.accused)?,
            series: Mutex::default(),
        })
    }

    pub(super) fn lend(&self, open: &mut OpenGateSkel<'_>) -> libbpf_rs::Result<()> {
        open.maps.limits.reuse_fd(self.limits.as_fd())?;
        open.maps.buckets.reuse_fd(self.buckets.as_fd())?;
        open.maps.accused.reuse_fd(self.accused.as_fd())?;
        open.maps.over_limits.reuse_fd(self.over.as_fd())
    }

    /// Looks which limits the buckets are of that another director has left.
    pub(super) fn remember(&self, carried: &Carried) {
        *self.series.lock() = Series::read(carried).unwrap_or_default();
    }

    /// Writes those of `rules`, with nothing counted.
    pub(super) fn write(&self, rules: &Rules) -> Result<(), GateError> {
        let series = self.series.lock().of(limits_of(rules));
        for (number, limit) in (0u32..).zip(limits_of(rules)) {
            zero_percpu(&self.over, number).map_err(map("over_limits"))?;
            self.limits
                .update(
                    &number.to_ne_bytes(),
                    &limit.to_bytes(series),
                    MapFlags::ANY,
                )
                .map_err(map(LIMITS))?;
        }
        Ok(())
    }

    /// Whether nothing is left at `now` of what `tuple` may have by the limit of this number.
    pub(super) fn is_used_up(
        &self,
        (number, limit): (u8, &Limit),
        tuple: &Tuple,
        now: u64,
    ) -> Result<bool, GateError> {
        let series = self.series.lock().number;
        let name = bucket_name((number, limit), series, tuple);
        let tokens = self.buckets.lookup(&name, MapFlags::ANY);
        let tokens = tokens.map_err(map(BUCKETS))?;
        let full = tokens.as_deref().and_then(|tokens| tokens.first_chunk());
        let full = full.map_or(0, |full| u64::from_ne_bytes(*full));
        Ok(full.saturating_sub(now) > limit.pace().ahead)
    }

    /// Sources that were over a limit too often since this was asked last.
    pub(super) fn accused(&self) -> Result<Vec<Accused>, GateError> {
        let mut all = Vec::new();
        while all.len() < MOST_ACCUSED {
            let next = self.accused.lookup_and_delete(&[]);
            let Some(name) = next.map_err(map("accused"))? else {
                break;
            };
            let (addr, rest) = name.split_at(16);
            all.push(Accused {
                limit: rest[3].into(),
                source: Addr::v6(addr.try_into().unwrap_or_default()),
            });
        }
        Ok(all)
    }

    /// Packets over a limit.
    pub(super) fn over(&self, limit: usize) -> Result<u64, GateError> {
        sum_percpu(&self.over, limit as u32).map_err(map("over_limits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Of, Scope};
    use crate::region::Regions;

    fn limit(burst: u32) -> Limit {
        Limit {
            of: Of::Syns,
            rate: 1,
            burst,
            scope: Scope {
                per: Per::Source,
                bits_v4: 32,
                bits_v6: 64,
                service: None,
            },
            region: Regions::default(),
            ban: None,
        }
    }

    /// What a director finds that had these limits, with the buckets of series 7.
    fn left(limits: &[Limit]) -> Series {
        let bytes = limits.iter().map(|limit| limit.to_bytes(7).to_vec());
        Series {
            number: 7,
            former: bytes.collect(),
        }
    }

    #[test]
    fn the_same_limits_have_the_same_buckets_and_others_others() {
        let both = [limit(5), limit(9)];
        for (now, series) in [
            (&[limit(5), limit(9)][..], 7),
            (&[limit(9), limit(5)], 8),
            (&[limit(5)], 8),
            (&[limit(5), limit(9), limit(1)], 8),
            (&[], 8),
        ] {
            assert_eq!(left(&both).of(now.iter()), series, "{now:?}");
        }
        assert_eq!(left(&[]).of([].iter()), 8);
        assert_eq!(Series::default().of(both.iter()), 1);
    }

    #[test]
    fn a_change_begins_with_other_buckets_whatever_it_is() {
        let both = [limit(5), limit(9)];
        let mut series = left(&both);
        let next = [&both[..], &both, &both[..1], &both];
        let numbers = next.map(|limits| series.of(limits.iter()));
        assert_eq!(numbers, [7, 8, 9, 10]);
    }
}
