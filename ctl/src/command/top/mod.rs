//! `bulwark top`: the level of defence, rates of services and real servers and who sends most, live.

mod screen;
mod table;

use std::io::{self, IsTerminal as _};
use std::thread;
use std::time::Duration;

use adminapi::Client;
use adminapi::model::SourceQuery;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::director::DirectorError;
use screen::{Figures, Screen};

/// How often the director is asked: as often as it estimates rates.
const INTERVAL: Duration = Duration::from_secs(2);

/// Sources that are asked for: as many as a tall terminal shows.
const SOURCES: u32 = 100;

/// Shows the director until somebody quits.
pub(super) async fn run(director: &Client) -> Result<(), Error> {
    if !io::stdout().is_terminal() {
        return Err(Error::NoTerminal);
    }
    let mut screen = Screen::of(ask(director).await?);
    let mut terminal = ratatui::try_init()?;
    let ended = show(&mut screen, &mut terminal, director).await;
    ratatui::restore();
    ended
}

/// Why it ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The director's.
    #[error(transparent)]
    Director(#[from] DirectorError),
    /// There is none to show it on.
    #[error("standard output is no terminal; `bulwark -L --rate --watch` needs none")]
    NoTerminal,
    /// The terminal's.
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

async fn ask(director: &Client) -> Result<Figures, DirectorError> {
    Ok(Figures {
        services: director.services().await?,
        stats: director.stats().await?,
        defense: director.defense(None).await?,
        sources: director.sources(SourceQuery { limit: SOURCES }).await?,
    })
}

/// Newer figures come in time however much is typed, and who is told to end leaves the terminal as
/// it was.
async fn show(
    screen: &mut Screen,
    terminal: &mut ratatui::DefaultTerminal,
    director: &Client,
) -> Result<(), Error> {
    let mut events = events();
    let mut told_to_end = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let mut due = interval(INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due.reset();
    loop {
        terminal.draw(|frame| screen.draw(frame))?;
        tokio::select! {
            event = events.recv() => match event {
                Some(Ok(Event::Key(key))) if key.kind == KeyEventKind::Press => {
                    if screen.press(key).is_break() {
                        return Ok(());
                    }
                }
                // Of another size the screen is drawn anew, as after all else.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            _ = due.tick() => screen.take(ask(director).await?),
            _ = told_to_end.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
        }
    }
}

/// What happens at the terminal, which somebody has to wait for: a thread, which ends with the
/// program.
fn events() -> mpsc::Receiver<io::Result<Event>> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        loop {
            let event = event::read();
            let is_last = event.is_err();
            if sender.blocking_send(event).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}
