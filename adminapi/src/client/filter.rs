//! The filters, asked for and changed.

use hyper::Method;

use super::{Client, Result};
use crate::control::Put;
use crate::model::{
    Filter, FilterRules, Listed, ListedView, ListedWish, NetworkPage, NetworkQuery, Prefix,
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
    pub async fn listed_networks(&self, query: &NetworkQuery) -> Result<NetworkPage> {
        self.get(&path::networks(query)).await
    }

    /// One listed network.
    pub async fn listed_network(&self, network: Prefix) -> Result<ListedView> {
        self.get(&path::network(network)).await
    }

    /// Lists a network, or changes how it is listed.
    pub async fn put_network(&self, listing: &Listed) -> Result<Put<ListedView>> {
        let wish = ListedWish {
            list: listing.list,
            seconds: listing.seconds,
            why: listing.why.clone(),
        };
        self.put(&path::network(listing.network), &wish).await
    }

    /// Takes a network off its list.
    pub async fn remove_network(&self, network: Prefix) -> Result<()> {
        self.delete(&path::network(network)).await
    }
}
