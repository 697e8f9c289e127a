//! What the screen shows, and what keys do to it.

use std::ops::ControlFlow;

use adminapi::model::{Defense, ServiceView, Sources, Stats};
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Text;
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::table::{self, Column, Order};

const HELP: &str = "q quit  Tab services, sources, both  arrows scroll  r reverse  \
                    sort: n c i o b B a I services, N p s y m sources";

/// What a director was asked for last.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) services: Vec<ServiceView>,
    pub(super) stats: Stats,
    pub(super) defense: Defense,
    pub(super) sources: Sources,
}

/// Which tables there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tables {
    Both,
    Services,
    Sources,
}

impl Tables {
    const fn next(self) -> Self {
        match self {
            Self::Both => Self::Services,
            Self::Services => Self::Sources,
            Self::Sources => Self::Both,
        }
    }

    /// What the two of them get of the screen.
    const fn shares(self) -> [Constraint; 2] {
        match self {
            Self::Both => [Constraint::Fill(2), Constraint::Fill(1)],
            Self::Services => [Constraint::Fill(1), Constraint::Length(0)],
            Self::Sources => [Constraint::Length(0), Constraint::Fill(1)],
        }
    }
}

#[derive(Debug)]
pub(super) struct Screen {
    figures: Figures,
    tables: Tables,
    services: Order,
    sources: Order,
    /// Rows that have been scrolled away.
    above: usize,
}

impl Screen {
    /// The busiest first.
    pub(super) fn of(figures: Figures) -> Self {
        Self {
            figures,
            tables: Tables::Both,
            services: Order::by(2),
            sources: Order::by(1),
            above: 0,
        }
    }

