//! What agents that were killed have left on interfaces.

use tracing::warn;

use super::AgentError;
use super::attachment::{has_filter, remove_filter};
use super::claim::Claim;
use crate::neighbour::Link;

/// Takes their filters off all of `links`, and says which had one.
///
/// # Errors
/// When an agent that runs has one, or the kernel keeps one. The others are gone then.
pub(super) fn remove(links: &[Link]) -> Result<Vec<String>, AgentError> {
    let mut done = Ok(Vec::new());
    for link in links.iter().filter(|link| has_filter(link)) {
        let removed = Claim::of(link).and_then(|_claim| remove_filter(link));
        match (removed, &mut done) {
            (Ok(()), Ok(names)) => names.push(link.name.to_string()),
            (Err(error), Ok(_)) => done = Err(error),
            (_, Err(_)) => {}
        }
    }
    done
}

/// Warns of those on other interfaces than `own`.
pub(super) fn warn_of_any(links: &[Link], own: &Link) {
    let others = links.iter().filter(|link| link.ifindex != own.ifindex);
    for link in others.filter(|link| has_filter(link)) {
        if Claim::of(link).is_ok() {
            warn!(
                "an agent that does not run any more has left its filter on {}, which works on; \
                 `bulwarkd agent --detach` takes it off",
                link.name
            );
        }
    }
}
