//! State tables: which state follows, as data.
//!
//! A defence level changes what follows by using another table, never by a condition in code.

use std::fmt;

use super::{Event, State};
use crate::direction::Direction;

type Rows = [[State; State::COUNT]; Event::COUNT];

/// What follows for each state, event and direction.
#[derive(Debug, PartialEq, Eq)]
pub struct StateTable {
    /// Its name in documents and listings.
    pub name: &'static str,
    /// From the client.
    input: Rows,
    /// From the real server.
    output: Rows,
}

impl StateTable {
    /// The state after `event` in `state`.
    #[inline]
    pub const fn next(&self, direction: Direction, event: Event, state: State) -> State {
        let rows = match direction {
            Direction::Original => &self.input,
            Direction::Reply => &self.output,
        };
        rows[event as usize][state as usize]
    }
}

/// The whole matrix, one line for each state and direction: what each event makes of it.
impl fmt::Display for StateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, direction) in [
            ("from the client", Direction::Original),
            ("from the real server", Direction::Reply),
        ] {
            write!(f, "{}, {title}\n{:11}", self.name, "")?;
            for event in Event::ALL {
                write!(f, "  {:11}", event.name())?;
            }
            writeln!(f)?;
            for state in State::ALL {
                write!(f, "{state:11}")?;
                for event in Event::ALL {
                    write!(f, "  {:11}", self.next(direction, event, state))?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

const ES: State = State::Established;
const SS: State = State::SynSent;
const SR: State = State::SynRecv;
const FW: State = State::FinWait;
const TW: State = State::TimeWait;
const CL: State = State::Close;
const CW: State = State::CloseWait;
const LA: State = State::LastAck;
const LI: State = State::Listen;

/// What the real server sends means the same in every table that is not for attacks.
const OUTPUT: Rows = [
    /*        NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
    /* syn */
    [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR],
    /* fin */ [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
    /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
    /* rst */ [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
];

/// Both ways pass through the director (NAT), no attack.
pub static NORMAL: StateTable = StateTable {
    name: "normal",
    input: [
        /*        NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
        /* syn */
        [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
        /* fin */ [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW],
        /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
        /* rst */ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR],
    ],
    output: OUTPUT,
};

/// Only the client's packets pass through the director (DR, tunnel), no attack.
pub static ONE_WAY: StateTable = StateTable {
    name: "one-way",
    input: [
        /*        NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
        /* syn */
        [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
        /* fin */ [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW],
        /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
        /* rst */ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
    ],
    output: OUTPUT,
};

#[cfg(test)]
mod tests {
    use super::*;

    /// To accept a change: `BLESS=1 cargo test -p bulwark-director tcp::table`.
    fn assert_committed(table: &StateTable, file: &str) {
        let path = format!("{}/src/tcp/{file}", env!("CARGO_MANIFEST_DIR"));
        let printed = table.to_string();
        let printed: String = printed.lines().flat_map(|l| [l.trim_end(), "\n"]).collect();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &printed).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        assert_eq!(printed, committed, "{file} differs from the table");
    }

    #[test]
    fn normal_is_as_committed() {
        assert_committed(&NORMAL, "normal.txt");
    }

    #[test]
    fn one_way_is_as_committed() {
        assert_committed(&ONE_WAY, "one_way.txt");
    }

    #[test]
    fn every_table_opens_with_syn_recv() {
        for table in [&NORMAL, &ONE_WAY] {
            let opened = table.next(Direction::Original, Event::Syn, State::None);
            assert_eq!(opened, SR, "{}", table.name);
        }
    }
}
