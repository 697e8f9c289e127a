//! Cookies as the gate makes and checks them (C, in the kernel) held against the director's (Rust):
//! the same frames, byte for byte, and the same verdicts.

use std::net::{IpAddr, SocketAddr};

use director::cookie::{Abilities, Key, Proof, Recipe};
use director::gate::{GateCounters, Roles, Trial, Verdict};
use director::wire::tcp::Segment as Read;
use director::wire::{Endpoint, Mac, Packet, Protocol, Tuple, parse};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testbed::packet::{ethernet, flag, ip, protocol, transport_checksum};
use testbed::{packet, require};

const ROUNDS: usize = 2000;
const SERVICE: u16 = 7;
/// Its place among the counters is another number.
const SLOT: u16 = 5;
const MACS: [packet::Mac; 2] = [packet::Mac::of_host(1, 1), packet::Mac::of_host(1, 254)];

/// A TCP segment with options, in a frame to the director.
#[derive(Clone, Debug)]
struct Segment {
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    acknowledgement: u32,
    flags: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Segment {
    fn frame(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let mut bytes = Vec::new();
        for port in [self.from.port(), self.to.port()] {
            bytes.extend(port.to_be_bytes());
        }
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgement.to_be_bytes());
        bytes.extend([(5 + options.len() as u8 / 4) << 4, self.flags]);
        bytes.extend([0xfa, 0xf0, 0, 0, 0, 0]);
        bytes.extend(options);
        bytes.extend(&self.payload);
        let (source, destination) = (self.from.ip(), self.to.ip());
        let sum = transport_checksum(source, destination, protocol::TCP, &bytes);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        let [client, director] = MACS;
        let datagram = ip(source, destination, protocol::TCP, &bytes);
        ethernet(client, director, &datagram)
    }
}

/// Options of a SYN in some order, some of them cut short or unknown.
fn options(rng: &mut StdRng) -> Vec<u8> {
    let mut options = Vec::new();
    for _ in 0..rng.random_range(0..6) {
        let option = match rng.random_range(0..7) {
            0 => [&[2, 4][..], &rng.random::<[u8; 2]>()].concat(),
            1 => vec![3, 3, rng.random_range(0..20)],
            2 => vec![4, 2],
            3 => [&[8, 10][..], &rng.random::<[u8; 8]>()].concat(),
            4 => vec![1],
            5 => vec![rng.random_range(20..255), 4, 0, 0],
            _ => vec![rng.random_range(2..9), rng.random_range(0..12)],
        };
        if options.len() + option.len() <= 40 {
            options.extend(option);
        }
    }
    options
}

fn syn(rng: &mut StdRng, to: SocketAddr) -> Segment {
    let from: IpAddr = match to.ip() {
        IpAddr::V4(_) => [10, rng.random(), rng.random(), rng.random()].into(),
        IpAddr::V6(_) => [0x2001, 0xdb8, 0, 0, rng.random(), 0, 0, rng.random()].into(),
    };
    Segment {
        from: SocketAddr::new(from, rng.random_range(1..=u16::MAX)),
        to,
        sequence: rng.random(),
        acknowledgement: rng.random(),
        flags: flag::SYN | if rng.random() { 0xc0 } else { 0 },
        options: options(rng),
        payload: vec![0; rng.random_range(0..20)],
    }
}

fn recipe(rng: &mut StdRng) -> Recipe {
    Recipe {
        slot: SLOT,
        service: SERVICE,
        keys: [Some(Key(rng.random())), Some(Key(rng.random()))],
        parity: rng.random_range(0..2),
        mints: true,
        resets: false,
        mss: rng.random_range(500..1460),
        abilities: Abilities {
            sack: rng.random(),
            scale: rng.random(),
            timestamps: rng.random(),
            ecn: rng.random(),
        },
        lenient: false,
        splices: rng.random(),
        shared: false,
    }
}

fn trial(vip: SocketAddr) -> Trial {
    let trial = Trial::new(1000).unwrap();
    trial.set_station(Mac(MACS[1].0)).unwrap();
    let endpoint = Endpoint::from(vip);
    trial
        .endpoints()
        .set_roles(Protocol::Tcp, endpoint, Roles::SERVICE)
        .unwrap();
    trial
}

/// What the director makes of a SYN.
fn answer(recipe: &Recipe, frame: &[u8]) -> Vec<u8> {
    let Ok(Packet::Transport(packet)) = parse(frame) else {
        panic!("{frame:x?}");
    };
    let mut buffer = frame.to_vec();
    buffer.resize(1600, 0);
    let length = recipe.answer(&mut buffer, &packet).unwrap();
    buffer.truncate(length);
    buffer
}

