//! Listings: services in a row each, made as they are asked for.
//!
//! Services and real servers lie all over the memory, and a listing would wait for each by itself.
//! So what is configured is laid out once a change, as the bytes that are sent of it; what changes
//! with the traffic is put into each row as it is made.

use std::hint::black_box;
use std::sync::{Arc, Weak};

use adminapi::error::Result;
use adminapi::model::listing::{self, Unlisted};
use adminapi::model::{Five, ListingQuery, Live, Numbers, Order, ServiceRow, Side};
use adminapi::table::{self, Columns};
use parking_lot::Mutex;

use super::edit::known;
use super::{Director, translate, view};
use crate::pool::Pool;
use crate::service::{Load, Real, Service};
use crate::stats::PerWorker;

/// Services that are fetched from memory together.
const TOGETHER: usize = 8;

/// Services in a form and an order, before there is any traffic.
pub(super) struct Sheet {
    layout: Layout,
    services: Vec<Listed>,
    /// Bytes of it.
    size: usize,
}

/// What a sheet has of services and real servers, and in which order.
pub(super) type Layout = (Form, Order);

/// What is made of a service.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A row of one side.
    Row(Side),
    /// Lines of what is present, without traffic.
    Lines(Columns),
}

impl Form {
    const fn side(self) -> Side {
        match self {
            Self::Row(side) => side,
            Self::Lines(_) => Side::Present,
        }
    }

    fn fixed(self, row: &ServiceRow) -> std::result::Result<Fixed, Unlisted> {
        Ok(match self {
            Self::Row(_) => Fixed::Row(listing::Fixed::of(row)?),
            Self::Lines(columns) => Fixed::Lines(table::Fixed::of(row, columns)),
        })
    }
}

/// What of it stays until something is configured.
enum Fixed {
    Row(listing::Fixed),
    Lines(table::Fixed),
}

impl Fixed {
    fn size(&self) -> usize {
        match self {
            Self::Row(row) => row.size(),
            Self::Lines(lines) => lines.size(),
        }
    }

    fn with(
        &self,
        numbers: Option<Five>,
        live: impl IntoIterator<Item = Live>,
    ) -> std::result::Result<Vec<u8>, Unlisted> {
        match self {
            Self::Row(row) => row.with(numbers, live),
            Self::Lines(lines) => Ok(lines.with(live)),
        }
    }
}

/// A service on a sheet.
struct Listed {
    fixed: Fixed,
    traffic: Arc<PerWorker>,
    /// What its real servers have, in the order of their rows.
    reals: Vec<(Arc<Load>, Arc<PerWorker>)>,
}

impl Sheet {
    /// One of `services`, which are in their order.
    pub(super) fn of(
        services: &[Arc<Service>],
        layout: Layout,
    ) -> std::result::Result<Self, Unlisted> {
        let listed = services.iter().map(|service| Listed::of(service, layout));
        let services: Vec<_> = listed.collect::<std::result::Result<_, _>>()?;
        Ok(Self {
            layout,
            size: services.iter().map(Listed::size).sum(),
            services,
        })
    }
}

impl Listed {
    fn of(service: &Service, (form, order): Layout) -> std::result::Result<Self, Unlisted> {
        let side = form.side();
        let reals: Vec<&Arc<Real>> = match side {
            Side::Present => service.reals.iter().rev().chain(&service.sorry).collect(),
            // What is being drained is not wanted any more, and to add it again would end that.
            Side::Configured => service.configured().filter(|r| r.drain.is_none()).collect(),
        };
        let reals = order.of_reals(reals, |real| real.endpoint.into());
        let counted = |real: &&Arc<Real>| (Arc::clone(&real.load), Arc::clone(&real.traffic));
        Ok(Self {
            fixed: form.fixed(&view::row(service, &reals, side))?,
            traffic: Arc::clone(&service.traffic),
            reals: reals.iter().map(counted).collect(),
        })
    }

    fn size(&self) -> usize {
        size_of::<Self>() + size_of_val(self.reals.as_slice()) + self.fixed.size()
    }

