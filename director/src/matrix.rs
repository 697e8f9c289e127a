//! State tables as data: which state follows each state and event, in both directions.

use std::fmt::{self, Display};

use crate::direction::Direction;

/// What can happen to a connection: the rows of a table.
pub trait Row: Copy + 'static {
    /// All of them, from the first row down.
    const ALL: &'static [Self];

    /// Number of its row.
    fn place(self) -> usize;

    /// Name of its row.
    fn name(self) -> &'static str;
}

/// The states of a protocol: the columns of a table.
pub trait Column: Copy + Display + 'static {
    /// What moves from one to another.
    type Event: Row;

    /// All of them, from the first column on.
    const ALL: &'static [Self];

    /// Number of its column.
    fn place(self) -> usize;
}

/// What follows for each state, event and direction.
#[derive(Debug, PartialEq, Eq)]
pub struct Matrix<S, const EVENTS: usize, const STATES: usize> {
    /// Its name in documents and listings.
    pub name: &'static str,
    /// From the client.
    pub input: [[S; STATES]; EVENTS],
    /// From the real server.
    pub output: [[S; STATES]; EVENTS],
}

impl<S: Column, const EVENTS: usize, const STATES: usize> Matrix<S, EVENTS, STATES> {
    /// The state after `event` in `state`.
    #[inline]
    pub fn next(&self, direction: Direction, event: S::Event, state: S) -> S {
        let rows = match direction {
            Direction::Original => &self.input,
            Direction::Reply => &self.output,
        };
        rows[event.place()][state.place()]
    }
}

/// The whole matrix, one line for each state and direction: what each event makes of it. All columns
/// are as wide as the longest name.
impl<S: Column, const EVENTS: usize, const STATES: usize> Display for Matrix<S, EVENTS, STATES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = S::Event::ALL.iter().map(|event| event.name().len());
        let names = S::ALL.iter().map(|state| state.to_string().len());
        let width = events.chain(names).max().unwrap_or(0);
        for (title, direction) in [
            ("from the client", Direction::Original),
            ("from the real server", Direction::Reply),
        ] {
            write!(f, "{}, {title}\n{:11}", self.name, "")?;
            for event in S::Event::ALL {
                write!(f, "  {:width$}", event.name())?;
            }
            writeln!(f)?;
            for state in S::ALL {
                write!(f, "{state:11}")?;
                for event in S::Event::ALL {
                    write!(f, "  {:width$}", self.next(direction, *event, *state))?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
