//! What systemd is told (sd_notify(3)): ready, reloading, stopping, how it goes, and as long as
//! workers and control make progress, that it is alive.

use std::sync::Arc;
use std::time::Duration;

use adminapi::Control;
use sd_notify::{NotifyState, notify, watchdog_enabled};
use tracing::error;

use crate::control::Director;

/// How often the status line is written anew.
const STATUS_PERIOD: Duration = Duration::from_secs(5);

/// Tells it. Without systemd there is nobody to tell, which is no failure.
fn tell(states: &[NotifyState<'_>]) {
    let _ = notify(states);
}

/// The director serves.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It reads its configuration again, until [`ready`].
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Keeps systemd informed. Never ends.
pub async fn inform(director: Arc<Director>) {
    tokio::join!(show_status(&director), show_life(&director));
}

async fn show_status(director: &Arc<Director>) {
    let mut period = tokio::time::interval(STATUS_PERIOD);
    loop {
        period.tick().await;
        let director = Arc::clone(director);
        let text = tokio::task::spawn_blocking(move || status_line(&director)).await;
        if let Ok(Ok(text)) = text {
            tell(&[NotifyState::Status(&text)]);
        }
    }
}

fn status_line(director: &Director) -> adminapi::error::Result<String> {
    let status = director.status()?;
    let level = director.defense(None)?.level;
    let services = director.service_count();
    let used = status.connections;
    Ok(format!(
        "{services} services, {} of {} connections, level {level}",
        used.entries, used.limit
    ))
}

/// Twice in the time that systemd allows: a life sign, if everything has moved since the last one.
async fn show_life(director: &Arc<Director>) {
    let Some(allowed) = watchdog_enabled() else {
        return;
    };
    let mut last: Option<Vec<u64>> = None;
    loop {
        tokio::time::sleep(allowed / 2).await;
        let pulse = director.pulse();
        match last.as_ref().map(|last| stuck(last, &pulse)) {
            None => tell(&[NotifyState::Watchdog]),
            Some(stuck) if stuck.is_empty() => tell(&[NotifyState::Watchdog]),
            Some(stuck) => error!("no life sign: {} stuck", stuck.join(", ")),
        }
        last = Some(pulse);
    }
}

/// Who has not moved between two pulses: the control, or a worker.
fn stuck(last: &[u64], now: &[u64]) -> Vec<String> {
    let pairs = last.iter().zip(now).enumerate();
    pairs
        .filter(|(_, (last, now))| last == now)
        .map(|(place, _)| match place {
            0 => "control".to_owned(),
            worker => format!("worker {}", worker - 1),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_move_is_named() {
        assert_eq!(stuck(&[1, 7, 9], &[2, 8, 10]), Vec::<String>::new());
        assert_eq!(stuck(&[1, 7, 9], &[1, 8, 9]), ["control", "worker 1"]);
    }
}
