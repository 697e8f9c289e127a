//! Clients that come again from a port whose last connection a real server still has in TIME_WAIT, and
//! its director not: a cookie takes its place as a SYN would.

use std::net::SocketAddr;

use adminapi::model::ForwardingMethod;
use anyhow::{Result, ensure};
use testbed::accounts::balanced;
use testbed::agent::Agent;
use testbed::comeback::PORT;
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

const DR: Shape = Shape {
    method: ForwardingMethod::Dr,
    ..Shape::NAT
};

#[test]
fn by_nat() -> Result<()> {
    is_served_again(Shape::NAT)
}

#[test]
fn by_dr() -> Result<()> {
    is_served_again(DR)
}

#[test]
fn in_tunnels() -> Result<()> {
    is_served_again(Shape::TUN)
}

fn is_served_again(shape: Shape) -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let mut bed = Bed::build(shape)?;
    await_agents(&bed)?;
    let waiting = bed.comeback().wait()?;
    forget(&mut bed)?;
    bed.comeback().is_taken_for_new(&waiting)?;
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
    let waiting = bed.comeback().wait()?;
    for family in Family::BOTH {
        wait::until("the director to forget", PATIENCE, || {
            let held = bed.director.api().connections(family.http_service())?;
            ensure!(held.is_empty(), "{held:?}");
            Ok(())
        })?;
    }
    bed.comeback().is_taken_for_new(&waiting)?;
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
    let waiting = bed.comeback().wait()?;
    bed.web.iter_mut().try_for_each(Nginx::kill)?;
    let reals = bed.topology.reals.iter();
    let greeters = reals.map(|real| Greeter::start(&real.namespace, shape.port()));
    let _greeters = greeters.collect::<Result<Vec<_>>>()?;
    forget(&mut bed)?;
    for family in Family::BOTH {
        bed.comeback().lead_back(family, &waiting)?;
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
    let director = &bed.topology.director;
    director.ip("route add 172.16.0.0/12 via 10.0.1.1\n")?;
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
    let welcomes = bed.agents.iter().map(Agent::welcomes);
    let welcomes = welcomes.collect::<Result<Vec<_>>>()?;
    let all = |name: &str| welcomes.iter().map(|counts| counts[name]).sum::<u64>();
    ensure!(all("welcomed") == 1 && all("recycled") == 0, "{welcomes:?}");
    Ok(())
}

/// A client without a kernel, which would reset what it does not know.
struct Stranger {
    tap: Tap,
    address: SocketAddr,
}

impl Stranger {
    fn before(bed: &Bed) -> Result<Self> {
        Ok(Self {
            tap: Tap::open(&bed.topology.client, HOST_SIDE)?,
            address: "172.16.9.9:4000".parse()?,
        })
    }

    /// Has a connection that the server ends: what has opened and closed it.
    fn visit(&self) -> Result<(Segment<'static>, Segment<'static>)> {
        let syn = Segment {
            flags: flag::SYN,
            sequence: 1000,
            ..Segment::default()
        };
        let answer = self.ask("SYN+ACK", syn, flag::SYN | flag::ACK)?;
        let opening = Segment {
            flags: flag::ACK,
            sequence: syn.sequence + 1,
            acknowledgement: number_at(&answer, 4).wrapping_add(1),
            payload: b"GET / HTTP/1.0\r\n\r\n",
        };
        let end = self.ask("FIN", opening, flag::FIN | flag::ACK)?;
        let data = end.payload.len() - usize::from(end.payload[12] >> 4) * 4;
        let closing = Segment {
            flags: flag::FIN | flag::ACK,
            sequence: opening.sequence + opening.payload.len() as u32,
            acknowledgement: number_at(&end, 4).wrapping_add(data as u32 + 1),
            payload: b"",
        };
        self.ask("ACK", closing, flag::ACK)?;
        Ok((opening, closing))
    }

    /// The first answer with these flags, a push aside.
    fn ask(&self, what: &str, segment: Segment<'_>, flags: u8) -> Result<Packet> {
        let packet = tcp(self.address, HTTP.http(), segment);
        let frame = ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &packet);
        let answers = |packet: &Packet| {
            packet.sockets() == Some((HTTP.http(), self.address))
                && packet.payload[13] & !flag::PSH == flags
        };
        let ask = || self.tap.send(&frame);
        self.tap.expect_answer(what, ask, answers)
    }
}

/// A number of a TCP header.
fn number_at(packet: &Packet, at: usize) -> u32 {
    u32::from_be_bytes(std::array::from_fn(|index| packet.payload[at + index]))
}
