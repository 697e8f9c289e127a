//! Listings of many services, sent while they are being made: whoever prints them has begun before
//! the last row is there.

use std::iter;

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::ask::Ask;
use super::extract::Parameters;
use super::openapi::Refusals;
use crate::control::Control;
use crate::failure::Failure;
use crate::model::listing::{self, Rows, Unlisted};
use crate::model::{ListingQuery, ServiceView, ViewsQuery};
use crate::table::{self, TableQuery};

type Row = Result<Vec<u8>, Unlisted>;

/// Bytes of the first portions, and some more. The server sends sixteen portions at once, so that
/// whoever prints them begins soon.
const PORTION: usize = 1 << 10;

/// Bytes of a portion when a lot has been sent: to be woken more often would take the other end
/// longer than to wait.
const LARGE_PORTION: usize = 16 << 10;

/// Lists many services at once, in a compact form
///
/// A row each, in postcard, for programs that are written with the crate of this API.
#[utoipa::path(get, path = "/v1/listing", tag = "services", params(ListingQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.bulwark.listing"),
        Refusals))]
pub(super) async fn list(
    ask: Ask,
    Parameters(query): Parameters<ListingQuery>,
) -> Result<Response, Failure> {
    let rows = ask.look(move |control| control.listing(query)).await?;
    Ok(sent(ask, rows, listing::MEDIA_TYPE))
}

/// Lists many services at once, with all that is shown of them
///
/// As `/v1/services` does, in the order that is asked for, without an entity tag, and sent while it
/// is being made.
#[utoipa::path(get, path = "/v1/listing/views", tag = "services", params(ViewsQuery),
    responses((status = 200, body = Vec<ServiceView>), Refusals))]
pub(super) async fn views(
    ask: Ask,
    Parameters(query): Parameters<ViewsQuery>,
) -> Result<Response, Failure> {
    let portions = move |control: &dyn Control| Ok(Portions::of(array(control.views(query)?)));
    ask.send("application/json", portions).await
}

/// Lists services as ipvsadm does
///
/// The text of `ipvsadm -L -n` with one of its tables, sent while it is being made.
#[utoipa::path(get, path = "/v1/listing/table", tag = "services", params(TableQuery),
    responses((status = 200, body = String, content_type = "text/plain"), Refusals))]
pub(super) async fn table(
    ask: Ask,
    Parameters(query): Parameters<TableQuery>,
) -> Result<Response, Failure> {
    let lines = ask.look(move |control| control.table(query)).await?;
    Ok(sent(ask, lines, table::MEDIA_TYPE))
}

/// An answer of rows each of which is made in less time than another thread takes to be woken.
fn sent(ask: Ask, rows: Rows, kind: &'static str) -> Response {
    let body = ask.place().tell(rows.size(), Portions::of(rows));
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// The pieces of an array.
fn array(views: Vec<ServiceView>) -> impl Iterator<Item = Row> {
    let separators = iter::once(&b""[..]).chain(iter::repeat(&b","[..]));
    let items = separators.zip(views).map(|(separator, view)| {
        let mut bytes = separator.to_vec();
        serde_json::to_writer(&mut bytes, &view)?;
        Ok(bytes)
    });
    let around = |bracket: &[u8]| iter::once(Ok(bracket.to_vec()));
    around(b"[").chain(items).chain(around(b"]"))
}

/// Several rows at once.
struct Portions<R> {
    rows: R,
    /// Bytes so far.
    made: usize,
}

impl<R> Portions<R> {
    const fn of(rows: R) -> Self {
        Self { rows, made: 0 }
    }
}

impl<R: Iterator<Item = Row>> Iterator for Portions<R> {
    type Item = Row;

    fn next(&mut self) -> Option<Self::Item> {
        let size = (self.made / 4).clamp(PORTION, LARGE_PORTION);
        let mut bytes = Vec::with_capacity(2 * size);
        while bytes.len() < size {
            match self.rows.next() {
                Some(Ok(row)) => bytes.extend(row),
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        self.made += bytes.len();
        (!bytes.is_empty()).then_some(Ok(bytes))
    }
}
