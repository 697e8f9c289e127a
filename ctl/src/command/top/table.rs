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
}

const fn column(title: &'static str, key: char) -> Column {
    Column { title, key }
}

/// Of services and real servers.
pub(super) const SERVICES: [Column; 8] = [
    column("service, real server", 'n'),
    column("CPS", 'c'),
    column("InPPS", 'i'),
    column("OutPPS", 'o'),
    column("InBPS", 'b'),
    column("OutBPS", 'B'),
    column("Active", 'a'),
    column("InAct", 'I'),
];

/// Of sources.
pub(super) const SOURCES: [Column; 5] = [
    column("source", 'N'),
    column("PPS", 'p'),
    column("SYN/s", 's'),
    column("BPS", 'y'),
    column("margin", 'm'),
];

/// How wide a number is, and its column.
const NUMBER_WIDTH: u16 = 6;

/// What names have of a narrow screen: an IPv4 address with its port behind an arrow.
const NAME_WIDTH: u16 = 25;

/// How wide columns are on a screen of this width, with a blank between them: the numbers that there
/// is room for, the first ones first, and the names have the rest.
pub(super) fn widths(columns: usize, screen: u16) -> Vec<u16> {
    let room = screen.saturating_sub(NAME_WIDTH) / (NUMBER_WIDTH + 1);
    let numbers = usize::from(room).min(columns - 1);
    let taken = (NUMBER_WIDTH + 1) * numbers as u16;
    let mut widths = vec![NUMBER_WIDTH; numbers + 1];
    widths[0] = screen - taken;
    widths
}

/// From seven digits on in thousands, millions, ...; cut, not rounded.
fn short(number: u64) -> String {
    match number {
        0..1_000_000 => number.to_string(),
        1_000_000..100_000_000 => format!("{}K", number / 1_000),
        100_000_000..100_000_000_000 => format!("{}M", number / 1_000_000),
        100_000_000_000..100_000_000_000_000 => format!("{}G", number / 1_000_000_000),
        _ => format!("{}T", number / 1_000_000_000_000),
    }
}

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
        let numbers = self.numbers.into_iter().map(short);
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

/// Networks and sources in order.
pub(super) fn sources(sources: &Sources, order: Order) -> Vec<Line<4>> {
    let line = |of: &Source| Line {
        name: of.source.to_string(),
        numbers: [of.packets, of.opens, of.bytes, of.margin],
    };
    let mut lines: Vec<_> = sources.rows().iter().map(line).collect();
    order.sort(&mut lines, |line| line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_on_a_usual_screen_and_numbers_go_from_the_right() {
        for (screen, want) in [
            (200, vec![151, 6, 6, 6, 6, 6, 6, 6]),
            (80, vec![31, 6, 6, 6, 6, 6, 6, 6]),
            (40, vec![26, 6, 6]),
            (20, vec![20]),
            (0, vec![0]),
        ] {
            assert_eq!(widths(8, screen), want, "{screen}");
        }
    }

    #[test]
    fn a_number_is_no_wider_than_its_column() {
        for (number, want) in [
            (999_999, "999999"),
            (1_000_000, "1000K"),
            (99_999_999, "99999K"),
            (100_000_000, "100M"),
            (99_999_999_999, "99999M"),
            (100_000_000_000, "100G"),
            (100_000_000_000_000, "100T"),
        ] {
            assert_eq!(short(number), want);
        }
    }
}