/// Ethernet's shortest frame, without its checksum.
const SHORTEST: usize = 60;

/// The gate fills a frame up to the shortest one, with what was there before.
fn assert_same(made: &[u8], expected: &[u8], syn: &Segment) {
    assert_eq!(made.len(), expected.len().max(SHORTEST), "{syn:?}");
    assert_eq!(&made[..expected.len()], expected, "{syn:?}");
}

/// What the director finds in a segment.
fn proof(recipe: &Recipe, frame: &[u8]) -> Option<Proof> {
    let Ok(Packet::Transport(packet)) = parse(frame) else {
        panic!("{frame:x?}");
    };
    let bytes = packet.layout.segment(frame);
    recipe.verify(packet.tuple.src, &Read::parse(bytes).unwrap(), bytes)
}

/// The ACK of a client that has taken the SYN+ACK `frame`.
fn acknowledge(syn: &Segment, frame: &[u8], rng: &mut StdRng) -> Segment {
    let Ok(Packet::Transport(packet)) = parse(frame) else {
        panic!("{frame:x?}");
    };
    let said = Read::parse(packet.layout.segment(frame)).unwrap();
    let clock = frame
        .windows(2)
        .skip(packet.layout.transport.into())
        .position(|pair| pair == [8, 10]);
    let echo = clock.map(|at| &frame[usize::from(packet.layout.transport) + at + 2..][..4]);
    let options = echo.map_or_else(Vec::new, |echo| {
        let value: [u8; 4] = rng.random();
        [&[1, 1, 8, 10][..], &value, echo].concat()
    });
    Segment {
        sequence: said.ack,
        acknowledgement: said.seq.wrapping_add(1),
        flags: flag::ACK,
        options,
        payload: vec![0; rng.random_range(0..9)],
        ..syn.clone()
    }
}

/// The same with a bit wrong somewhere that counts.
fn forge(ack: &Segment, rng: &mut StdRng) -> Segment {
    let mut forged = ack.clone();
    match rng.random_range(0..5) {
        0 => forged.acknowledgement ^= 1 << rng.random_range(0..32),
        1 => forged.sequence ^= 1 << rng.random_range(0..32),
        2 => forged
            .from
            .set_port(forged.from.port() ^ 1 << rng.random_range(0..15)),
        3 if !forged.options.is_empty() => {
            forged.options[8 + rng.random_range(0..4)] ^= 1 << rng.random_range(0..8);
        }
        _ => forged.acknowledgement = rng.random(),
    }
    forged
}

fn dropped(counters: &GateCounters, reason: &str) -> u64 {
    let mut found = counters.dropped();
    found
        .find(|(name, _)| *name == reason)
        .map_or(0, |(_, n)| n)
}

fn vips() -> [SocketAddr; 2] {
    ["10.9.9.9:80", "[fd00:9::9]:443"].map(|vip| vip.parse().unwrap())
}

#[test]
fn the_gate_and_the_director_make_the_same_cookies_and_believe_the_same() {
    if !require::programs(&[]) {
        return;
    }
    for vip in vips() {
        let trial = trial(vip);
        let mut rng = StdRng::seed_from_u64(8);
        for _ in 0..ROUNDS {
            let recipe = recipe(&mut rng);
            trial
                .endpoints()
                .set_recipe(vip.into(), Some(&recipe))
                .unwrap();
            let syn = syn(&mut rng, vip);
            let (verdict, made) = trial.put(&syn.frame()).unwrap();
            assert_eq!(verdict, Verdict::Answer, "{syn:?}");
            let answer = answer(&recipe, &syn.frame());
            assert_same(&made, &answer, &syn);

            let ack = acknowledge(&syn, &answer, &mut rng);
            assert!(proof(&recipe, &ack.frame()).is_some(), "{ack:?}");
            for said in [ack.clone(), forge(&ack, &mut rng)] {
                let before = trial.cookie_counts(SLOT).unwrap();
                let (verdict, _) = trial.put(&said.frame()).unwrap();
                let after = trial.cookie_counts(SLOT).unwrap();
                let believed = proof(&recipe, &said.frame()).is_some();
                let expected = match believed {
                    true => Verdict::Redirect,
                    false => Verdict::Drop,
                };
                assert_eq!(verdict, expected, "{said:?}");
                let counted = (
                    after.accepted - before.accepted,
                    after.refused - before.refused,
                );
                let expected = if believed { (1, 0) } else { (0, 1) };
                assert_eq!(counted, expected, "{said:?}");
            }
        }
        let (counts, gate) = (
            trial.cookie_counts(SLOT).unwrap(),
            trial.counters().unwrap(),
        );
        assert_eq!(counts.sent, ROUNDS as u64);
        assert_eq!(gate.answered, counts.sent);
        assert_eq!(dropped(&gate, "bad_cookie"), counts.refused);
        assert_eq!(gate.redirected, counts.accepted);
        assert!(counts.refused > ROUNDS as u64 / 2, "{counts:?}");
    }
}

