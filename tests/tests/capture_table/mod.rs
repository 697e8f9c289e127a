//! What is known about each capture: whether it holds, what its sentences send, and where the
//! director differs on purpose.

use testbed::oracle::replay::{ABSENT, Difference, Knowledge};
use testbed::oracle::standing::Standing;
use testbed::oracle::standing::Standing::{Apart, NotYet, Replayed};

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
    (
        "103",
        Apart(
            "its real servers have tunl0, which not every kernel has: tests/tests/methods.rs shows TUN",
        ),
    ),
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
            "it quotes what nobody has sent, and the director believes no such error: tests/tests/icmp.rs",
        ),
    ),
    ("204", Replayed),
    ("206", Replayed),
    ("207", NotYet("persistence, the engine sip")),
    ("208", Replayed),
    ("210", Replayed),
    ("211", Replayed),
    ("212", Replayed),
    ("214", Replayed),
    ("215", Apart("NAT to the director itself")),
    ("216", Replayed),
    ("217", Replayed),
    ("218", Replayed),
    ("219", Replayed),
    (
        "220",
        Apart(
            "it shows which SYNs a counter picks; here they are picked by lot: tests/tests/levels.rs",
        ),
    ),
    (
        "221",
        Apart("it shows the counts of one run: tests/tests/levels.rs shows drop_entry"),
    ),
    ("222", NotYet("synchronisation")),
    ("223", Replayed),
    (
        "224",
        Apart("it shows how late --stats is in the kernel; here it is exact"),
    ),
];

/// Case, beginning of a sentence (or `$ ` and a command), what it sends.
const SCRIPTS: &[(&str, &str, &str)] = &[
    ("022", "RST from the client", "client R 20000 20001"),
    ("023", "RST from the client", "client R 20000 20001"),
    ("101", "8 times curl", ""),
    ("101", "2.5 s later", "skip 2.5"),
    ("102", "4 times curl", ""),
    ("102", "raw SYN", "client S 40000 40001"),
    ("104", "4 times curl", ""),
    ("105", "NAT reply", "real SA 20001>81"),
    (
        "105",
        "SYN with ttl 1",
        "ttl 1 0; client S 20009>81 20009>82 20009>83",
    ),
    ("105", "counters after all", ""),
    ("107", "3 datagrams", "udp 5 20000 20001 20000"),
    ("107", "answers of 10 bytes", "answer 10 20000 20001"),
    ("107", "5.2 s pass, then", "wait 5.2; then; udp 5 20000"),
    ("107", "one-packet service: 5", "udp 5 *5 20000"),
    (
        "107",
        "answer of R1",
        "say s1 10 10.2.1.1:54>172.16.0.1:20000",
    ),
    ("107", "--set 0 0 10", "udp 5 20005>53"),
    ("116", "SYN from port 20000", "client S 20000"),
    (
        "116",
        "1.6 s later",
        "wait 1.6; client S 20001; client A 20000; then; real SA 20001",
    ),
    ("116", "ACK of the client", "client A 20001"),
    (
        "116",
        "back to 0",
        "wait 1.6; client S 20002; client A 20001 20000",
    ),
    ("117", "before --set", "open 20000; client S 20001"),
    (
        "117",
        "after: port 20002",
        "open 20002; client S 20003; open 20004; client FA 20004; client A 20000",
    ),
    ("117", "real sends FIN", "real FA 20002 20004"),
    ("201", "UDP to 84", "udp 5 20000>84"),
    ("202", "real 10.0.2.1 has no listener", ""),
    ("202", "UDP datagram", "udp 5 20000>53"),
    (
        "204",
        "ACK on 172.16.0.1:20000",
        "real SA 20000; client A 20000",
    ),
    (
        "204",
        "the real of 172.16.0.1 is set",
        "then; client S 20010 172.16.0.9:20010",
    ),
    (
        "204",
        "one more SYN from 172.16.0.1:20011",
        "client S 20011 20012",
    ),
    ("204", "the new real of 172.16.0.1", "then; client S 20013"),
    ("206", "SYN, ACK, RST", "open 20000; client R 20000"),
    ("206", "a new SYN", "client S 20001"),
    ("208", "data (PSH+ACK)", "client PA 20000..20003"),
    ("210", "data (PSH+ACK)", "client PA 20000..20003"),
    ("210", "a second time", "client PA 20000..20003"),
    ("210", "a SYN on the same", "client S 20000..20003"),
    ("210", "the real is added", "client PA 20000..20003"),
    ("211", "data (PSH+ACK)", "client PA 20000..20003"),
    ("211", "a second time", "client PA 20000..20003"),
    ("211", "a SYN on the same", "client S 20000..20003"),
    ("211", "the real is added", "client PA 20000..20003"),
    ("212", "data on both", "client PA 20000 20001"),
    (
        "212",
        "service added again",
        "client PA 20000 20001; stray s1 10.2.1.1:80>172.16.0.1:20000; real A 20001; \
         real A 20000; stray s2 10.2.2.1:80>172.16.0.1:20001",
    ),
    (
        "214",
        "5 connections",
        "open 20000..20003; real FA 20000 20001; client FA 20000; client R 20002",
    ),
    ("214", "SYN on each", "client S 20000..20004"),
    ("215", "curl from c", ""),
    ("216", "---- association", "from 20007"),
    ("216", "---- abort", "from 20032"),
    ("216", "---- DATA", "from 20099"),
    (
        "217",
        "$ ipvsadm -Lnc",
        "client S [fd00:16::1]:1 172.16.123.123:65535 [fd00:16::1111:2222:3333:4444]:65535",
    ),
    ("218", "in the first network", ""),
    ("219", "1.5 s later", "wait 1.5"),
    ("223", "200 datagrams", "udp 100 *50 20000..20003"),
    ("223", "4.5 s of silence", "skip 4.5"),
];

