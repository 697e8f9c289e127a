//! Listings of many services, sent while they are being made: whoever prints them has begun before
//! the last row is there.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use tokio::task::yield_now;

use super::Ask;
use super::extract::Parameters;
use super::openapi::Refusals;
use crate::failure::Failure;
use crate::model::ListingQuery;
use crate::model::listing::{self, Rows, Unlisted};

/// Bytes that are sent at once, and some more: less would wake the other end more often than it has
/// something to do, more would let it wait.
const PORTION: usize = 16 << 10;

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
    let portions = stream::unfold((rows, false), async |(mut rows, begun)| {
        if begun {
            // Whenever there is nothing more for now, the server sends what it has.
            yield_now().await;
        }
        Some((portion(&mut rows)?, (rows, true)))
    });
    Ok((kind, Body::from_stream(portions)).into_response())
}

/// The next rows.
fn portion(rows: &mut Rows) -> Option<Result<Vec<u8>, Unlisted>> {
    let mut bytes = Vec::with_capacity(PORTION + PORTION / 4);
    while bytes.len() < PORTION {
        match rows.next() {
            Some(Ok(row)) => bytes.extend(row),
            Some(Err(error)) => return Some(Err(error)),
            None => break,
        }
    }
    (!bytes.is_empty()).then_some(Ok(bytes))
}