/// A flood with such sources costs no worker anything. Who is hidden by a translator (RFC 6052) is a
/// host.
#[test]
fn a_syn_from_no_host_ends_at_the_gate() {
    const HOSTS: [&str; 3] = ["10.0.0.1", "64:ff9b::a00:1", "::2"];
    const NOBODY: [&str; 8] = [
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "ff02::1",
        "::ffff:10.0.0.1",
    ];
    if !require::programs(&[]) {
        return;
    }
    let [v4, v6] = vips();
    let mut rng = StdRng::seed_from_u64(13);
    let cookies = recipe(&mut rng);
    let resets = Recipe {
        mints: false,
        resets: true,
        ..cookies.clone()
    };
    for recipe in [cookies, resets] {
        let all = HOSTS.map(|host| (host, Verdict::Answer));
        let all = all.into_iter();
        for (from, expected) in all.chain(NOBODY.map(|nobody| (nobody, Verdict::Drop))) {
            let from: IpAddr = from.parse().unwrap();
            let vip = if from.is_ipv4() { v4 } else { v6 };
            let trial = trial(vip);
            trial
                .endpoints()
                .set_recipe(vip.into(), Some(&recipe))
                .unwrap();
            let mut syn = syn(&mut rng, vip);
            syn.from.set_ip(from);
            assert_eq!(trial.put(&syn.frame()).unwrap().0, expected, "{from}");
            let gate = trial.counters().unwrap();
            let told = (gate.answered, dropped(&gate, "bad_cookie"));
            let answers = u64::from(expected == Verdict::Answer);
            assert_eq!(told, (answers, 1 - answers), "{from}");
        }
    }
}

#[test]
fn who_may_have_a_connection_is_left_to_the_director() {
    if !require::programs(&[]) {
        return;
    }
    for vip in vips() {
        let trial = trial(vip);
        let mut rng = StdRng::seed_from_u64(9);
        let mut recipe = recipe(&mut rng);
        trial
            .endpoints()
            .set_recipe(vip.into(), Some(&recipe))
            .unwrap();
        let syn = syn(&mut rng, vip);
        let frame = syn.frame();
        let Ok(Packet::Transport(packet)) = parse(&frame) else {
            panic!("{frame:x?}");
        };
        let fin = Segment {
            flags: flag::FIN | flag::ACK,
            ..syn.clone()
        };
        let goes_on = |frame: &[u8]| trial.put(frame).unwrap().0 == Verdict::Redirect;
        assert!(!goes_on(&frame) && !goes_on(&fin.frame()));
        trial.roll().enter(&packet.tuple);
        assert!(goes_on(&frame) && goes_on(&fin.frame()));
        trial.roll().leave(&packet.tuple);
        assert!(!goes_on(&frame) && !goes_on(&fin.frame()));
        recipe.mints = false;
        trial
            .endpoints()
            .set_recipe(vip.into(), Some(&recipe))
            .unwrap();
        assert!(goes_on(&frame) && goes_on(&fin.frame()), "at peace");
    }
}

/// The SYN of a client whose answer is to be reset, and the number that it was given.
fn baited(trial: &Trial, recipe: &Recipe, rng: &mut StdRng, vip: SocketAddr) -> (Segment, u32) {
    let syn = syn(rng, vip);
    let (verdict, made) = trial.put(&syn.frame()).unwrap();
    assert_eq!(verdict, Verdict::Answer, "{syn:?}");
    assert_same(&made, &answer(recipe, &syn.frame()), &syn);
    let Ok(Packet::Transport(packet)) = parse(&made) else {
        panic!("{made:x?}");
    };
    let said = Read::parse(packet.layout.segment(&made)).unwrap();
    (syn, said.ack)
}

fn tuple(segment: &Segment) -> Tuple {
    Tuple {
        protocol: Protocol::Tcp,
        src: segment.from.into(),
        dst: segment.to.into(),
    }
}

