//! Clients that come again from a port whose last connection a real server still has, in TIME_WAIT or
//! open, and its director not: a cookie takes its place as a SYN would.

use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::ForwardingMethod;
use anyhow::{Result, ensure};
use testbed::accounts::balanced;
use testbed::agent::Agent;
use testbed::comeback::{Ending, PORT};
use testbed::director::Director;
use testbed::greeter::{self, Greeter};
use testbed::packet::{Mac, Packet, Segment, ethernet, flag, tcp};
use testbed::process::Signal;
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::Nginx;
use testbed::topology::HOST_SIDE;
use testbed::wait;

use crate::bed::{Bed, PATIENCE, Shape};

const HTTP: Family = Family::V4;

const HALF: &[u8] = b"GET / HTTP/1.1\r\n";
const WHOLE: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// The least that a connection has to be quiet for, in seconds.
const MSL: u64 = 1;

const DR: Shape = Shape {
    method: ForwardingMethod::Dr,
    ..Shape::NAT
};

#[test]
fn by_nat() -> Result<()> {
    is_served_again(Shape::NAT, Ending::Server)
}

#[test]
fn by_dr() -> Result<()> {
    is_served_again(DR, Ending::Server)
}

#[test]
fn in_tunnels() -> Result<()> {
    is_served_again(Shape::TUN, Ending::Server)
}

#[test]
fn where_the_old_connection_is_open_by_nat() -> Result<()> {
    is_served_again(Shape::NAT, Ending::Nobody)
}

#[test]
fn where_the_old_connection_is_open_by_dr() -> Result<()> {
    is_served_again(DR, Ending::Nobody)
}

#[test]
fn where_the_old_connection_is_open_in_tunnels() -> Result<()> {
    is_served_again(Shape::TUN, Ending::Nobody)
}

fn is_served_again(shape: Shape, ending: Ending) -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let mut bed = Bed::build(shape)?;
    await_agents(&bed)?;
    let left = bed.comeback().leave(ending)?;
    forget(&mut bed)?;
    bed.comeback().is_taken_for_new(&left)?;
    ensure!(bed.syns()? == 0, "{} SYNs", bed.syns()?);
    balanced(&bed.director)
}

/// Where the director hears one half, `tcpfin` is how long it remembers: less than the real server waits.
#[test]
fn by_dr_when_the_director_has_forgotten_by_itself() -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let bed = Bed::build_with(DR, |configuration| configuration.timeout("tcpfin", 2))?;
    await_agents(&bed)?;
    let left = bed.comeback().leave(Ending::Server)?;
    for family in Family::BOTH {
        wait::until("the director to forget", PATIENCE, || {
            let held = bed.director.api().connections(family.http_service())?;
            ensure!(held.is_empty(), "{held:?}");
            Ok(())
        })?;
    }
    bed.comeback().is_taken_for_new(&left)?;
    balanced(&bed.director)
}

/// Nothing but its ACK brings the cookie, and that comes once.
#[test]
fn who_waits_to_be_greeted_is_greeted_by_nat() -> Result<()> {
    is_greeted_again(Shape::NAT)
}

#[test]
fn who_waits_to_be_greeted_is_greeted_by_dr() -> Result<()> {
    is_greeted_again(DR)
}

fn is_greeted_again(shape: Shape) -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let mut bed = Bed::build(shape)?;
    await_agents(&bed)?;
    let left = bed.comeback().leave(Ending::Server)?;
    let _greeters = greet_instead(&mut bed, shape)?;
    forget(&mut bed)?;
    for family in Family::BOTH {
        bed.comeback().lead_back(family, &left)?;
        let said = greeter::visit_from(PORT, &bed.topology.client, family.http())?;
        ensure!(said == "220 ready QUIT", "{family:?}: {said}");
    }
    balanced(&bed.director)
}

fn await_agents(bed: &Bed) -> Result<()> {
    let mut families = Family::BOTH.into_iter();
    families.try_for_each(|family| bed.await_cookies(family, 3, true))
}

/// Has another director go on, which knows of no connection.
fn forget(bed: &mut Bed) -> Result<()> {
    bed.director.end_by(Signal::Kill)?;
    bed.director = Director::start(&bed.topology.director, &bed.configuration)?;
    await_agents(bed)
}

/// What has opened a connection comes late, when that is over, or with another number, for which it is no
/// cookie: the real server speaks of the old one, and goes on waiting.
#[test]
fn what_is_late_or_no_cookie_ends_no_connection() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(Shape::NAT)?;
    await_agents(&bed)?;
    let stranger = Stranger::before(&bed)?;
    let (opening, closing) = stranger.visit()?;
    let other = Segment {
        sequence: closing.sequence + 1000,
        ..opening
    };
    for segment in [opening, other, opening] {
        let told = stranger.ask("ACK", segment, flag::ACK)?;
        let next = closing.sequence + 1;
        ensure!(number_at(&told, 8) == next, "{segment:?}: {told:?}");
    }
    let counts = (welcomes(&bed, "welcomed")?, welcomes(&bed, "recycled")?);
    ensure!(counts == (1, 0), "{counts:?}");
    Ok(())
}