const NEVER_OPENED: &str = "no client opens a connection so";
const NEVER_CUT: &str = "a short datagram without an identification says so (RFC 6864)";
const NOT_FORWARDED: &str = "a packet whose hops end here opens nothing";
const OWN_TIMEOUT: &str = "a template that was kept for its connections has its timeout again";
const ON_PROBATION: &str = "a connection that only its client speaks of is on probation";
const NO_QUEUE: &str =
    "nothing is synchronised, and so nothing waits; the kernel's is by its memory";
const FORGOTTEN: &str = "a removed real server is forgotten with its last connection";
const NOT_ANSWERED: &str =
    "a SYN on a connection that is not over means nothing before the real server answers it";
const NOT_REACHED: &str = "a packet that cannot be sent on opens nothing";
const UNCONFIRMED: &str = "what a real server says counts when the client has acknowledged its SYN";
const ONE_WAY_SYN: &str = "a SYN alone is SYN_RECV; the client's ACK makes it SYNACK";
const NOT_PROVED: &str =
    "both data and an acknowledgement of more establish by DR under secure_tcp";
const HALF_OPEN_RESET: &str = "under secure_tcp a client's RST does not end a half-open connection";
const NO_HANDSHAKE: &str = "a client's ACK moves nothing before the real server has answered";

const fn differs(
    case: &'static str,
    kernel: &'static str,
    ours: &'static str,
    why: &'static str,
) -> Difference {
    Difference {
        case,
        kernel,
        ours,
        why,
    }
}

