//! Lines that are made once a change, over which is written what changes with the traffic.

use super::service::{begin, begin_real, cells, end, end_real};
use super::{Columns, Line, Style};
use crate::model::{Live, ServiceRow};

/// A service's lines with addresses as numbers, before there is any traffic. Columns of traffic are none
/// for it: their numbers may grow out of them.
#[derive(Debug)]
pub struct Fixed {
    columns: Columns,
    text: Vec<u8>,
    /// Where in it the line of each real server has what changes.
    cells: Vec<usize>,
}

impl Fixed {
    /// Those of `row`.
    pub fn of(row: &ServiceRow, columns: Columns) -> Self {
        let mut text = Vec::new();
        let mut line = Line::behind(&mut text);
        begin(&mut line, row, columns, Style::Numeric);
        end(line, None, columns);
        let mut cells = Vec::with_capacity(row.reals.len());
        for real in &row.reals {
            let mut line = Line::behind(&mut text);
            begin_real(&mut line, real, row.id.protocol(), columns, Style::Numeric);
            cells.push(line.at());
            end_real(line, &Live::default(), columns);
        }
        Self {
            columns,
            text,
            cells,
        }
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        self.text.capacity() + self.cells.capacity() * size_of::<usize>()
    }

    /// The lines with what the real servers have, in their order.
    pub fn with(&self, live: impl IntoIterator<Item = Live>) -> Vec<u8> {
        let mut text = self.text.clone();
        for (at, live) in self.cells.iter().zip(live) {
            cells(&mut Line::over(&mut text, *at), &live, self.columns);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::service;
    use super::*;
    use crate::model::{Numbers, Service};

    #[test]
    fn the_parts_make_the_same_lines() {
        let reals = ["10.0.0.1", "10.0.0.2"].map(|address| {
            json!({"address": address, "port": 8080, "weight": 1, "method": "nat",
                "upper": 100, "lower": 7})
        });
        let configured = json!({"protocol": "tcp", "address": "192.0.2.10", "port": 80,
            "scheduler": "sh", "scheduler_flags": ["port"], "persistence": {"timeout": 300},
            "reals": reals});
        let configured: Service = serde_json::from_value(configured).unwrap();
        let without = |columns: &Columns| columns.numbers() == Numbers::None;
        for columns in Columns::ALL.into_iter().filter(without) {
            let mut row = ServiceRow::from(&configured);
            for (real, active) in row.reals.iter_mut().zip([0, u32::MAX]) {
                real.live = Live {
                    active,
                    inactive: 10,
                    persistent: u32::MAX,
                    numbers: None,
                };
            }
            let mut whole = Vec::new();
            service(&mut whole, &row, columns, Style::Numeric);
            let live = row.reals.iter().map(|real| real.live);
            let parts = Fixed::of(&row, columns).with(live);
            let [whole, parts] = [whole, parts].map(|text| String::from_utf8(text).unwrap());
            assert_eq!(whole, parts);
            assert_eq!(whole.lines().count(), 3, "{whole}");
        }
    }
}