/// While somebody speaks on it, a number before those of an open connection may be of what is late.
#[test]
fn an_open_connection_gives_way_to_later_numbers() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bed = Bed::build(Shape::NAT)?;
    await_agents(&bed)?;
    lead_to_the_first(&bed)?;
    let stranger = Stranger::before(&bed)?;
    let open = stranger.greeted(500_000, HALF)?;
    let next = open.sequence + HALF.len() as u32;
    let told = stranger.ask("ACK", open, flag::ACK)?;
    ensure!(number_at(&told, 8) == next, "{told:?}");

    forget(&mut bed)?;
    lead_to_the_first(&bed)?;
    let early = stranger.greeted(1000, WHOLE)?;
    let server = Tap::open(&bed.topology.reals[0].namespace, HOST_SIDE)?;
    server.expect_answer(
        "early word",
        || stranger.say(early),
        |packet| packet.payload.ends_with(WHOLE),
    )?;

    forget(&mut bed)?;
    lead_to_the_first(&bed)?;
    let late = stranger.greeted(900_000, WHOLE)?;
    stranger.ask("FIN", late, flag::FIN | flag::ACK)?;
    ensure!(
        welcomes(&bed, "recycled")? == 1,
        "by another than the late one"
    );
    Ok(())
}

/// Of a connection that nobody has spoken on for longer than a segment is under way, nothing is late.
#[test]
fn a_quiet_connection_gives_way_to_any_numbers() -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let mut bed = Bed::build(Shape {
        msl: MSL,
        ..Shape::NAT
    })?;
    let _greeters = greet_instead(&mut bed, Shape::NAT)?;
    await_agents(&bed)?;
    lead_to_the_first(&bed)?;
    let stranger = Stranger::before(&bed)?;
    let open = stranger.greeted(500_000, b"")?;
    let told = stranger.ask("greeting", open, flag::ACK)?;
    let heard = Segment {
        acknowledgement: open.acknowledgement + word(&told).len() as u32,
        ..open
    };
    stranger.say(heard)?;

    std::thread::sleep(Duration::from_secs(2 * MSL));
    forget(&mut bed)?;
    lead_to_the_first(&bed)?;
    let early = stranger.greeted(1000, b"")?;
    let told = stranger.ask("greeting", early, flag::ACK)?;
    ensure!(number_at(&told, 4) == early.acknowledgement, "{told:?}");
    ensure!(welcomes(&bed, "recycled")? == 1);
    Ok(())
}

fn lead_to_the_first(bed: &Bed) -> Result<()> {
    bed.comeback().lead_to(HTTP, &bed.topology.reals[0].name)
}

/// Has servers that speak first take the place of those of the web.
fn greet_instead(bed: &mut Bed, shape: Shape) -> Result<Vec<Greeter>> {
    bed.web.iter_mut().try_for_each(Nginx::kill)?;
    let reals = bed.topology.reals.iter();
    let greeters = reals.map(|real| Greeter::start(&real.namespace, shape.port()));
    greeters.collect()
}

/// What all agents together have counted of segments that found a listener, or an old connection.
fn welcomes(bed: &Bed, name: &str) -> Result<u64> {
    let welcomes = bed.agents.iter().map(Agent::welcomes);
    welcomes.map(|counts| Ok(counts?[name])).sum()
}

/// A client without a kernel, which would reset what it does not know.
struct Stranger {
    tap: Tap,
    address: SocketAddr,
}

impl Stranger {
    fn before(bed: &Bed) -> Result<Self> {
        (bed.topology.director).ip("route add 172.16.0.0/12 via 10.0.1.1\n")?;
        Ok(Self {
            tap: Tap::open(&bed.topology.client, HOST_SIDE)?,
            address: "172.16.9.9:4000".parse()?,
        })
    }

    /// Has a connection that the server ends: what has opened and closed it.
    fn visit(&self) -> Result<(Segment<'static>, Segment<'static>)> {
        let opening = self.greeted(1000, WHOLE)?;
        let end = self.ask("FIN", opening, flag::FIN | flag::ACK)?;
        let closing = Segment {
            flags: flag::FIN | flag::ACK,
            sequence: opening.sequence + opening.payload.len() as u32,
            acknowledgement: number_at(&end, 4).wrapping_add(word(&end).len() as u32 + 1),
            payload: b"",
        };
        self.ask("ACK", closing, flag::ACK)?;
        Ok((opening, closing))
    }

    /// What brings back the cookie that its SYN is answered with, and says the first word.
    fn greeted(&self, number: u32, word: &'static [u8]) -> Result<Segment<'static>> {
        let syn = Segment {
            flags: flag::SYN,
            sequence: number,
            ..Segment::default()
        };
        let answer = self.ask("SYN+ACK", syn, flag::SYN | flag::ACK)?;
        Ok(Segment {
            flags: flag::ACK,
            sequence: number + 1,
            acknowledgement: number_at(&answer, 4).wrapping_add(1),
            payload: word,
        })
    }

    fn say(&self, segment: Segment<'_>) -> Result<()> {
        let packet = tcp(self.address, HTTP.http(), segment);
        let frame = ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &packet);
        self.tap.send(&frame)
    }

    /// The first answer with these flags, a push aside.
    fn ask(&self, what: &str, segment: Segment<'_>, flags: u8) -> Result<Packet> {
        let answers = |packet: &Packet| {
            packet.sockets() == Some((HTTP.http(), self.address))
                && packet.payload[13] & !flag::PSH == flags
        };
        self.tap.expect_answer(what, || self.say(segment), answers)
    }
}

/// What is said behind a TCP header.
fn word(packet: &Packet) -> &[u8] {
    &packet.payload[usize::from(packet.payload[12] >> 4) * 4..]
}

/// A number of a TCP header.
fn number_at(packet: &Packet, at: usize) -> u32 {
    u32::from_be_bytes(std::array::from_fn(|index| packet.payload[at + index]))
}
