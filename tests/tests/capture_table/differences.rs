//! Where the director differs from a capture on purpose.

use testbed::oracle::replay::{ABSENT, Difference};

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
pub(super) const DIFFERENCES: &[Difference] = &[
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
