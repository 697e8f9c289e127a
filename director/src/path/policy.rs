//! What the path does by choice, for as long as a director runs.

/// Choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether the MSS of a SYN that goes through a tunnel is lowered to what fits.
    pub clamp_mss: bool,
    /// Whether the sender of what is too long for its way is told the MTU.
    pub path_mtu_answers: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            clamp_mss: true,
            path_mtu_answers: true,
        }
    }
}
