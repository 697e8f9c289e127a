//! What is known about each capture of ipvsadm: whether it holds, and where the director differs
//! on purpose.

use testbed::oracle::replay::{ABSENT, Difference};
use testbed::oracle::standing::Standing;
use testbed::oracle::standing::Standing::Replayed;

/// Every capture has its line here.
pub(crate) const CAPTURES: [(&str, Standing); 41] = [
    ("001", Replayed),
    ("004", Replayed),
    ("007", Replayed),
    ("010", Replayed),
    ("013", Replayed),
    ("016", Replayed),
    ("019", Replayed),
    ("022", Replayed),
    ("025", Replayed),
    ("028", Replayed),
    ("031", Replayed),
    ("034", Replayed),
    ("037", Replayed),
    ("040", Replayed),
    ("043", Replayed),
    ("046", Replayed),
    ("049", Replayed),
    ("052", Replayed),
    ("055", Replayed),
    ("058", Replayed),
    ("061", Replayed),
    ("064", Replayed),
    ("067", Replayed),
    ("070", Replayed),
    ("073", Replayed),
    ("076", Replayed),
    ("079", Replayed),
    ("082", Replayed),
    ("085", Replayed),
    ("088", Replayed),
    ("091", Replayed),
    ("094", Replayed),
    ("097", Replayed),
    ("100", Replayed),
    ("103", Replayed),
    ("106", Replayed),
    ("109", Replayed),
    ("112", Replayed),
    ("115", Replayed),
    ("118", Replayed),
    ("121", Replayed),
];

/// A command that the kernel runs and the director refuses.
const REFUSED: &str = "Invalid operation.  Possibly wrong module version, address not unicast, ...";

/// What docs/cli.md lists: `$ ` and a command with what it says on standard error when it fails,
/// or a line of a listing.
pub(crate) const DIFFERENCES: &[Difference] = &[
    refuses(
        "043",
        "$ ipvsadm -a -t 192.0.2.10:80 -r 10.0.0.16:0 -m",
        NO_PORT,
    ),
    lacks(
        "043",
        "  -> 10.0.0.16:0                  Masq    1      0          0         ",
        NO_PORT,
    ),
    lacks("043", "-a -t 192.0.2.10:80 -r 10.0.0.16:0 -m -w 1", NO_PORT),
    refuses("016", "$ ipvsadm -A -t [::ffff:192.0.2.1]:80 -s rr", MAPPED),
    lacks("016", "TCP  [::ffff:192.0.2.1]:80 rr", MAPPED),
    lacks("016", "TCP  [::ffff:192.0.2.1]:http rr", MAPPED),
    lacks("016", "-A -t [::ffff:192.0.2.1]:80 -s rr", MAPPED),
    refuses("016", "$ ipvsadm -A -t [::]:80 -s rr", NOBODY),
    lacks("016", "TCP  [::]:80 rr", NOBODY),
    lacks("016", "TCP  [::]:http rr", NOBODY),
    lacks("016", "-A -t [::]:80 -s rr", NOBODY),
];

const NO_PORT: &str = "nothing is reached at port 0";
const MAPPED: &str = "no packet has an IPv4-mapped address";
const NOBODY: &str = "no packet is for the unspecified address";

const fn refuses(case: &'static str, kernel: &'static str, why: &'static str) -> Difference {
    Difference {
        case,
        kernel,
        ours: REFUSED,
        why,
    }
}

const fn lacks(case: &'static str, kernel: &'static str, why: &'static str) -> Difference {
    Difference {
        case,
        kernel,
        ours: ABSENT,
        why,
    }
}
