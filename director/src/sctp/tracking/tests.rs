use super::super::ONE_WAY;
use super::*;
use Direction::{Original as C, Reply as S};

/// Tags that the client and the real server want.
const CLIENT: u32 = 100;
const SERVER: u32 = 200;

fn packet(event: Event, tag: u32) -> Packet {
    Packet {
        event,
        tag,
        is_reflected: false,
        initiate: 0,
    }
}

fn naming(event: Event, tag: u32, initiate: u32) -> Packet {
    Packet {
        initiate,
        ..packet(event, tag)
    }
}

fn reflected(event: Event, tag: u32) -> Packet {
    Packet {
        is_reflected: true,
        ..packet(event, tag)
    }
}

fn init(tag: u32) -> Packet {
    naming(Event::Init, 0, tag)
}

fn opened() -> Tracking {
    Tracking::opening(&init(CLIENT)).unwrap()
}

/// Judges packets one after the other; says the state after each, or what else was said.
fn run(tracking: &mut Tracking, packets: &[(Direction, Packet)]) -> Vec<&'static str> {
    packets
        .iter()
        .map(|(direction, packet)| said(tracking.judge(*direction, packet, &NORMAL)))
        .collect()
}

fn run_one_way(tracking: &mut Tracking, packets: &[Packet]) -> Vec<&'static str> {
    packets
        .iter()
        .map(|packet| said(tracking.judge_one_way(packet, &ONE_WAY)))
        .collect()
}

fn said(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Accept { to, .. } => to.name(),
        Judgement::Ignore => "ignored",
        Judgement::Invalid(_) => "dropped",
    }
}

fn established() -> Tracking {
    let mut tracking = opened();
    let handshake = [
        (S, naming(Event::InitAck, CLIENT, SERVER)),
        (C, packet(Event::CookieEcho, SERVER)),
        (S, packet(Event::CookieAck, CLIENT)),
    ];
    let states = run(&mut tracking, &handshake);
    assert_eq!(states, ["C-SENT", "C-REPLIED", "ESTABLISHED"]);
    tracking
}

#[test]
fn an_association_is_shut_down_by_either_end() {
    let shutdown = |first: Direction| {
        let tag = |way| if way == C { SERVER } else { CLIENT };
        let second = first.reversed();
        run(
            &mut established(),
            &[
                (first, packet(Event::Data, tag(first))),
                (first, packet(Event::Shutdown, tag(first))),
                (second, packet(Event::ShutdownAck, tag(second))),
                (first, packet(Event::ShutdownComplete, tag(first))),
                (C, init(CLIENT)),
            ],
        )
    };
    let by_client = ["ESTABLISHED", "S-RECEIVED", "S-ACK-SENT", "CLOSED", "INIT"];
    assert_eq!(shutdown(C), by_client);
    let by_server = ["ESTABLISHED", "S-SENT", "CLOSED", "CLOSED", "INIT"];
    assert_eq!(shutdown(S), by_server);
}

#[test]
fn who_does_not_know_the_tag_moves_nothing() {
    let mut tracking = established();
    let before = tracking;
    for event in [
        Event::Abort,
        Event::ShutdownComplete,
        Event::Shutdown,
        Event::Data,
    ] {
        for (way, tag) in [(C, CLIENT), (C, 7), (C, 0), (S, SERVER), (S, 7), (S, 0)] {
            assert_eq!(
                run(&mut tracking, &[(way, packet(event, tag))]),
                ["dropped"]
            );
        }
    }
    for way in [C, S] {
        assert_eq!(
            run(&mut tracking, &[(way, naming(Event::Init, 7, 9))]),
            ["dropped"]
        );
        assert_eq!(
            run(&mut tracking, &[(way, naming(Event::InitAck, 7, 9))]),
            ["dropped"]
        );
    }
    assert_eq!(tracking, before);
}

#[test]
fn an_abort_with_the_right_tag_ends_it() {
    for (way, packet) in [
        (C, packet(Event::Abort, SERVER)),
        (C, reflected(Event::Abort, CLIENT)),
        (S, packet(Event::Abort, CLIENT)),
        (S, reflected(Event::Abort, SERVER)),
    ] {
        assert_eq!(run(&mut established(), &[(way, packet)]), ["CLOSED"]);
    }
    for (way, packet) in [
        (C, reflected(Event::Abort, SERVER)),
        (S, reflected(Event::Abort, CLIENT)),
    ] {
        assert_eq!(run(&mut established(), &[(way, packet)]), ["dropped"]);
    }
}

#[test]
fn a_refused_init_is_rejected_and_the_next_opens_anew() {
    let states = run(
        &mut opened(),
        &[
            (S, packet(Event::Abort, 7)),
            (S, packet(Event::Abort, CLIENT)),
            (C, init(CLIENT + 1)),
        ],
    );
    assert_eq!(states, ["dropped", "REJECTED", "INIT"]);
}

#[test]
fn nothing_is_established_before_the_real_server_has_said_so() {
    let mut tracking = opened();
    for tag in [0, CLIENT, SERVER] {
        let said = run(&mut tracking, &[(C, packet(Event::CookieEcho, tag))]);
        assert_eq!(said, ["ignored"]);
    }
    assert_eq!(tracking.state, State::Init1);
}