/// What docs/compatibility.md lists, where a capture shows it.
const DIFFERENCES: &[Difference] = &[
    differs(
        "206",
        "TCP 00:59  ASSURED     172.16.0.1:0       10.9.9.9:80        10.2.2.1:80",
        "TCP 00:05  ASSURED     172.16.0.1:0       10.9.9.9:80        10.2.2.1:80",
        OWN_TIMEOUT,
    ),
    differs(
        "108",
        "TCP 14:59  ESTABLISHED 172.16.0.1:20000   10.9.9.9:90        10.2.1.1:90",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:90        10.2.1.1:90",
        UNCONFIRMED,
    ),
    differs(
        "108",
        "TCP 01:59  TIME_WAIT   172.16.0.1:20000   10.9.9.9:91        10.2.1.1:91",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:91        10.2.1.1:91",
        NO_HANDSHAKE,
    ),
    differs(
        "108",
        "  -> 10.2.1.1:91                  Masq    1      0          1         ",
        "  -> 10.2.1.1:91                  Masq    1      1          0         ",
        NO_HANDSHAKE,
    ),
    differs(
        "108",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:92        10.2.1.1:92",
        "(no connection)",
        NEVER_OPENED,
    ),
    differs(
        "108",
        "  -> 10.2.1.1:92                  Masq    1      1          0         ",
        "  -> 10.2.1.1:92                  Masq    1      0          0         ",
        NEVER_OPENED,
    ),
    differs(
        "108",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:95        10.2.1.1:95",
        "(no connection)",
        NEVER_OPENED,
    ),
    differs(
        "108",
        "  -> 10.2.1.1:95                  Masq    1      1          0         ",
        "  -> 10.2.1.1:95                  Masq    1      0          0         ",
        NEVER_OPENED,
    ),
    differs(
        "114",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:84        10.2.1.1:84",
        "(no connection)",
        NEVER_OPENED,
    ),
    differs(
        "114",
        "  -> 10.2.1.1:84                  Masq    1      1          0         ",
        "  -> 10.2.1.1:84                  Masq    1      0          0         ",
        NEVER_OPENED,
    ),
    differs(
        "114 client sends A",
        "TCP 14:59  ESTABLISHED 172.16.0.1:20000   10.9.9.9:81        10.2.1.1:81",
        "TCP 01:59  ESTABLISHED 172.16.0.1:20000   10.9.9.9:81        10.2.1.1:81",
        ON_PROBATION,
    ),
    differs(
        "114 client sends PA",
        "TCP 14:59  ESTABLISHED 172.16.0.1:20000   10.9.9.9:85        10.2.1.1:85",
        "TCP 01:59  ESTABLISHED 172.16.0.1:20000   10.9.9.9:85        10.2.1.1:85",
        ON_PROBATION,
    ),
    differs(
        "111",
        "TCP 14:59  ESTABLISHED 172.16.0.1:20000   10.9.9.9:89        10.2.1.1:89",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:89        10.2.1.1:89",
        UNCONFIRMED,
    ),
    differs(
        "111",
        "TCP 01:59  TIME_WAIT   172.16.0.1:20000   10.9.9.9:90        10.2.1.1:90",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:90        10.2.1.1:90",
        NO_HANDSHAKE,
    ),
    differs(
        "111",
        "  -> 10.2.1.1:90                  Masq    1      0          1         ",
        "  -> 10.2.1.1:90                  Masq    1      1          0         ",
        NO_HANDSHAKE,
    ),
    differs(
        "112",
        "TCP 14:59  ESTABLISHED 172.16.0.1:20000   10.9.9.9:89        10.2.1.1:89",
        "TCP 01:59  SYNACK      172.16.0.1:20000   10.9.9.9:89        10.2.1.1:89",
        UNCONFIRMED,
    ),
    differs(
        "112",
        "TCP 01:59  TIME_WAIT   172.16.0.1:20000   10.9.9.9:90        10.2.1.1:90",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:90        10.2.1.1:90",
        NO_HANDSHAKE,
    ),
    differs(
        "112",
        "  -> 10.2.1.1:90                  Masq    1      0          1         ",
        "  -> 10.2.1.1:90                  Masq    1      1          0         ",
        NO_HANDSHAKE,
    ),
    differs(
        "113",
        "TCP 01:59  SYNACK      172.16.0.1:20000   10.9.9.9:81        10.2.1.1:81",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:81        10.2.1.1:81",
        ONE_WAY_SYN,
    ),
    differs(
        "113",
        "TCP 01:59  SYNACK      172.16.0.1:20000   10.9.9.9:82        10.2.1.1:82",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:82        10.2.1.1:82",
        ONE_WAY_SYN,
    ),
    differs(
        "113",
        "TCP 01:59  SYNACK      172.16.0.1:20000   10.9.9.9:83        10.2.1.1:83",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:83        10.2.1.1:83",
        ONE_WAY_SYN,
    ),
    differs(
        "113",
        "TCP 01:59  SYNACK      172.16.0.1:20000   10.9.9.9:84        10.2.1.1:84",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:84        10.2.1.1:84",
        ONE_WAY_SYN,
    ),
    differs(
        "113",
        "TCP 01:59  SYNACK      172.16.0.1:20000   10.9.9.9:85        10.2.1.1:85",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:85        10.2.1.1:85",
        ONE_WAY_SYN,
    ),
    differs(
        "113",
        "TCP 14:59  ESTABLISHED 172.16.0.1:20000   10.9.9.9:81        10.2.1.1:81",
        "TCP 01:59  SYNACK      172.16.0.1:20000   10.9.9.9:81        10.2.1.1:81",
        NOT_PROVED,
    ),
    differs(
        "113",
        "TCP 14:59  ESTABLISHED 172.16.0.1:20000   10.9.9.9:82        10.2.1.1:82",
        "TCP 01:59  SYNACK      172.16.0.1:20000   10.9.9.9:82        10.2.1.1:82",
        NOT_PROVED,
    ),
    differs(
        "113",
        "TCP 14:59  ESTABLISHED 172.16.0.1:20000   10.9.9.9:84        10.2.1.1:84",
        "TCP 01:59  SYNACK      172.16.0.1:20000   10.9.9.9:84        10.2.1.1:84",
        NOT_PROVED,
    ),
    differs(
        "113",
        "TCP 01:59  FIN_WAIT    172.16.0.1:20000   10.9.9.9:81        10.2.1.1:81",
        "TCP 01:59  TIME_WAIT   172.16.0.1:20000   10.9.9.9:81        10.2.1.1:81",
        NOT_PROVED,
    ),
    differs(
        "113",
        "TCP 01:59  FIN_WAIT    172.16.0.1:20000   10.9.9.9:84        10.2.1.1:84",
        "TCP 01:59  TIME_WAIT   172.16.0.1:20000   10.9.9.9:84        10.2.1.1:84",
        NOT_PROVED,
    ),
    differs(
        "113",
        "TCP 00:09  CLOSE       172.16.0.1:20000   10.9.9.9:83        10.2.1.1:83",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:83        10.2.1.1:83",
        HALF_OPEN_RESET,
    ),
    differs(
        "113",
        "  -> 10.2.1.1:83                  Route   1      0          1         ",
        "  -> 10.2.1.1:83                  Route   1      1          0         ",
        HALF_OPEN_RESET,
    ),
    differs(
        "116",
        "TCP 14:59  ESTABLISHED 172.16.0.1:20000   10.9.9.9:80        10.2.1.1:80",
        "TCP 00:56  SYN_RECV    172.16.0.1:20000   10.9.9.9:80        10.2.1.1:80",
        NO_HANDSHAKE,
    ),
    differs(
        "218",
        "sync_qlen_max = 22560",
        "sync_qlen_max = 0",
        NO_QUEUE,
    ),
    differs(
        "211",
        "  -> 10.2.1.1:80                         2        4        0      160        0",
        "-> 10.2.1.1:80 0 0 0 0 0",
        FORGOTTEN,
    ),
    differs(
        "211",
        "TCP 14:59  ESTABLISHED 172.16.0.1:20001   10.9.9.9:80        10.2.2.1:80",
        "TCP 00:58  SYN_RECV    172.16.0.1:20001   10.9.9.9:80        10.2.2.1:80",
        NO_HANDSHAKE,
    ),
    differs(
        "211",
        "TCP 14:59  ESTABLISHED 172.16.0.1:20003   10.9.9.9:80        10.2.2.1:80",
        "TCP 00:58  SYN_RECV    172.16.0.1:20003   10.9.9.9:80        10.2.2.1:80",
        NO_HANDSHAKE,
    ),
    differs(
        "211",
        "172.16.0.1 > 10.2.2.1 ttl=63 len=41 tos=0x0 df=0 TCP 20001>80 [PA] data=1",
        ABSENT,
        NO_HANDSHAKE,
    ),
    differs(
        "211",
        "172.16.0.1 > 10.2.2.1 ttl=63 len=41 tos=0x0 df=0 TCP 20003>80 [PA] data=1",
        ABSENT,
        NO_HANDSHAKE,
    ),
    differs(
        "211",
        "TCP  10.9.9.9:80                         6       20        0      808        0",
        "TCP 10.9.9.9:80 6 18 0 726 0",
        NO_HANDSHAKE,
    ),
    differs(
        "211",
        "  -> 10.2.2.1:80                         4       16        0      648        0",
        "-> 10.2.2.1:80 4 14 0 566 0",
        NO_HANDSHAKE,
    ),
    differs(
        "214",
        "TCP 00:59  SYN_RECV    172.16.0.1:20001   10.9.9.9:80        10.2.2.1:80",
        "TCP 01:59  FIN_WAIT    172.16.0.1:20001   10.9.9.9:80        10.2.2.1:80",
        NOT_ANSWERED,
    ),
    differs(
        "214",
        "  -> 10.2.2.1:80                  Masq    1      2          0         ",
        "  -> 10.2.2.1:80                  Masq    1      1          1         ",
        NOT_ANSWERED,
    ),
    differs(
        "105",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=0 ICMP type=11 code=0 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=1 len=40 tos=0x0 df=0 TCP 20009>81 [S] data=0",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=1 ICMP type=11 code=0 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=1 len=40 tos=0x0 df=0 TCP 20009>81 [S] data=0",
        NEVER_CUT,
    ),
    differs(
        "105",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=0 ICMP type=11 code=0 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=1 len=40 tos=0x0 df=0 TCP 20009>82 [S] data=0",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=1 ICMP type=11 code=0 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=1 len=40 tos=0x0 df=0 TCP 20009>82 [S] data=0",
        NEVER_CUT,
    ),
    differs(
        "105",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=0 ICMP type=11 code=0 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=1 len=40 tos=0x0 df=0 TCP 20009>83 [S] data=0",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=1 ICMP type=11 code=0 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=1 len=40 tos=0x0 df=0 TCP 20009>83 [S] data=0",
        NEVER_CUT,
    ),
    differs(
        "201",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=0 ICMP type=3 code=3 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=40 tos=0x0 df=0 TCP 20000>81 [S] data=0",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=1 ICMP type=3 code=3 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=40 tos=0x0 df=0 TCP 20000>81 [S] data=0",
        NEVER_CUT,
    ),
    differs(
        "201",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=0 ICMP type=3 code=3 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=40 tos=0x0 df=0 TCP 20000>82 [S] data=0",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=1 ICMP type=3 code=3 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=40 tos=0x0 df=0 TCP 20000>82 [S] data=0",
        NEVER_CUT,
    ),
    differs(
        "201",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=0 ICMP type=3 code=3 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=40 tos=0x0 df=0 TCP 20001>83 [S] data=0",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=1 ICMP type=3 code=3 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=40 tos=0x0 df=0 TCP 20001>83 [S] data=0",
        NEVER_CUT,
    ),
    differs(
        "201",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=61 tos=0xc0 df=0 ICMP type=3 code=3 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=33 tos=0x0 df=0 UDP 20000>84 len=13 csum=set",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=61 tos=0xc0 df=1 ICMP type=3 code=3 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=33 tos=0x0 df=0 UDP 20000>84 len=13 csum=set",
        NEVER_CUT,
    ),
    differs(
        "201",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=0 ICMP type=3 code=1 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=40 tos=0x0 df=0 TCP 20000>85 [S] data=0",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=1 ICMP type=3 code=1 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=40 tos=0x0 df=0 TCP 20000>85 [S] data=0",
        NEVER_CUT,
    ),
    differs(
        "201",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=0 ICMP type=3 code=1 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=40 tos=0x0 df=0 TCP 20000>86 [S] data=0",
        "10.9.9.9 > 172.16.0.1 ttl=64 len=68 tos=0xc0 df=1 ICMP type=3 code=1 rest=00000000 | inner: 172.16.0.1 > 10.9.9.9 ttl=64 len=40 tos=0x0 df=0 TCP 20000>86 [S] data=0",
        NEVER_CUT,
    ),
    differs(
        "105",
        "TCP  10.9.9.9:81                         3        3        1      120       40",
        "TCP 10.9.9.9:81 2 2 1 80 40",
        NOT_FORWARDED,
    ),
    differs(
        "105",
        "  -> 10.2.1.1:81                         3        3        1      120       40",
        "-> 10.2.1.1:81 2 2 1 80 40",
        NOT_FORWARDED,
    ),
    differs(
        "105",
        "TCP  10.9.9.9:82                         3        3        1      120       68",
        "TCP 10.9.9.9:82 2 2 0 80 0",
        NOT_FORWARDED,
    ),
    differs(
        "105",
        "  -> 10.2.1.1:82                         3        3        1      120       68",
        "-> 10.2.1.1:82 2 2 0 80 0",
        NOT_FORWARDED,
    ),
    differs(
        "105",
        "TCP  10.9.9.9:83                         3        3        1      120       68",
        "TCP 10.9.9.9:83 2 2 0 80 0",
        NOT_FORWARDED,
    ),
    differs(
        "105",
        "  -> 10.2.1.1:83                         3        3        1      120       68",
        "-> 10.2.1.1:83 2 2 0 80 0",
        NOT_FORWARDED,
    ),
    differs(
        "105",
        "  -> 10.2.1.1:81                  Masq    1      3          0         ",
        "  -> 10.2.1.1:81                  Masq    1      2          0         ",
        NOT_FORWARDED,
    ),
    differs(
        "105",
        "  -> 10.2.1.1:82                  Route   1      3          0         ",
        "  -> 10.2.1.1:82                  Route   1      2          0         ",
        NOT_FORWARDED,
    ),
    differs(
        "105",
        "  -> 10.2.1.1:83                  Tunnel  1      3          0         ",
        "  -> 10.2.1.1:83                  Tunnel  1      2          0         ",
        NOT_FORWARDED,
    ),
    differs(
        "201",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:86        203.0.113.1:86",
        ABSENT,
        NOT_REACHED,
    ),
    differs(
        "201",
        "TCP 00:59  SYN_RECV    172.16.0.1:20000   10.9.9.9:85        203.0.113.1:85",
        ABSENT,
        NOT_REACHED,
    ),
    differs(
        "201",
        "  -> 203.0.113.1:85               Masq    1      1          0         ",
        "  -> 203.0.113.1:85               Masq    1      0          0         ",
        NOT_REACHED,
    ),
    differs(
        "201",
        "  -> 203.0.113.1:86               Route   1      1          0         ",
        "  -> 203.0.113.1:86               Route   1      0          0         ",
        NOT_REACHED,
    ),
    differs(
        "201",
        "TCP  10.9.9.9:85                         1        1        0       40        0",
        "TCP 10.9.9.9:85 0 0 0 0 0",
        NOT_REACHED,
    ),
    differs(
        "201",
        "  -> 203.0.113.1:85                      1        1        0       40        0",
        "-> 203.0.113.1:85 0 0 0 0 0",
        NOT_REACHED,
    ),
    differs(
        "201",
        "TCP  10.9.9.9:86                         1        1        1       40       68",
        "TCP 10.9.9.9:86 0 0 0 0 0",
        NOT_REACHED,
    ),
    differs(
        "201",
        "  -> 203.0.113.1:86                      1        1        1       40       68",
        "-> 203.0.113.1:86 0 0 0 0 0",
        NOT_REACHED,
    ),
];

/// For the replay.
pub(crate) const KNOWLEDGE: Knowledge = Knowledge {
    scripts: SCRIPTS,
    differences: DIFFERENCES,
};
