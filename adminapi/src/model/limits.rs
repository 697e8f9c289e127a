//! How much a director holds, and how much it could.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Some of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Use {
    /// Those there are.
    pub used: u64,
    /// Most that there can be.
    pub limit: u64,
}

/// How much a director holds, and how much it could. The limits are those of the configuration
/// file; tables are made at the start and keep their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"connections": {"used": 3, "limit": 1000000}, "half_open": {"used": 1, "limit": 250000}, "templates": {"used": 0, "limit": 125000}, "marks": {"used": 0, "limit": 64}, "table_bytes": 156000000}))]
pub struct Limits {
    /// Connections, half-open ones not counted.
    pub connections: Use,
    /// Half-open connections.
    pub half_open: Use,
    /// Clients of persistent services that are remembered.
    pub templates: Use,
    /// Rules that mark packets.
    pub marks: Use,
    /// Memory that the connection table takes when it is full, in bytes.
    pub table_bytes: u64,
}
