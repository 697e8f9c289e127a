//! The tables of the screen: rows in an order that a key chooses.

use std::cmp::Reverse;

use adminapi::model::{Rates, RealView, ServiceView, Source, Sources};

/// A column of numbers, or the first one, which has names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Its title.
    pub(super) title: &'static str,
    /// The key that sorts by it.
    pub(super) key: char,
    /// How wide it is.
    pub(super) width: u16,
}

const fn column(title: &'static str, key: char, width: u16) -> Column {
    Column { title, key, width }
}

/// Of services and real servers.
pub(super) const SERVICES: [Column; 8] = [
    column("service, real server", 'n', 28),
    column("CPS", 'c', 8),
    column("InPPS", 'i', 10),
    column("OutPPS", 'o', 10),
    column("InBPS", 'b', 12),
    column("OutBPS", 'B', 12),
    column("active", 'a', 8),
    column("inactive", 'I', 8),
];

/// Of sources.
pub(super) const SOURCES: [Column; 5] = [
    column("source", 'N', 28),
    column("PPS", 'p', 10),
    column("SYN/s", 's', 10),
    column("BPS", 'y', 12),
    column("margin", 'm', 8),
];

/// By which column rows are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) column: usize,
    pub(super) reversed: bool,
}

impl Order {
    /// By a column, the largest first.
    pub(super) const fn by(column: usize) -> Self {
        Self {
            column,
            reversed: false,
        }
    }

    /// Names from the first, numbers from the largest; the other way round when reversed.
    fn sort<T, const N: usize>(self, items: &mut [T], line: impl Fn(&T) -> &Line<N>) {
        match self.column.checked_sub(1) {
            None => items.sort_by(|a, b| line(a).name.cmp(&line(b).name)),
            Some(number) => items.sort_by_key(|item| Reverse(line(item).numbers[number])),
        }
        if self.reversed {
            items.reverse();
        }
    }
}

/// A row: a name and its numbers.
#[derive(Debug)]
pub(super) struct Line<const N: usize> {
    name: String,
    numbers: [u64; N],
}

impl<const N: usize> Line<N> {
    /// As it is shown.
    pub(super) fn cells(self) -> Vec<String> {
        let numbers = self.numbers.iter().map(u64::to_string);
        std::iter::once(self.name).chain(numbers).collect()
    }
}

/// Services in order, each with its real servers, in order too.
pub(super) fn services(services: &[ServiceView], order: Order) -> Vec<Line<7>> {
    let mut blocks: Vec<(Line<7>, Vec<Line<7>>)> = services
        .iter()
        .map(|service| {
            let mut reals: Vec<_> = service.reals.iter().map(real).collect();
            order.sort(&mut reals, |line| line);
            (of_service(service), reals)
        })
        .collect();
    order.sort(&mut blocks, |(line, _)| line);
    let lines = blocks
        .into_iter()
        .flat_map(|(service, reals)| std::iter::once(service).chain(reals));
    lines.collect()
}

fn of_service(service: &ServiceView) -> Line<7> {
    let sum = |of: fn(&RealView) -> u32| service.reals.iter().map(of).sum();
    let (active, inactive) = (sum(|real| real.active), sum(|real| real.inactive));
    Line {
        name: service.id.to_string(),
        numbers: numbers(service.rates, active, inactive),
    }
}

fn real(real: &RealView) -> Line<7> {
    Line {
        name: format!("  -> {}", real.endpoint()),
        numbers: numbers(real.rates, real.active, real.inactive),
    }
}

fn numbers(rates: Rates, active: u32, inactive: u32) -> [u64; 7] {
    [
        rates.connections,
        rates.in_packets,
        rates.out_packets,
        rates.in_bytes,
        rates.out_bytes,
        active.into(),
        inactive.into(),
    ]
}

/// Sources in order.
pub(super) fn sources(sources: &Sources, order: Order) -> Vec<Line<4>> {
    let line = |of: &Source| Line {
        name: of.source.to_string(),
        numbers: [of.packets, of.opens, of.bytes, of.margin],
    };
    let mut lines: Vec<_> = sources.sources.iter().map(line).collect();
    order.sort(&mut lines, |line| line);
    lines
}
