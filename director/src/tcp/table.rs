//! State tables: which state follows, as data.
//!
//! A defence level changes what follows by using another table, never by a condition in code.

use super::{Event, State};
use crate::direction::Direction;
use crate::matrix::{Matrix, columns_and_rows};

/// What a client has to show, after the ACK that ends its handshake, before a connection whose real
/// server is never heard counts as proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Data of its own, or an acknowledgement of the real server's.
    Either,
    /// Both.
    Both,
}

/// The tables of a mode of tracking.
#[derive(Debug, PartialEq, Eq)]
pub struct Tables {
    /// For connections of which both halves pass through the director.
    pub two_way: &'static StateTable,
    /// For those of which only the client's half does.
    pub one_way: &'static StateTable,
}

/// No attack.
pub static PEACE: Tables = Tables {
    two_way: &NORMAL,
    one_way: &ONE_WAY,
};

/// Under attack: the client's word establishes nothing.
pub static SIEGE: Tables = Tables {
    two_way: &ATTACKED,
    one_way: &ATTACKED_ONE_WAY,
};

type Rows = [[State; State::COUNT]; Event::COUNT];

/// What follows for each state, event and direction, and when that is believed.
#[derive(Debug, PartialEq, Eq)]
pub struct StateTable {
    /// What follows.
    pub moves: Matrix<State, { Event::COUNT }, { State::COUNT }>,
    /// What proves a connection whose real server is never heard.
    pub proof: Proof,
}

impl StateTable {
    /// The state after `event` in `state`.
    #[inline]
    pub fn next(&self, direction: Direction, event: Event, state: State) -> State {
        self.moves.next(direction, event, state)
    }
}

columns_and_rows!(State, Event);

const ES: State = State::Established;
const SS: State = State::SynSent;
const SR: State = State::SynRecv;
const FW: State = State::FinWait;
const TW: State = State::TimeWait;
const CL: State = State::Close;
const CW: State = State::CloseWait;
const LA: State = State::LastAck;
const LI: State = State::Listen;
const SA: State = State::SynAck;

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
    moves: Matrix {
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
    },
    proof: Proof::Either,
};

/// Only the client's packets pass through the director (DR, tunnel), no attack.
pub static ONE_WAY: StateTable = StateTable {
    moves: Matrix {
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
    },
    proof: Proof::Either,
};

/// Under attack the real server's SYN+ACK is kept in mind, and its ACK or FIN alone ends the
/// handshake (`tcp_states_dos`, but that a FIN of the client moves no handshake).
const ATTACKED_OUTPUT: Rows = [
    /*        NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
    /* syn */
    [SS, ES, SS, SA, SS, SS, SS, SS, SS, LI, SA],
    /* fin */ [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
    /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
    /* rst */ [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
];

/// Both ways pass through the director (NAT), under attack.
pub static ATTACKED: StateTable = StateTable {
    moves: Matrix {
        name: "attacked",
        input: [
            /*        NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
            /* syn */
            [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SA],
            /* fin */ [CL, CW, SS, SR, TW, TW, CL, CW, LA, LI, SA],
            /* ack */ [CL, ES, SS, SR, FW, TW, CL, CW, CL, LI, SA],
            /* rst */ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
        ],
        output: ATTACKED_OUTPUT,
    },
    proof: Proof::Both,
};

/// Only the client's packets pass through the director (DR, tunnel), under attack. The client's
/// ACK moves to SYNACK, where the connection waits for its proof; that counts as the ACK of the real
/// server, which nobody hears.
pub static ATTACKED_ONE_WAY: StateTable = StateTable {
    moves: Matrix {
        name: "attacked one-way",
        input: [
            /*        NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
            /* syn */
            [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SA],
            /* fin */ [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW],
            /* ack */ [CL, ES, SS, SA, FW, TW, CL, CW, CL, LI, SA],
            /* rst */ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
        ],
        output: ATTACKED_OUTPUT,
    },
    proof: Proof::Both,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{assert_committed, printed};

    const ALL: [(&StateTable, &str); 4] = [
        (&NORMAL, "normal.txt"),
        (&ONE_WAY, "one_way.txt"),
        (&ATTACKED, "attacked.txt"),
        (&ATTACKED_ONE_WAY, "attacked_one_way.txt"),
    ];

    #[test]
    fn tables_are_as_committed() {
        for (table, file) in ALL {
            assert_committed(&format!("src/tcp/{file}"), &printed(&table.moves));
        }
    }

    #[test]
    fn the_document_shows_the_tables() {
        let head = include_str!("states.md");
        let tables: String = ALL
            .iter()
            .map(|(table, _)| {
                format!(
                    "\n## {}\n\n```\n{}```\n",
                    table.moves.name,
                    printed(&table.moves)
                )
            })
            .collect();
        assert_committed("../docs/states.md", &(head.to_owned() + &tables));
    }

    #[test]
    fn every_table_opens_with_syn_recv() {
        for (table, _) in ALL {
            let opened = table.next(Direction::Original, Event::Syn, State::None);
            assert_eq!(opened, SR, "{}", table.moves.name);
        }
    }

    /// So that the packets of open connections need not ask which table is in force.
    #[test]
    fn an_attack_changes_the_columns_of_the_handshake_only() {
        for (peace, siege) in [(&NORMAL, &ATTACKED), (&ONE_WAY, &ATTACKED_ONE_WAY)] {
            for direction in [Direction::Original, Direction::Reply] {
                for (event, state) in Event::ALL
                    .into_iter()
                    .flat_map(|event| State::ALL.map(|state| (event, state)))
                {
                    let same =
                        peace.next(direction, event, state) == siege.next(direction, event, state);
                    let handshake = state == State::None || state.is_half_open();
                    assert!(same || handshake, "{} {event:?} {state}", siege.moves.name);
                }
            }
        }
    }

    #[test]
    fn under_attack_nothing_that_a_client_sends_establishes() {
        for table in [&ATTACKED, &ATTACKED_ONE_WAY] {
            for event in Event::ALL {
                for state in [State::None, State::SynRecv, State::SynAck] {
                    let next = table.next(Direction::Original, event, state);
                    assert_ne!(
                        next,
                        State::Established,
                        "{} {event:?} {state}",
                        table.moves.name
                    );
                }
            }
        }
    }
}