#[test]
fn the_gate_and_the_director_have_the_same_numbers_reset_and_believe_the_same() {
    if !require::programs(&[]) {
        return;
    }
    for vip in vips() {
        let trial = trial(vip);
        let mut rng = StdRng::seed_from_u64(10);
        // How many SYNs were answered, segments refused, RSTs heard, and packets let by.
        let counted = || {
            let (cookies, gate) = (
                trial.cookie_counts(SLOT).unwrap(),
                trial.counters().unwrap(),
            );
            assert_eq!(gate.answered, cookies.sent);
            assert_eq!(dropped(&gate, "bad_cookie"), cookies.refused);
            let heard = dropped(&gate, "reset_heard");
            [cookies.sent, cookies.refused, heard, gate.redirected]
        };
        let mut expected = [0; 4];
        for round in 0..ROUNDS {
            let recipe = Recipe {
                mints: false,
                resets: true,
                ..recipe(&mut rng)
            };
            trial
                .endpoints()
                .set_recipe(vip.into(), Some(&recipe))
                .unwrap();
            let (syn, bait) = baited(&trial, &recipe, &mut rng, vip);
            let client = Endpoint::from(syn.from);
            assert!(recipe.is_shown_by(bait, client, syn.sequence));
            let reset = |sequence| Segment {
                flags: flag::RST,
                sequence,
                options: Vec::new(),
                payload: Vec::new(),
                ..syn.clone()
            };

            let forged = reset(bait ^ 1 << rng.random_range(1..16));
            trial.put(&forged.frame()).unwrap();
            assert_eq!(trial.resets().last(&tuple(&syn)), None, "{round}");
            trial.put(&syn.frame()).unwrap();

            match round % 3 {
                // A worker has heard it.
                0 => trial.resets().note(&tuple(&syn), bait),
                _ => {
                    trial.put(&reset(bait).frame()).unwrap();
                    expected[2] += 1;
                }
            }
            assert_eq!(trial.resets().last(&tuple(&syn)), Some(bait));
            trial.put(&syn.frame()).unwrap();
            let other = Segment {
                sequence: bait.wrapping_sub(rng.random_range(1..1 << 31)),
                ..syn.clone()
            };
            trial.put(&other.frame()).unwrap();
            expected = [
                expected[0] + 3,
                expected[1] + 1,
                expected[2],
                expected[3] + 1,
            ];
            assert_eq!(counted(), expected, "{syn:?}");
        }
    }
}

#[test]
fn who_has_reset_goes_on_until_the_key_is_retired() {
    if !require::programs(&[]) {
        return;
    }
    let [vip, _] = vips();
    let trial = trial(vip);
    let mut rng = StdRng::seed_from_u64(11);
    let mut recipe = Recipe {
        mints: false,
        resets: true,
        ..recipe(&mut rng)
    };
    trial
        .endpoints()
        .set_recipe(vip.into(), Some(&recipe))
        .unwrap();
    let (syn, bait) = baited(&trial, &recipe, &mut rng, vip);
    trial.resets().note(&tuple(&syn), bait);
    let old = usize::from(recipe.parity);
    let verdict = || trial.put(&syn.frame()).unwrap().0;
    assert_eq!(verdict(), Verdict::Redirect);
    recipe.parity = 1 - recipe.parity;
    trial
        .endpoints()
        .set_recipe(vip.into(), Some(&recipe))
        .unwrap();
    assert_eq!(verdict(), Verdict::Redirect, "it is the older key");
    recipe.keys[old] = Some(Key(rng.random()));
    trial
        .endpoints()
        .set_recipe(vip.into(), Some(&recipe))
        .unwrap();
    assert_eq!(verdict(), Verdict::Answer);
}

/// What a client says next would be lost: it is to send its SYN again instead.
#[test]
fn nobody_is_answered_while_nobody_reads() {
    if !require::programs(&[]) {
        return;
    }
    let [vip, _] = vips();
    let mut rng = StdRng::seed_from_u64(12);
    let cookies = recipe(&mut rng);
    let resets = Recipe {
        mints: false,
        resets: true,
        ..cookies.clone()
    };
    for recipe in [cookies, resets] {
        let mut trial = trial(vip);
        trial
            .endpoints()
            .set_recipe(vip.into(), Some(&recipe))
            .unwrap();
        let syn = syn(&mut rng, vip);
        assert_eq!(trial.put(&syn.frame()).unwrap().0, Verdict::Answer);
        trial.end_reader();
        assert_eq!(trial.put(&syn.frame()).unwrap().0, Verdict::Drop);
        assert_eq!(dropped(&trial.counters().unwrap(), "no_socket"), 1);
        assert_eq!(trial.cookie_counts(SLOT).unwrap().sent, 1);
    }
}