#[test]
fn the_last_two_init_acks_may_be_answered() {
    for answered in [SERVER, SERVER + 1] {
        let mut tracking = opened();
        let states = run(
            &mut tracking,
            &[
                (C, init(CLIENT)),
                (S, naming(Event::InitAck, CLIENT, SERVER)),
                (S, naming(Event::InitAck, CLIENT, SERVER + 1)),
                (C, packet(Event::CookieEcho, answered)),
                (S, packet(Event::CookieAck, CLIENT)),
                (C, packet(Event::Data, answered)),
                (C, packet(Event::Abort, answered ^ 1)),
            ],
        );
        let expected = [
            "INIT",
            "C-SENT",
            "C-SENT",
            "C-REPLIED",
            "ESTABLISHED",
            "ESTABLISHED",
        ];
        assert_eq!(states[..6], expected);
        assert_ne!(states[6], "CLOSED");
    }
}

#[test]
fn a_client_that_starts_anew_takes_over_when_the_real_server_agrees() {
    let mut tracking = established();
    let restart = [
        (C, init(CLIENT + 1)),
        (S, naming(Event::InitAck, CLIENT + 1, SERVER + 1)),
        (C, packet(Event::CookieEcho, SERVER + 1)),
        (S, packet(Event::CookieAck, CLIENT + 1)),
        (C, packet(Event::Data, SERVER + 1)),
        (S, packet(Event::Data, CLIENT + 1)),
        (C, packet(Event::Data, SERVER)),
    ];
    let states = run(&mut tracking, &restart);
    let expected = [
        "ignored",
        "ignored",
        "ignored",
        "ESTABLISHED",
        "ESTABLISHED",
        "ESTABLISHED",
        "dropped",
    ];
    assert_eq!(states, expected);
}

#[test]
fn a_forged_init_takes_nothing_over() {
    let mut tracking = established();
    let states = run(
        &mut tracking,
        &[
            (C, init(7)),
            (S, naming(Event::InitAck, 7, SERVER + 1)),
            (C, packet(Event::CookieEcho, 8)),
            (C, packet(Event::Data, SERVER)),
            (S, packet(Event::Data, CLIENT)),
        ],
    );
    let expected = [
        "ignored",
        "ignored",
        "dropped",
        "ESTABLISHED",
        "ESTABLISHED",
    ];
    assert_eq!(states, expected);
}

#[test]
fn one_way_believes_the_cookie_echo_and_leaves_strangers_to_the_real_server() {
    let mut tracking = opened();
    let states = run_one_way(
        &mut tracking,
        &[
            packet(Event::Abort, 7),
            init(CLIENT),
            packet(Event::CookieEcho, SERVER),
            packet(Event::Data, SERVER),
            packet(Event::Abort, 7),
            packet(Event::CookieEcho, 7),
            packet(Event::Shutdown, SERVER),
            packet(Event::ShutdownComplete, SERVER),
            init(CLIENT + 1),
        ],
    );
    let expected = [
        "ignored",
        "INIT",
        "ESTABLISHED",
        "ESTABLISHED",
        "ignored",
        "ignored",
        "S-RECEIVED",
        "CLOSED",
        "INIT",
    ];
    assert_eq!(states, expected);
}

#[test]
fn one_way_a_client_starts_anew_and_a_stranger_cannot_cut_it_off() {
    let mut tracking = established();
    let states = run_one_way(
        &mut tracking,
        &[
            init(CLIENT + 1),
            packet(Event::CookieEcho, SERVER + 1),
            packet(Event::Data, SERVER + 1),
            packet(Event::Abort, SERVER),
            packet(Event::Data, SERVER),
        ],
    );
    let expected = [
        "ignored",
        "ESTABLISHED",
        "ESTABLISHED",
        "ignored",
        "ESTABLISHED",
    ];
    assert_eq!(states, expected);
}

#[test]
fn what_is_taken_up_midway_learns_the_other_tag() {
    for (event, state) in [
        (Event::Data, "ESTABLISHED"),
        (Event::Shutdown, "S-RECEIVED"),
    ] {
        let mut tracking = Tracking::midway(&packet(event, SERVER)).unwrap();
        assert_eq!(tracking.state.name(), state);
        let states = run(
            &mut tracking,
            &[
                (S, packet(Event::Data, CLIENT)),
                (S, packet(Event::Abort, 7)),
                (S, packet(Event::Data, CLIENT)),
                (C, packet(Event::Data, SERVER)),
                (C, packet(Event::Abort, 7)),
            ],
        );
        assert_eq!(states, [state, "dropped", state, state, "dropped"]);
    }
    assert!(Tracking::midway(&packet(Event::Data, 0)).is_err());
}

#[test]
fn icmp_errors_quote_tags_that_are_under_way() {
    let fresh = opened();
    assert!(fresh.may_have_sent(C, 0) && !fresh.may_have_sent(C, 7));
    let tracking = established();
    assert!(tracking.may_have_sent(C, SERVER) && tracking.may_have_sent(S, CLIENT));
    assert!(!tracking.may_have_sent(C, CLIENT) && !tracking.may_have_sent(C, 0));
}
