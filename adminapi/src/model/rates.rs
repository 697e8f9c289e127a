//! Rates.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a service or a real server carries in a second, as IPVS estimates it: every two seconds
/// the last two count a quarter, and all before them three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients.
    pub out_packets: u64,
    /// Bytes from clients, network header included.
    pub in_bytes: u64,
    /// Bytes to clients, network header included.
    pub out_bytes: u64,
}

impl std::iter::Sum for Rates {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        rates.fold(Self::default(), |sum, each| Self {
            connections: sum.connections + each.connections,
            in_packets: sum.in_packets + each.in_packets,
            out_packets: sum.out_packets + each.out_packets,
            in_bytes: sum.in_bytes + each.in_bytes,
            out_bytes: sum.out_bytes + each.out_bytes,
        })
    }
}

/// What is carried in a second, over three lengths of time. As long as there was less, over that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RateWindows {
    /// Over the last second.
    #[serde(rename = "1s")]
    pub second: Rates,
    /// Over the last ten.
    #[serde(rename = "10s")]
    pub ten_seconds: Rates,
    /// Over the last minute, give or take ten seconds.
    #[serde(rename = "60s")]
    pub minute: Rates,
}

impl std::iter::Sum for RateWindows {
    fn sum<I: Iterator<Item = Self>>(windows: I) -> Self {
        windows.fold(Self::default(), |sum, each| Self {
            second: [sum.second, each.second].into_iter().sum(),
            ten_seconds: [sum.ten_seconds, each.ten_seconds].into_iter().sum(),
            minute: [sum.minute, each.minute].into_iter().sum(),
        })
    }
}
