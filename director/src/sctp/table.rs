//! State tables: which state follows, as data (`sctp_states` of IPVS).

use super::{Event, State};
use crate::matrix::{Matrix, columns_and_rows};

type Rows = [[State; State::COUNT]; Event::COUNT];

/// What follows for each state, event and direction.
pub type StateTable = Matrix<State, { Event::COUNT }, { State::COUNT }>;

columns_and_rows!(State, Event);

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
    use crate::matrix::{assert_committed, printed};

    #[test]
    fn tables_are_as_committed() {
        for (table, file) in [(&NORMAL, "normal.txt"), (&ONE_WAY, "one_way.txt")] {
            assert_committed(&format!("src/sctp/{file}"), &printed(table));
        }
    }

    #[test]
    fn an_association_is_opened_by_init_alone() {
        for table in [&NORMAL, &ONE_WAY] {
            let opened = table.next(Direction::Original, Event::Init, State::None);
            assert_eq!(opened, I1, "{}", table.name);
        }
    }
}