    /// Its row as it is now.
    fn row(&self, numbers: Numbers) -> std::result::Result<Vec<u8>, Unlisted> {
        let live = |(load, traffic): &(Arc<Load>, Arc<PerWorker>)| -> Live {
            view::live(load, traffic, numbers)
        };
        let carried = view::five(&self.traffic, numbers);
        self.fixed.with(carried, self.reals.iter().map(live))
    }
}

/// The sheets of the last listings of all services, one of each layout, for the next ones: who saves
/// again and again does not take away what others list.
#[derive(Default)]
pub(super) struct Sheets(Mutex<(Weak<Pool>, Vec<Arc<Sheet>>)>);

impl Sheets {
    /// Everything that `pool` has.
    pub(super) fn of(
        &self,
        pool: &Arc<Pool>,
        layout: Layout,
    ) -> std::result::Result<Arc<Sheet>, Unlisted> {
        let mut last = self.0.lock();
        let (of, sheets) = &mut *last;
        // The weak pointer holds the place in memory: no other snapshot can be there.
        if !std::ptr::eq(of.as_ptr(), Arc::as_ptr(pool)) {
            (*of, *sheets) = (Arc::downgrade(pool), Vec::new());
        }
        if let Some(sheet) = sheets.iter().find(|sheet| sheet.layout == layout) {
            return Ok(Arc::clone(sheet));
        }
        let services = layout
            .1
            .of_services(pool.services(), |s| translate::id(&s.key));
        let sheet = Arc::new(Sheet::of(&services, layout)?);
        sheets.push(Arc::clone(&sheet));
        Ok(sheet)
    }

    /// Something is configured: the counters of what has gone are not to be held.
    pub(super) fn forget(&self) {
        *self.0.lock() = Default::default();
    }
}

impl Director {
    /// Services in this form, as they are asked for.
    pub(super) fn rows(&self, query: ListingQuery, form: Form) -> Result<Rows> {
        if query.numbers == Numbers::Stats {
            self.collect();
        }
        let pool = self.shared.pool.load();
        let layout = (form, query.order);
        let sheet = match query.service {
            Some(id) => {
                let service = known(&pool, &translate::key(id))?;
                Arc::new(Sheet::of(std::slice::from_ref(service), layout)?)
            }
            None => self.sheets.of(&pool, layout)?,
        };
        Ok(Rows::of(sheet, query.numbers))
    }
}

/// The rows of a sheet.
pub(super) struct Rows {
    sheet: Arc<Sheet>,
    /// How many have been made.
    made: usize,
    numbers: Numbers,
}

impl Rows {
    /// Those of `sheet`, with these numbers.
    const fn of(sheet: Arc<Sheet>, numbers: Numbers) -> Self {
        Self {
            sheet,
            made: 0,
            numbers,
        }
    }

    /// Bytes of what they are made of.
    pub(super) fn size(&self) -> usize {
        self.sheet.size
    }

    /// Has the memory of the next rows come all at once: making a row is mostly waiting for it, and
    /// would wait for each real server by itself.
    fn fetch(&self) {
        let next = self.sheet.services.iter().skip(self.made).take(TOGETHER);
        let carried: fn(&PerWorker) -> u64 = match self.numbers {
            Numbers::None => |_| 0,
            Numbers::Stats => PerWorker::fetch_sum,
            Numbers::Rates => PerWorker::fetch_rates,
        };
        for listed in next {
            let reals = listed.reals.iter();
            let seen = reals.fold(carried(&listed.traffic), |seen, (load, traffic)| {
                seen ^ u64::from(load.inactive()) ^ carried(traffic)
            });
            black_box(seen);
        }
    }
}

impl Iterator for Rows {
    type Item = std::result::Result<Vec<u8>, Unlisted>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.made % TOGETHER == 0 {
            self.fetch();
        }
        let listed = self.sheet.services.get(self.made)?;
        self.made += 1;
        Some(listed.row(self.numbers))
    }
}

#[cfg(test)]
mod tests {
    use adminapi::model::listing::Reader;
    use adminapi::model::{self, RealRow};
    use serde_json::json;

    use super::super::edit;
    use super::super::roles::Touched;
    use super::*;
    use crate::service::{Drain, Phase};
    use crate::time::Tick;

    const IPVSADM: Layout = (Form::Row(Side::Present), Order::Ipvsadm);
    const ADDED: Layout = (Form::Row(Side::Present), Order::Added);

