//! Which table is wanted, and the table.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{BANNER, Columns, Style, service};
use crate::model::listing::{Rows, Side, Unlisted, row};
use crate::model::{ListingQuery, Order, ServiceId};

/// The media type of a table.
pub const MEDIA_TYPE: &str = "text/plain; charset=utf-8";

/// Which services are to be in a table, and what of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TableQuery {
    /// Only this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// With these columns.
    #[serde(default)]
    pub columns: Columns,
    /// In this order.
    #[serde(default)]
    pub order: Order,
}

impl TableQuery {
    /// What its rows are made of.
    pub const fn rows(&self) -> ListingQuery {
        ListingQuery {
            service: self.service,
            numbers: self.columns.numbers(),
            order: self.order,
            side: Side::Present,
        }
    }

    /// Its first lines: one service comes without the banner.
    pub fn head(&self) -> String {
        let banner = self.service.map_or(BANNER, |_| "");
        [banner, self.columns.title()].concat()
    }

    /// All of it, with addresses as numbers, from the rows that it is made of.
    pub fn of(self, rows: Rows) -> Rows {
        let size = rows.size();
        let lines = rows.map(move |bytes| {
            let mut text = Vec::new();
            service(&mut text, &row(&bytes?)?, self.columns, Style::Numeric);
            Ok::<_, Unlisted>(text)
        });
        let head = std::iter::once(Ok(self.head().into_bytes()));
        Rows::holding(size, head.chain(lines))
    }
}
