//! Listings of many services, sent while they are being made: whoever prints them has begun before
//! the last row is there.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::Ask;
use super::extract::Parameters;
use super::openapi::Refusals;
use crate::failure::Failure;
use crate::model::ListingQuery;
use crate::model::listing::{self, Rows, Unlisted};

/// Bytes of a portion, and some more. The server sends sixteen of them at once: less would wake the
/// other end more often than it has something to do, more would let it wait.
const PORTION: usize = 1 << 10;

/// Lists many services at once, in a compact form
///
/// A row each, in postcard, for programs that are written with the crate of this API.
#[utoipa::path(get, path = "/v1/listing", tag = "services", params(ListingQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.bulwark.listing"),
        Refusals))]
pub(super) async fn list(
    State(ask): State<Ask>,
    Parameters(query): Parameters<ListingQuery>,
) -> Result<Response, Failure> {
    let rows = ask.look(move |control| control.listing(query)).await?;
    let kind = [(header::CONTENT_TYPE, listing::MEDIA_TYPE)];
    Ok((kind, Body::from_stream(stream::unfold(rows, portion))).into_response())
}

/// The next rows.
async fn portion(mut rows: Rows) -> Option<(Result<Vec<u8>, Unlisted>, Rows)> {
    let mut bytes = Vec::with_capacity(2 * PORTION);
    while bytes.len() < PORTION {
        let Some(row) = rows.next() else { break };
        match listing::encode(&row, bytes) {
            Ok(longer) => bytes = longer,
            Err(error) => return Some((Err(error), rows)),
        }
    }
    (!bytes.is_empty()).then_some((Ok(bytes), rows))
}