    fn pool(weights: &[u32]) -> Arc<Pool> {
        let reals = weights.iter().enumerate().map(|(place, weight)| {
            let address = format!("10.0.0.{}", place + 1);
            json!({"address": address, "port": 80, "weight": weight, "method": "nat"})
        });
        let reals: Vec<_> = reals.rev().collect();
        let service = json!({"protocol": "tcp", "address": "192.0.2.1", "port": 80,
            "scheduler": "rr", "reals": reals});
        let service: model::Service = serde_json::from_value(service).unwrap();
        let mut pool = Pool::new(1);
        edit::put_services(&mut pool, &mut Touched::default(), &[service], None).unwrap();
        Arc::new(pool)
    }

    fn reals(sheet: &Arc<Sheet>, numbers: Numbers) -> Vec<RealRow> {
        let mut reader = Reader::default();
        for row in Rows::of(Arc::clone(sheet), numbers) {
            reader.take(row.unwrap().into());
        }
        let rows = std::iter::from_fn(|| reader.row().unwrap());
        rows.flat_map(|row| row.reals).collect()
    }

    fn shown(sheet: &Arc<Sheet>) -> Vec<(u32, u32, u32)> {
        let shown = |real: RealRow| (real.weight, real.live.active, real.live.inactive);
        reals(sheet, Numbers::None).into_iter().map(shown).collect()
    }

    #[test]
    fn a_sheet_serves_until_something_is_changed_and_shows_what_the_traffic_changes() {
        let (sheets, before) = (Sheets::default(), pool(&[1, 2]));
        let sheet = sheets.of(&before, IPVSADM).unwrap();
        assert_eq!(shown(&sheet), [(1, 0, 0), (2, 0, 0)]);
        let services = before.services();
        let real = services[0].reals.iter().find(|real| real.weight == 2);
        let real = real.unwrap();
        real.enter(Phase::Active);
        real.traffic.of(0).in_packets.add(7);
        let again = sheets.of(&before, IPVSADM).unwrap();
        assert!(Arc::ptr_eq(&sheet, &again));
        assert_eq!(shown(&again), [(1, 0, 0), (2, 1, 0)]);
        let carried = reals(&again, Numbers::Stats).pop().unwrap().live.numbers;
        assert_eq!(carried, Some([0, 7, 0, 0, 0]));
        let added = sheets.of(&before, ADDED).unwrap();
        assert_eq!(shown(&added), [(2, 1, 0), (1, 0, 0)]);
        let once_more = sheets.of(&before, IPVSADM).unwrap();
        assert!(
            Arc::ptr_eq(&sheet, &once_more),
            "of each layout there is one"
        );
        let after = sheets.of(&pool(&[3]), ADDED).unwrap();
        assert_eq!(shown(&after), [(3, 0, 0)]);
    }

    #[test]
    fn what_is_being_drained_is_shown_but_not_saved() {
        let mut pool = Pool::clone(&pool(&[1, 2]));
        let key = pool.services()[0].key;
        let leaving = std::net::SocketAddr::from(([10, 0, 0, 1], 80)).into();
        let drain = Drain {
            since: 0,
            seconds: 60,
            until: Tick(60),
        };
        edit::drain_real(&mut pool, &key, leaving, drain).unwrap();
        let (sheets, pool) = (Sheets::default(), Arc::new(pool));
        let present = sheets.of(&pool, IPVSADM).unwrap();
        assert_eq!(shown(&present), [(0, 0, 0), (2, 0, 0)]);
        let saved = sheets
            .of(&pool, (Form::Row(Side::Configured), Order::Ipvsadm))
            .unwrap();
        assert_eq!(shown(&saved), [(2, 0, 0)]);
    }

    #[test]
    fn sheets_hold_no_snapshot_and_after_a_change_nothing_at_all() {
        let (sheets, pool) = (Sheets::default(), pool(&[1]));
        let sheet = Arc::downgrade(&sheets.of(&pool, ADDED).unwrap());
        assert_eq!(Arc::strong_count(&pool), 1);
        assert_eq!(sheet.strong_count(), 1);
        sheets.forget();
        assert_eq!(sheet.strong_count(), 0);
    }
}
