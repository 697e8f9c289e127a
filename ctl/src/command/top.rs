//! `bulwark top`: rates of services and real servers, live.

use std::cmp::Reverse;
use std::io;
use std::time::Duration;

use adminapi::Client;
use adminapi::model::{Rates, ServiceView, Stats};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use crate::director::DirectorError;

/// How often the director is asked: as often as it estimates rates.
const INTERVAL: Duration = Duration::from_secs(2);

/// Names of the columns, with the key that sorts by each.
const COLUMNS: [(&str, char); 8] = [
    ("service, real server", 'n'),
    ("CPS", 'c'),
    ("InPPS", 'i'),
    ("OutPPS", 'o'),
    ("InBPS", 'b'),
    ("OutBPS", 'B'),
    ("active", 'a'),
    ("inactive", 'I'),
];
const HELP: &str = "q quit   sort: n name, c i o b B a I columns, r reverse";

/// Shows the director until somebody quits.
pub(super) async fn run(director: &Client) -> Result<(), Error> {
    let mut screen = Screen::asked(director).await?;
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
    /// The terminal's.
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

async fn show(
    screen: &mut Screen,
    terminal: &mut ratatui::DefaultTerminal,
    director: &Client,
) -> Result<(), Error> {
    loop {
        terminal.draw(|frame| screen.draw(frame))?;
        while event::poll(INTERVAL)? {
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
                && screen.press(key.code).is_break()
            {
                return Ok(());
            }
            terminal.draw(|frame| screen.draw(frame))?;
        }
        let order = screen.order;
        *screen = Screen::asked(director).await?;
        screen.order = order;
    }
}

/// By which column rows are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    column: usize,
    reversed: bool,
}

#[derive(Debug)]
struct Screen {
    services: Vec<ServiceView>,
    stats: Stats,
    version: String,
    order: Order,
}

impl Screen {
    async fn asked(director: &Client) -> Result<Self, DirectorError> {
        Ok(Self {
            services: director.services().await?,
            stats: director.stats().await?,
            version: director.status().await?.version,
            order: Order {
                column: 2,
                reversed: false,
            },
        })
    }

    fn press(&mut self, key: KeyCode) -> std::ops::ControlFlow<()> {
        let KeyCode::Char(letter) = key else {
            return match key {
                KeyCode::Esc => std::ops::ControlFlow::Break(()),
                _ => std::ops::ControlFlow::Continue(()),
            };
        };
        let column = COLUMNS.iter().position(|(_, key)| *key == letter);
        match (letter, column) {
            ('q', _) => return std::ops::ControlFlow::Break(()),
            ('r', _) => self.order.reversed = !self.order.reversed,
            (_, Some(column)) => self.order.column = column,
            _ => {}
        }
        std::ops::ControlFlow::Continue(())
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let lines = [
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(1),
        ];
        let [head, body, foot] = Layout::vertical(lines).areas(frame.area());
        let Stats { total, rates, .. } = &self.stats;
        let summary = format!(
            "bulwarkd {}   {} CPS   {} PPS in   {} PPS out   {} dropped",
            self.version, rates.connections, rates.in_packets, rates.out_packets, total.dropped
        );
        frame.render_widget(Paragraph::new(summary), head);
        let titles = COLUMNS.iter().enumerate().map(|(column, (name, _))| {
            let style = match column == self.order.column {
                true => Style::new().add_modifier(Modifier::REVERSED),
                false => Style::new().add_modifier(Modifier::BOLD),
            };
            Cell::new(*name).style(style)
        });
        let widths = [28, 8, 10, 10, 12, 12, 8, 8].map(Constraint::Length);
        let rows = self.rows().into_iter().map(Row::new);
        let table = Table::new(rows, widths).header(Row::new(titles));
        frame.render_widget(table, body);
        frame.render_widget(Paragraph::new(HELP), foot);
    }

    /// Services in order, each with its real servers, in order too.
    fn rows(&self) -> Vec<[String; 8]> {
        let mut services: Vec<(Line, Vec<Line>)> = self
            .services
            .iter()
            .map(|service| {
                let reals = service.reals.iter();
                let mut reals: Vec<Line> = reals
                    .map(|real| Line {
                        name: format!("  -> {}", real.endpoint()),
                        numbers: numbers(real.rates, real.active, real.inactive),
                    })
                    .collect();
                self.order.sort(&mut reals, |line| line);
                let sum =
                    |of: fn(&adminapi::model::RealView) -> u32| service.reals.iter().map(of).sum();
                let line = Line {
                    name: service.id.to_string(),
                    numbers: numbers(
                        service.rates,
                        sum(|real| real.active),
                        sum(|real| real.inactive),
                    ),
                };
                (line, reals)
            })
            .collect();
        self.order.sort(&mut services, |(line, _)| line);
        let lines = services
            .into_iter()
            .flat_map(|(service, reals)| std::iter::once(service).chain(reals));
        lines.map(Line::cells).collect()
    }
}

#[derive(Debug)]
struct Line {
    name: String,
    numbers: [u64; 7],
}

impl Line {
    fn cells(self) -> [String; 8] {
        let [a, b, c, d, e, f, g] = self.numbers.map(|number| number.to_string());
        [self.name, a, b, c, d, e, f, g]
    }
}

fn numbers(rates: Rates, active: u32, inactive: u32) -> [u64; 7] {
    [
        rates.connections,
        rates.in_packets,
        rates.out_packets,
        rates.in_bytes,
        rates.out_bytes,
        active.into(),
        inactive.into(),
    ]
}

impl Order {
    /// Names from the first, numbers from the largest; the other way round when reversed.
    fn sort<T>(self, items: &mut [T], line: impl Fn(&T) -> &Line) {
        match self.column.checked_sub(1) {
            None => items.sort_by(|a, b| line(a).name.cmp(&line(b).name)),
            Some(number) => items.sort_by_key(|item| Reverse(line(item).numbers[number])),
        }
        if self.reversed {
            items.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn service(name: &str, in_packets: u64) -> ServiceView {
        let vip: std::net::SocketAddr = name.strip_prefix("tcp:").unwrap().parse().unwrap();
        serde_json::from_value(serde_json::json!({
            "id": name, "protocol": "tcp", "address": vip.ip(), "port": vip.port(),
            "scheduler": "rr",
            "stats": {"connections": 0, "in_packets": 0, "out_packets": 0, "in_bytes": 0, "out_bytes": 0},
            "rates": {"connections": 1, "in_packets": in_packets, "out_packets": 0, "in_bytes": 0, "out_bytes": 0},
            "reals": []
        }))
        .unwrap()
    }

    fn shown(screen: &Screen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(110, 6)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_busiest_comes_first_until_a_key_says_otherwise() {
        let mut screen = Screen {
            services: vec![service("tcp:10.0.0.1:80", 5), service("tcp:10.0.0.2:80", 7)],
            stats: Stats::default(),
            version: "0.1".to_owned(),
            order: Order {
                column: 2,
                reversed: false,
            },
        };
        let first = |text: &str| text.find("10.0.0.1:80") < text.find("10.0.0.2:80");
        assert!(!first(&shown(&screen)));
        assert!(screen.press(KeyCode::Char('n')).is_continue());
        assert!(first(&shown(&screen)));
        assert!(screen.press(KeyCode::Char('r')).is_continue());
        assert!(!first(&shown(&screen)));
        assert!(shown(&screen).contains("bulwarkd 0.1"));
        assert!(screen.press(KeyCode::Char('q')).is_break());
    }
}
