//! State tables: which state follows, as data (`sctp_states` of IPVS).

use super::{Event, State};
use crate::matrix::{Column, Matrix, Row};

type Rows = [[State; State::COUNT]; Event::COUNT];

/// What follows for each state, event and direction.
pub type StateTable = Matrix<State, { Event::COUNT }, { State::COUNT }>;

impl Row for Event {
    const ALL: &'static [Self] = &Self::ALL;

    #[inline]
    fn place(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Column for State {
    type Event = Event;
    const ALL: &'static [Self] = &Self::ALL;

    #[inline]
    fn place(self) -> usize {
        self as usize
    }
}

const I1: State = State::Init1;
const IN: State = State::Init;
const CS: State = State::CookieSent;
const CR: State = State::CookieReplied;
const CW: State = State::CookieWait;
const CO: State = State::Cookie;
const CE: State = State::CookieEchoed;
const ES: State = State::Established;
const SS: State = State::ShutdownSent;
const SR: State = State::ShutdownReceived;
const SA: State = State::ShutdownAckSent;
const RJ: State = State::Rejected;
const CL: State = State::Closed;

const OUTPUT: Rows = [
    /*             NO  I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL */
    /* data */
    [ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    /* init */
    [CW, CW, CW, CW, CW, CW, CW, CW, ES, CW, CW, CW, CW, CW],
    /* init-ack */
    [CS, CS, CS, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    /* cookie-echo */
    [CE, CE, CE, CE, CE, CE, CE, CE, ES, SS, SR, SA, RJ, CL],
    /* cookie-ack */
    [ES, ES, ES, ES, ES, ES, ES, ES, ES, SS, SR, SA, RJ, CL],
    /* shutdown */
    [SS, SS, SS, SS, SS, SS, SS, SS, SS, SS, SR, SA, RJ, CL],
    /* shutdown-ack */
    [SA, SA, SA, SA, SA, CW, CO, CE, ES, SA, SA, SA, RJ, CL],
    /* complete */
    [CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    /* error */
    [CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    /* abort */
    [CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL],
];

/// Both ways pass through the director (NAT).
pub static NORMAL: StateTable = StateTable {
    name: "normal",
    input: [
        /*             NO  I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL */
        /* data */
        [ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
        /* init */
        [I1, IN, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, IN, IN],
        /* init-ack */
        [CW, CW, CW, CS, CR, CO, CO, CE, ES, SS, SR, SA, RJ, CL],
        /* cookie-echo */
        [CR, IN, IN, CR, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
        /* cookie-ack */
        [ES, I1, IN, CS, CR, CW, CO, ES, ES, SS, SR, SA, RJ, CL],
        /* shutdown */
        [SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL],
        /* shutdown-ack */
        [CL, IN, IN, CS, CR, CW, CO, CE, ES, CL, SR, CL, RJ, CL],
        /* complete */
        [CL, CL, CL, CS, CR, CW, CO, CE, ES, SS, SR, CL, RJ, CL],
        /* error */
        [CL, I1, IN, CS, CR, CW, CO, CL, ES, SS, SR, SA, RJ, CL],
        /* abort */
        [CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL],
    ],
    output: OUTPUT,
};

/// Only the client's packets pass through the director (DR, tunnel).
pub static ONE_WAY: StateTable = StateTable {
    name: "one-way",
    input: [
        /*             NO  I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL */
        /* data */
        [ES, I1, IN, CS, CR, ES, CO, CE, ES, SS, SR, SA, RJ, CL],
        /* init */
        [I1, IN, IN, IN, IN, IN, CO, CE, ES, SS, SR, SA, IN, IN],
        /* init-ack */
        [CE, CE, CE, CE, CE, CE, CO, CE, ES, SS, SR, SA, RJ, CL],
        /* cookie-echo */
        [ES, ES, ES, ES, ES, ES, CO, CE, ES, SS, SR, SA, RJ, CL],
        /* cookie-ack */
        [ES, I1, IN, ES, ES, CW, ES, ES, ES, SS, SR, SA, RJ, CL],
        /* shutdown */
        [SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL],
        /* shutdown-ack */
        [CL, IN, IN, CS, CR, CW, CO, CE, CL, CL, SR, CL, RJ, CL],
        /* complete */
        [CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, CL, CL, RJ, CL],
        /* error */
        [CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
        /* abort */
        [CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL],
    ],
    output: OUTPUT,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Direction;

    /// To accept a change: `BLESS=1 cargo test -p bulwark-director sctp::table`.
    fn assert_committed(table: &StateTable, file: &str) {
        let path = format!("{}/src/sctp/{file}", env!("CARGO_MANIFEST_DIR"));
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
    fn an_association_is_opened_by_init_alone() {
        for table in [&NORMAL, &ONE_WAY] {
            let opened = table.next(Direction::Original, Event::Init, State::None);
            assert_eq!(opened, I1, "{}", table.name);
        }
    }
}
