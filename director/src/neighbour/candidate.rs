//! What a route is among others of its prefix.

use super::fib::SlotId;

/// The routing table that a route stands in, in the order in which the kernel asks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// `RT_TABLE_LOCAL`, 255.
    Local,
    /// `RT_TABLE_MAIN`, 254.
    Main,
}

/// Where a new route stands among those of the same prefix, table and metric
/// (the flags of `RTM_NEWROUTE`, `ip-route(8)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Before them (`ip route prepend`; plain `add` meets no other).
    First,
    /// Behind them (`ip route append`, and each route of a dump).
    Last,
    /// Instead of the first of them (`ip route replace`).
    Replace,
}

/// How a route is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By itself.
    Single,
    /// As a group of siblings (`RTA_MULTIPATH`), of which not all need be alive.
    Group,
    /// By the number of a nexthop object (`RTA_NH_ID`), whose next hops it has.
    Object(u32),
}

/// A route without its prefix, as it competes with others of the same prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) table: Table,
    pub(super) metric: u32,
    pub(super) form: Form,
    pub(super) slot: SlotId,
}

impl Candidate {
    /// Where it stands: routes of one rank are told apart by where they lead.
    pub(super) fn rank(&self) -> (Table, u32) {
        (self.table, self.metric)
    }
}
