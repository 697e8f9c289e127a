//! The columns that a listing of services may have.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::Numbers;

/// The columns of a listing of services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Columns {
    /// Forwarding method, weight and connections.
    #[default]
    Plain,
    /// Counters, shortened to 8 digits and a unit.
    Stats,
    /// Counters in full.
    ExactStats,
    /// Rates, the bytes shortened.
    Rates,
    /// Rates in full.
    ExactRates,
    /// Forwarding method, how tunnels wrap packets, weight and connections.
    Tunnels,
    /// Connection thresholds and connections.
    Thresholds,
    /// Weight, clients that stick and connections.
    Persistent,
}

impl Columns {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Plain,
        Self::Stats,
        Self::ExactStats,
        Self::Rates,
        Self::ExactRates,
        Self::Tunnels,
        Self::Thresholds,
        Self::Persistent,
    ];

    /// Their name in queries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stats => "stats",
            Self::ExactStats => "exact-stats",
            Self::Rates => "rates",
            Self::ExactRates => "exact-rates",
            Self::Tunnels => "tunnels",
            Self::Thresholds => "thresholds",
            Self::Persistent => "persistent",
        }
    }

    /// Which numbers it shows.
    pub const fn numbers(self) -> Numbers {
        match self {
            Self::Plain | Self::Tunnels | Self::Thresholds | Self::Persistent => Numbers::None,
            Self::Stats | Self::ExactStats => Numbers::Stats,
            Self::Rates | Self::ExactRates => Numbers::Rates,
        }
    }

    /// The title lines.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Plain => concat!(
                "Prot LocalAddress:Port Scheduler Flags\n",
                "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
            ),
            Self::Tunnels => concat!(
                "Prot LocalAddress:Port Scheduler Flags\n",
                "  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
            ),
            Self::Thresholds => concat!(
                "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n",
                "  -> RemoteAddress:Port\n"
            ),
            Self::Persistent => concat!(
                "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n",
                "  -> RemoteAddress:Port\n"
            ),
            Self::Stats | Self::ExactStats => concat!(
                "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n",
                "  -> RemoteAddress:Port\n"
            ),
            Self::Rates | Self::ExactRates => concat!(
                "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n",
                "  -> RemoteAddress:Port\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_take_the_names() {
        for columns in Columns::ALL {
            let taken: Columns = serde_json::from_value(columns.name().into()).unwrap();
            assert_eq!(taken, columns);
        }
    }
}