    /// Shows newer figures in the same way.
    pub(super) fn take(&mut self, figures: Figures) {
        self.figures = figures;
    }

    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: KeyEvent) -> ControlFlow<()> {
        let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return ControlFlow::Break(()),
            KeyCode::Char('c') if with_control => return ControlFlow::Break(()),
            KeyCode::Tab => (self.tables, self.above) = (self.tables.next(), 0),
            KeyCode::Up => self.above = self.above.saturating_sub(1),
            KeyCode::Down => self.above += 1,
            KeyCode::PageUp => self.above = self.above.saturating_sub(PAGE),
            KeyCode::PageDown => self.above += PAGE,
            KeyCode::Home => self.above = 0,
            KeyCode::Char('r') => {
                for order in [&mut self.services, &mut self.sources] {
                    order.reversed = !order.reversed;
                }
            }
            KeyCode::Char(letter) => self.sort(letter),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn sort(&mut self, letter: char) {
        let place = |columns: &[Column]| columns.iter().position(|column| column.key == letter);
        if let Some(column) = place(&table::SERVICES) {
            self.services.column = column;
        }
        if let Some(column) = place(&table::SOURCES) {
            self.sources.column = column;
        }
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let [level, load, body, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(Paragraph::new(self.level()).style(self.alarm()), level);
        frame.render_widget(Paragraph::new(self.load()), load);
        let [services, sources] = Layout::vertical(self.tables.shares()).areas(body);
        let of_services = table::services(&self.figures.services, self.services);
        let of_sources = table::sources(&self.figures.sources, self.sources);
        let scrolled = match self.tables {
            Tables::Sources => of_sources.len(),
            Tables::Both | Tables::Services => of_services.len(),
        };
        self.above = self.above.min(scrolled.saturating_sub(1));
        let above = |scrolls: bool| if scrolls { self.above } else { 0 };
        let rows = of_services.into_iter().map(table::Line::cells);
        let rows = rows.skip(above(self.tables != Tables::Sources));
        draw_table(frame, services, &table::SERVICES, self.services, rows);
        let rows = of_sources.into_iter().map(table::Line::cells);
        let rows = rows.skip(above(self.tables == Tables::Sources));
        draw_table(frame, sources, &table::SOURCES, self.sources, rows);
        frame.render_widget(Paragraph::new(HELP), foot);
    }

    fn level(&self) -> String {
        let Defense {
            level,
            automatic,
            reason,
            drop_rate,
            half_open,
            half_open_limit,
            ..
        } = &self.figures.defense;
        let mode = if *automatic { "automatic" } else { "pinned" };
        let percent = drop_rate * 100.0;
        format!(
            "level {level} ({mode}): {reason}   {half_open} of {half_open_limit} half-open   \
             {percent:.1} % of new connections dropped"
        )
    }

    fn alarm(&self) -> Style {
        match self.figures.defense.level {
            0 => Style::new(),
            _ => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    fn load(&self) -> String {
        let Stats { total, rates, .. } = &self.figures.stats;
        format!(
            "{} CPS   {} PPS in   {} PPS out   {} BPS in   {} BPS out   {} dropped since the start",
            rates.connections,
            rates.in_packets,
            rates.out_packets,
            rates.in_bytes,
            rates.out_bytes,
            total.dropped
        )
    }
}

/// Rows that a page scrolls by.
const PAGE: usize = 20;

fn draw_table(
    frame: &mut Frame<'_>,
    area: Rect,
    columns: &[Column],
    order: Order,
    rows: impl Iterator<Item = Vec<String>>,
) {
    let titles = columns.iter().enumerate().map(|(place, column)| {
        let style = match place == order.column {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new().add_modifier(Modifier::BOLD),
        };
        cell(place, column.title.to_owned()).style(style)
    });
    let widths = table::widths(columns.len(), area.width);
    let cells = |row: Vec<String>| -> Row<'static> {
        (row.into_iter().enumerate())
            .map(|(place, text)| cell(place, text))
            .collect()
    };
    let rows = rows.take(area.height.into()).map(cells);
    let table = Table::new(rows, widths).header(Row::new(titles));
    frame.render_widget(table, area);
}

/// Names are at the left of their column, numbers at the right.
fn cell(place: usize, text: String) -> Cell<'static> {
    let text = Text::from(text);
    Cell::new(match place {
        0 => text,
        _ => text.right_aligned(),
    })
}

#[cfg(test)]
mod tests {
    use adminapi::model::Source;
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

    fn source(name: &str, packets: u64, opens: u64) -> Source {
        Source {
            source: name.parse().unwrap(),
            packets,
            margin: 0,
            bytes: 60 * packets,
            opens,
            stopped: 0,
        }
    }

    fn screen() -> Screen {
        Screen::of(Figures {
            services: vec![service("tcp:10.0.0.1:80", 5), service("tcp:10.0.0.2:80", 7)],
            sources: Sources {
                packets: 12,
                sources: vec![source("192.0.2.1", 8, 0), source("192.0.2.2", 4, 4)],
                networks: Vec::new(),
            },
            defense: Defense {
                level: 1,
                automatic: true,
                reason: "half-open pool taken: 31.0 %".to_owned(),
                drop_rate: 0.125,
                ..Defense::default()
            },
            ..Figures::default()
        })
    }

    fn shown(screen: &mut Screen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(120, 16)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    fn press(screen: &mut Screen, code: KeyCode) -> ControlFlow<()> {
        screen.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn the_busiest_comes_first_until_a_key_says_otherwise() {
        let mut screen = screen();
        let first = |text: &str| text.find("10.0.0.1:80") < text.find("10.0.0.2:80");
        assert!(!first(&shown(&mut screen)));
        assert!(press(&mut screen, KeyCode::Char('n')).is_continue());
        assert!(first(&shown(&mut screen)));
        assert!(press(&mut screen, KeyCode::Char('r')).is_continue());
        assert!(!first(&shown(&mut screen)));
    }

    #[test]
    fn the_level_and_the_sources_are_there() {
        let mut screen = screen();
        let text = shown(&mut screen);
        assert!(
            text.contains("level 1 (automatic): half-open pool taken: 31.0 %"),
            "{text}"
        );
        assert!(text.contains("12.5 % of new connections dropped"), "{text}");
        let first = |text: &str| text.find("192.0.2.1 ") < text.find("192.0.2.2 ");
        assert!(first(&text), "{text}");
        assert!(press(&mut screen, KeyCode::Char('s')).is_continue());
        assert!(!first(&shown(&mut screen)));
    }

    #[test]
    fn tab_goes_through_the_tables_and_arrows_scroll() {
        let mut screen = screen();
        let has = |screen: &mut Screen, name: &str| shown(screen).contains(name);
        assert!(press(&mut screen, KeyCode::Tab).is_continue());
        assert!(has(&mut screen, "10.0.0.1:80") && !has(&mut screen, "192.0.2.1"));
        assert!(press(&mut screen, KeyCode::Down).is_continue());
        assert!(has(&mut screen, "10.0.0.1:80") && !has(&mut screen, "10.0.0.2:80"));
        assert!(press(&mut screen, KeyCode::PageDown).is_continue());
        assert!(has(&mut screen, "10.0.0.1:80"), "the last one stays");
        assert!(press(&mut screen, KeyCode::Tab).is_continue());
        assert!(!has(&mut screen, "10.0.0.1:80") && has(&mut screen, "192.0.2.1"));
    }

    #[test]
    fn three_keys_quit() {
        assert!(press(&mut screen(), KeyCode::Char('q')).is_break());
        assert!(press(&mut screen(), KeyCode::Esc).is_break());
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(screen().press(interrupt).is_break());
    }
}
