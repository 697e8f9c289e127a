//! What listings show.

use std::future::Future;
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use adminapi::model::{
    Connection, ForwardingMethod, Protocol, Rates, RealView, Scheduler, SchedulerFlags, ServiceId,
    ServiceView, Traffic,
};

use super::memory::MemoryDirector;
use super::transcripts::replay;
use super::{bulwark, ipvsadm};

fn traffic(values: [u64; 5]) -> Traffic {
    let [connections, in_packets, out_packets, in_bytes, out_bytes] = values;
    Traffic {
        connections,
        in_packets,
        out_packets,
        in_bytes,
        out_bytes,
    }
}

fn connection(protocol: Protocol, ends: [&str; 3], state: &str, expires: u32) -> Connection {
    let [client, vip, real] = ends.map(|end| end.parse().unwrap());
    Connection {
        service: ServiceId::at(protocol, vip),
        protocol: Some(protocol),
        template: false,
        client,
        vip,
        real,
        local: None,
        state: state.to_owned(),
        expires,
        forwarded: None,
        engine: None,
        engine_data: None,
    }
}

#[test]
fn counters_and_connections_are_listed_as_ipvsadm_does() {
    let director = MemoryDirector {
        connections: vec![
            connection(
                Protocol::Tcp,
                ["203.0.113.9:51514", "192.0.2.10:80", "10.0.0.11:8080"],
                "ESTABLISHED",
                14 * 60 + 57,
            ),
            connection(
                Protocol::Udp,
                ["203.0.113.9:5353", "192.0.2.53:53", "10.0.0.53:53"],
                "UDP",
                4 * 60 + 12,
            ),
            connection(
                Protocol::Tcp,
                [
                    "[2001:db8:ffff::9]:51514",
                    "[2001:db8::1]:80",
                    "[2001:db8:0:1::11]:80",
                ],
                "SYN_RECV",
                43,
            ),
            connection(
                Protocol::Tcp,
                ["172.16.123.123:65535", "192.0.2.10:80", "10.0.0.11:80"],
                "ESTABLISHED",
                2_678_400,
            ),
        ],
        ..MemoryDirector::default()
    };
    director.services.borrow_mut().push(ServiceView {
        id: "tcp:192.0.2.10:80".parse().unwrap(),
        naming: Default::default(),
        scheduler: Scheduler::Wlc,
        scheduler_flags: SchedulerFlags::NONE,
        persistence: None,
        engine: None,
        one_packet: false,
        health: None,
        condition: None,
        sorry: None,
        cookies: Default::default(),
        udp_repeats: None,
        helper: Default::default(),
        stats: traffic([
            123_456_789,
            9_876_543_210,
            99_999_999,
            1_234_567_890_123,
            987_654_321_098_765,
        ]),
        rates: Rates {
            connections: 1200,
            in_packets: 250_000_000,
            out_packets: 249_000,
            in_bytes: 160_000_000,
            out_bytes: 1_500_000_000,
        },
        drops: Default::default(),
        reals: vec![RealView {
            address: [10, 0, 0, 11].into(),
            port: 8080,
            weight: 1,
            method: ForwardingMethod::Nat,
            tun: None,
            upper: 0,
            lower: 0,
            overloaded: false,
            active: 12,
            inactive: 340,
            check: None,
            condition: None,
            draining: None,
            persistent: 0,
            local_ports: None,
            stats: traffic([61_728_394, 4_938_271_605, 0, 617_283_945_061, 0]),
            rates: Rates::default(),
            drops: Default::default(),
        }],
    });
    replay(include_str!("../cases/counters.case"), &director);
}

#[test]
fn json_holds_what_the_tables_hold() {
    let director = MemoryDirector {
        connections: vec![
            connection(
                Protocol::Tcp,
                ["203.0.113.9:51514", "192.0.2.10:80", "10.0.0.11:8080"],
                "ESTABLISHED",
                5,
            );
            3
        ],
        ..MemoryDirector::default()
    };
    for line in [
        "-A -t 192.0.2.10:80",
        "-a -t 192.0.2.10:80 -r 10.0.0.1:80 -m",
    ] {
        assert_eq!(bulwark(&director, line).status, 0);
    }
    let listed: Vec<ServiceView> =
        serde_json::from_str(&bulwark(&director, "-Ln --json").out).unwrap();
    assert_eq!(listed, *director.services.borrow());
    let listed: Vec<Connection> =
        serde_json::from_str(&bulwark(&director, "--json -Lc").out).unwrap();
    assert_eq!(listed, director.connections);
    let timeouts = bulwark(&director, "-L --timeout --json").out;
    let timeouts: serde_json::Value = serde_json::from_str(&timeouts).unwrap();
    assert_eq!(
        timeouts,
        serde_json::json!({"tcp": 900, "tcpfin": 120, "udp": 300})
    );
    let none = bulwark(&MemoryDirector::default(), "-Lc --json").out;
    assert_eq!(none, "[]\n");
}

/// What `bulwark proc` prints.
fn proc_text(director: &MemoryDirector, file: crate::ipvsadm::proc::File) -> String {
    let future = pin!(crate::ipvsadm::proc::text(file, &director));
    match future.poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(text) => text.unwrap(),
        Poll::Pending => panic!("the director in memory never waits"),
    }
}

#[test]
fn the_files_of_proc_read_as_the_kernel_writes_them() {
    use crate::ipvsadm::proc::File;
    let director = MemoryDirector {
        connections: vec![connection(
            Protocol::Tcp,
            ["203.0.113.9:51514", "192.0.2.10:80", "10.0.0.11:8080"],
            "ESTABLISHED",
            897,
        )],
        ..MemoryDirector::default()
    };
    for line in [
        "-A -t 192.0.2.10:80 -s rr",
        "-a -t 192.0.2.10:80 -r 10.0.0.11:80 -m -w 5",
        "-a -t 192.0.2.10:80 -r 10.0.0.12:8080 -m",
        "-A -t [2001:db8::1]:80 -s rr",
        "-a -t [2001:db8::1]:80 -r [2001:db8:0:1::11]:80 -g",
        "-A -f 7 -s rr",
    ] {
        assert_eq!(ipvsadm(&director, line).status, 0, "{line}");
    }
    assert_eq!(
        proc_text(&director, File::Services),
        "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C000020A:0050 rr  
  -> 0A00000C:1F90      Masq    1      0          0         
  -> 0A00000B:0050      Masq    5      0          0         
TCP  [2001:0db8:0000:0000:0000:0000:0000:0001]:0050 rr 
  -> [2001:0db8:0000:0001:0000:0000:0000:0011]:0050      Route   1      0          0         
FWM  00000007 rr 
"
    );
    assert_eq!(
        proc_text(&director, File::Connections),
        "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP CB007109 C93A C000020A 0050 0A00000B 1F90 ESTABLISHED     897
"
    );
    director.services.borrow_mut()[0].stats = traffic([255, 16, 0, 4096, 0]);
    assert_eq!(
        proc_text(&director, File::Stats),
        "   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
      FF       10        0             1000                0

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       0        0        0                0                0
"
    );
}
