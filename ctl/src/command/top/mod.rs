//! `bulwark top`: the level of defence, rates of services and real servers and who sends most, live.

mod screen;
mod table;

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::time::Duration;

use adminapi::Client;
use adminapi::model::SourceQuery;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

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

async fn show(
    screen: &mut Screen,
    terminal: &mut ratatui::DefaultTerminal,
    director: &Client,
) -> Result<(), Error> {
    loop {
        terminal.draw(|frame| screen.draw(frame))?;
        while event::poll(INTERVAL)? {
            let pressed = match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => screen.press(key),
                _ => ControlFlow::Continue(()),
            };
            if pressed.is_break() {
                return Ok(());
            }
            terminal.draw(|frame| screen.draw(frame))?;
        }
        screen.take(ask(director).await?);
    }
}
