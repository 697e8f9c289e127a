//! Limits: of rates, and of connections at a time.

use adminapi::model::{BanPolicy, ConnectionLimit, LimitOf, LimitPer, RateLimit, ServiceId};
use clap::{Args, ValueEnum};

use super::network::Refusal;
use crate::command::value::{number, seconds, service};

/// What a limit takes for one source, and for whose packets it is.
#[derive(Debug, Args)]
struct Scope {
    /// Bits that make one IPv4 source.
    #[arg(long, value_name = "BITS", default_value_t = RateLimit::all_v4(), value_parser = number::<u8>)]
    prefix_v4: u8,
    /// Bits that make one IPv6 source.
    #[arg(long, value_name = "BITS", default_value_t = RateLimit::link_v6(), value_parser = number::<u8>)]
    prefix_v6: u8,
    /// To this service only: tcp:192.0.2.10:80.
    #[arg(long, value_name = "SERVICE", value_parser = service)]
    service: Option<ServiceId>,
}

#[derive(Debug, Args)]
pub(super) struct Limit {
    /// What it is called.
    name: String,
    /// What it counts.
    #[arg(long, value_enum)]
    of: Counted,
    /// What has a share of its own.
    #[arg(long, value_enum)]
    per: Sharing,
    /// So many a second.
    #[arg(long, value_name = "NUMBER", value_parser = number::<u32>)]
    rate: u32,
    /// So many at once; as many as in a second when left out.
    #[arg(long, value_name = "NUMBER", value_parser = number::<u32>)]
    burst: Option<u32>,
    #[command(flatten)]
    scope: Scope,
    /// From this region only.
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// Bans a source that has sent so many packets over the limit,
    #[arg(long, value_name = "PACKETS", value_parser = number::<u32>, requires = "ban_within")]
    ban_over: Option<u32>,
    /// within so long: 10s, 1m,
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "ban_for")]
    ban_within: Option<u32>,
    /// for so long at first, and each time for twice as long.
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "ban_over")]
    ban_for: Option<u32>,
    /// The longest ban.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "1d", requires = "ban_over")]
    ban_longest: u32,
    /// The list of bans.
    #[arg(long, value_enum, default_value = "deny", requires = "ban_over")]
    ban_list: Refusal,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Counted {
    /// All that does not take the fast path.
    Packets,
    /// SYNs.
    Syns,
    /// Connections that are opened.
    Connections,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sharing {
    /// Each source.
    Source,
    /// Each service, all sources together.
    Service,
}

impl From<Sharing> for LimitPer {
    fn from(sharing: Sharing) -> Self {
        match sharing {
            Sharing::Source => Self::Source,
            Sharing::Service => Self::Service,
        }
    }
}

impl Limit {
    pub(super) fn to_model(&self) -> RateLimit {
        RateLimit {
            name: self.name.clone(),
            of: match self.of {
                Counted::Packets => LimitOf::Packets,
                Counted::Syns => LimitOf::Syns,
                Counted::Connections => LimitOf::Connections,
            },
            per: self.per.into(),
            rate: self.rate,
            burst: self.burst,
            prefix_v4: self.scope.prefix_v4,
            prefix_v6: self.scope.prefix_v6,
            service: self.scope.service,
            region: self.region.clone(),
            ban: self.ban(),
        }
    }

    fn ban(&self) -> Option<BanPolicy> {
        Some(BanPolicy {
            over: self.ban_over?,
            within: self.ban_within?,
            first: self.ban_for?,
            longest: self.ban_longest,
            list: self.ban_list.into(),
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct Connections {
    /// What it is called.
    name: String,
    /// So many.
    #[arg(long, value_name = "NUMBER", value_parser = number::<u32>)]
    most: u32,
    /// What has a share of its own.
    #[arg(long, value_enum, default_value = "source")]
    per: Sharing,
    #[command(flatten)]
    scope: Scope,
}

impl Connections {
    pub(super) fn to_model(&self) -> ConnectionLimit {
        ConnectionLimit {
            name: self.name.clone(),
            most: self.most,
            per: self.per.into(),
            prefix_v4: self.scope.prefix_v4,
            prefix_v6: self.scope.prefix_v6,
            service: self.scope.service,
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use adminapi::model::FilterList;

    use super::*;

    /// A limit of SYNs with everything that a limit can have.
    pub(in crate::command::filter) fn limit(name: &str) -> RateLimit {
        RateLimit {
            name: name.to_owned(),
            of: LimitOf::Syns,
            per: LimitPer::Source,
            rate: 100,
            burst: None,
            prefix_v4: 24,
            prefix_v6: 64,
            service: Some("tcp:192.0.2.10:80".parse().unwrap()),
            region: Some("home".to_owned()),
            ban: Some(BanPolicy {
                over: 9,
                within: 10,
                first: 60,
                longest: 600,
                list: FilterList::Deny,
            }),
        }
    }
}
