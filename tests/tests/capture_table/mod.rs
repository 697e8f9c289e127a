//! What is known about each capture: whether it holds, what its sentences send, and where the
//! director differs on purpose.

mod differences;
mod scripts;

use testbed::oracle::replay::Knowledge;
use testbed::oracle::standing::Standing;
use testbed::oracle::standing::Standing::{Apart, Replayed};

use differences::DIFFERENCES;
use scripts::SCRIPTS;

/// Every capture has its line here.
pub(crate) const CAPTURES: [(&str, Standing); 55] = [
    ("001", Replayed),
    ("002", Replayed),
    ("003", Replayed),
    ("004", Replayed),
    ("005", Replayed),
    ("006", Replayed),
    ("007", Replayed),
    ("008", Replayed),
    ("009", Replayed),
    ("010", Replayed),
    ("011", Replayed),
    ("012", Replayed),
    ("013", Replayed),
    ("015", Replayed),
    ("017", Replayed),
    ("019", Replayed),
    ("020", Replayed),
    ("022", Replayed),
    ("023", Replayed),
    ("026", Replayed),
    ("101", Replayed),
    ("102", Replayed),
    ("103", Replayed),
    ("104", Replayed),
    ("105", Replayed),
    ("107", Replayed),
    ("108", Replayed),
    (
        "109",
        Apart(
            "a SYN moves FIN_WAIT there, and an ACK is proof enough for 15 minutes; neither is here",
        ),
    ),
    ("111", Replayed),
    ("112", Replayed),
    ("113", Replayed),
    ("114", Replayed),
    ("116", Replayed),
    ("117", Replayed),
    ("201", Replayed),
    ("202", Replayed),
    (
        "203",
        Apart(
            "it quotes what nobody has sent, and the director believes no such error: tests/tests/packets/icmp.rs",
        ),
    ),
    ("204", Replayed),
    ("206", Replayed),
    ("207", Replayed),
    ("208", Replayed),
    ("210", Replayed),
    ("211", Replayed),
    ("212", Replayed),
    ("214", Replayed),
    (
        "215",
        Apart(
            "its second client hangs at 127.0.0.1, where nothing can be handed to; here it opens nothing there, \
             and has the other one when it asks again: tests/tests/local_nat",
        ),
    ),
    ("216", Replayed),
    ("217", Replayed),
    ("218", Replayed),
    ("219", Replayed),
    (
        "220",
        Apart(
            "it shows which SYNs a counter picks; here they are picked by lot: tests/tests/defence/levels.rs",
        ),
    ),
    (
        "221",
        Apart("it shows the counts of one run: tests/tests/defence/levels.rs shows drop_entry"),
    ),
    (
        "222",
        Apart(
            "it shows what a master tells a backup; here nothing is synchronised (docs/cli.md), and the \
             daemons are kept and shown only: tests/tests/ipvsadm.rs",
        ),
    ),
    ("223", Replayed),
    (
        "224",
        Apart("it shows how late --stats is in the kernel; here it is exact"),
    ),
];

/// For the replay.
pub(crate) const KNOWLEDGE: Knowledge = Knowledge {
    scripts: SCRIPTS,
    differences: DIFFERENCES,
};
