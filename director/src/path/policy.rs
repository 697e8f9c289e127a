//! What the path does by choice, for as long as a director runs.

/// Choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What becomes of packets from real servers that belong to no connection.
    pub strays: Strays,
    /// Whether the MSS of a SYN that goes through a tunnel is lowered to what fits.
    pub clamp_mss: bool,
    /// Whether the sender of what is too long for its way is told the MTU.
    pub path_mtu_answers: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            strays: Strays::default(),
            clamp_mss: true,
            path_mtu_answers: true,
        }
    }
}

/// What becomes of packets from real servers that belong to no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strays {
    /// They are routed.
    #[default]
    Route,
    /// They are dropped.
    Drop,
}
