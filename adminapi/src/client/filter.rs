//! The filters, asked for and changed.

use hyper::Method;

use super::{Client, Result};
use crate::control::Put;
use crate::model::{
    Filter, FilterRules, Listing, ListingPage, ListingQuery, ListingView, ListingWish, Prefix,
};
use crate::path;

impl Client {
    /// The filters as they are now.
    pub async fn filter(&self) -> Result<Filter> {
        self.get(path::FILTER).await
    }

    /// Makes what is filtered besides the lists this.
    pub async fn put_filter(&self, rules: &FilterRules) -> Result<Filter> {
        self.send(Method::PUT, path::FILTER, rules).await
    }

    /// A page of the listed networks.
    pub async fn listings(&self, query: &ListingQuery) -> Result<ListingPage> {
        self.get(&path::listings(query)).await
    }

    /// One listed network.
    pub async fn listing(&self, network: Prefix) -> Result<ListingView> {
        self.get(&path::listing(network)).await
    }

    /// Lists a network, or changes how it is listed.
    pub async fn put_listing(&self, listing: &Listing) -> Result<Put<ListingView>> {
        let wish = ListingWish {
            list: listing.list,
            seconds: listing.seconds,
            why: listing.why.clone(),
        };
        self.put(&path::listing(listing.network), &wish).await
    }

    /// Takes a network off its list.
    pub async fn remove_listing(&self, network: Prefix) -> Result<()> {
        self.delete(&path::listing(network)).await
    }
}
