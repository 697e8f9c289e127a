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

/// Makes a protocol's states and events, in their order, the columns and rows of its tables.
macro_rules! columns_and_rows {
    ($State:ty, $Event:ty) => {
        impl $crate::matrix::Column for $State {
            type Event = $Event;
            const ALL: &'static [Self] = &Self::ALL;

            #[inline]
            fn place(self) -> usize {
                self as usize
            }
        }

        impl $crate::matrix::Row for $Event {
            const ALL: &'static [Self] = &Self::ALL;

            #[inline]
            fn place(self) -> usize {
                self as usize
            }

            fn name(self) -> &'static str {
                self.name()
            }
        }
    };
}

pub(crate) use columns_and_rows;

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

/// A matrix without blanks at the ends of its lines.
#[cfg(test)]
pub(crate) fn printed<S: Column, const EVENTS: usize, const STATES: usize>(
    matrix: &Matrix<S, EVENTS, STATES>,
) -> String {
    let printed = matrix.to_string();
    printed.lines().flat_map(|l| [l.trim_end(), "\n"]).collect()
}

/// Holds what was printed against a file. To accept a change: `BLESS=1 cargo test -p bulwark-director
/// table`.
#[cfg(test)]
pub(crate) fn assert_committed(path: &str, printed: &str) {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, printed).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert_eq!(printed, committed, "{path} differs from the table");
}
