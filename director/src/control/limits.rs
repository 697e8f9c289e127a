//! Limits as they were asked for, made what the gate and the workers take.

use adminapi::model::{BanPolicy, ConnectionLimit, LimitOf, LimitPer, RateLimit, ServiceId};

use super::translate;
use crate::filter::{self, Crowd, Limit, Of, Per, Scope};
use crate::region::Regions;
use crate::wire::{Endpoint, Protocol};

pub(super) fn limit(wanted: &RateLimit, region: Regions) -> Limit {
    Limit {
        of: match wanted.of {
            LimitOf::Packets => Of::Packets,
            LimitOf::Syns => Of::Syns,
            LimitOf::Connections => Of::Connections,
        },
        rate: wanted.rate,
        burst: wanted.burst.unwrap_or(wanted.rate),
        scope: Scope {
            per: per(wanted.per),
            bits_v4: wanted.prefix_v4,
            bits_v6: wanted.prefix_v6,
            service: address(wanted.service),
        },
        region,
        ban: wanted.ban.as_ref().map(ban),
    }
}

fn ban(wanted: &BanPolicy) -> filter::BanPolicy {
    filter::BanPolicy {
        over: wanted.over,
        within: wanted.within,
        first: wanted.first,
        longest: wanted.longest,
        list: translate::list(wanted.list),
    }
}

pub(super) fn crowd(wanted: &ConnectionLimit) -> Crowd {
    Crowd {
        most: wanted.most,
        scope: Scope {
            per: per(wanted.per),
            bits_v4: wanted.prefix_v4,
            bits_v6: wanted.prefix_v6,
            service: address(wanted.service),
        },
    }
}

const fn per(wanted: LimitPer) -> Per {
    match wanted {
        LimitPer::Source => Per::Source,
        LimitPer::Service => Per::Service,
    }
}

fn address(service: Option<ServiceId>) -> Option<(Protocol, Endpoint)> {
    match service? {
        ServiceId::Address { protocol, vip } => Some((translate::protocol(protocol), vip.into())),
        ServiceId::Mark { .. } => None,
    }
}
