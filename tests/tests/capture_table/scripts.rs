//! What the sentences of captures send, where that is not said in the words that
//! `testbed::oracle::script` knows.

/// Case, beginning of a sentence (or `$ ` and a command), what it sends.
pub(super) const SCRIPTS: &[(&str, &str, &str)] = &[
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
    (
        "207",
        "INVITEs: call-a",
        "sip 81 call-a@x 172.16.0.1:5060; sip 81 call-b@x 172.16.0.1:5060; \
         sip 81 call-a@x 172.16.0.2:5060; sip 81 call-c@x 172.16.0.3:5061; \
         sip 81 call-b@x 172.16.0.4:5060",
    ),
    ("207", "a datagram without Call-ID", "udp 5 172.16.0.5:5060"),
    (
        "207",
        "without -o, port 5061",
        "sip 81 call-d@x 172.16.0.1:5060; sip 81 call-e@x 172.16.0.1:5060; \
         sip 81 call-d@x 172.16.0.2:5060",
    ),
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
