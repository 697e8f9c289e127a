//! A director that has begun to answer SYNs by itself and is killed: the next one goes on with that.

use adminapi::model::{CookiePolicy, CookieWay, ForwardingMethod};
use anyhow::{Result, ensure};
use testbed::accounts::balanced;
use testbed::director::{Configuration, Director};
use testbed::generator::{Flows, Generator};
use testbed::haven::Haven;
use testbed::process::{Signal, output_with_input};
use testbed::require;
use testbed::scene::Family;
use testbed::traffic::HttpConnection;
use testbed::wait;

use crate::bed::{Agents, Bed, PATIENCE, Shape, endure, status, strangers};
use crate::twins::restrict;

const HTTP: Family = Family::V4;

/// SYNs at once.
const ROUND: u32 = 5000;

/// Places for half-open connections, half of which are taken when cookies begin.
const HALF_OPEN: i64 = 2000;

/// SYNs that the next director has to answer: many more than it took for the first one to begin.
const ANSWERED: u64 = 20_000;

/// Clients who have a cookie when the director is killed.
const EARLY: usize = 20;

/// Loses what clients say to a server after their SYN.
const LOSS: &str = "table inet loss {\n chain loss {\n  type filter hook output priority 0;\n  \
     tcp dport 80 tcp flags & (syn | ack) == ack drop\n }\n}\n";

#[test]
fn by_nat() -> Result<()> {
    no_syn_gets_by(Shape::NAT, CookieWay::Splice)
}

#[test]
fn by_dr() -> Result<()> {
    no_syn_gets_by(crate::resets::DR, CookieWay::Reset)
}

/// What called for cookies is gone by then, since they have kept it away.
fn no_syn_gets_by(shape: Shape, way: CookieWay) -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let haven = Haven::new()?;
    let shape = Shape {
        policy: CookiePolicy::Auto,
        agents: Agents::Keyless,
        ..shape
    };
    let mut bed = Bed::build_with(shape, |configuration| {
        let few = configuration.limit("half_open", HALF_OPEN);
        haven.shelter(few.defense("syn_recv", 1).defense("syn_ack", 1))
    })?;
    let (topology, configuration) = (&bed.topology, &bed.configuration);
    let director = &mut bed.director;
    let generator = Generator::beside(&topology.client, &Flows::spoofed_syns(HTTP.http()))?;
    let work = || {
        await_rest(director)?;
        let before = strangers(topology)?;
        ensure!(before > 0, "cookies have begun without a cause");
        director.end_by(Signal::Kill)?;
        *director = Director::start(&topology.director, configuration)?;
        endure(&topology.client, 3)?;
        wait::until("the next one to answer", PATIENCE, || {
            let now = status(director, HTTP)?;
            ensure!(now.sent > ANSWERED && now.way == Some(way), "{now:?}");
            Ok(())
        })?;
        let let_by = strangers(topology)? - before;
        ensure!(let_by == 0, "{let_by} SYNs of nobody");
        Ok(())
    };
    generator.flood_beside(&topology.client, ROUND, work, || Ok(()))?;
    balanced(&bed.director)
}

#[test]
fn by_dr_who_has_a_cookie_does_not_wait_for_the_agents_to_be_back() -> Result<()> {
    who_has_a_cookie_is_served(|configuration| configuration)
}

#[test]
fn by_dr_nor_who_has_one_of_a_secret() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let secret = directory.path().join("cookies.key");
    std::fs::write(&secret, "an open secret is none, of 32 bytes or more")?;
    restrict(&secret)?;
    let path = secret.display().to_string();
    who_has_a_cookie_is_served(|configuration| configuration.cookies("secret_file", path))
}

/// Agents are back after a second; until then their kernels hold the keys.
fn who_has_a_cookie_is_served(more: impl FnOnce(Configuration) -> Configuration) -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let haven = Haven::new()?;
    let shape = Shape {
        method: ForwardingMethod::Dr,
        ..Shape::NAT
    };
    let mut bed = Bed::build_with(shape, |configuration| haven.shelter(more(configuration)))?;
    bed.await_cookies(HTTP, 3, true)?;
    let client = &bed.topology.client;
    output_with_input(client.command("nft").args(["-f", "-"]), LOSS)?;
    let open = || HttpConnection::open(client, HTTP.http());
    let early: Vec<_> = (0..EARLY).map(|_| open()).collect::<Result<_>>()?;
    bed.director.end_by(Signal::Kill)?;
    bed.director = Director::start(&bed.topology.director, &bed.configuration)?;
    client.run("nft", &["delete", "table", "inet", "loss"])?;
    for mut connection in early {
        connection.ask_name()?;
    }
    ensure!(bed.syns()? == 0, "{} SYNs", bed.syns()?);
    bed.await_cookies(HTTP, 3, true)?;
    balanced(&bed.director)
}

/// Waits until cookies answer, and those who came before are forgotten.
fn await_rest(director: &Director) -> Result<()> {
    wait::until("cookies", PATIENCE, || {
        ensure!(status(director, HTTP)?.active, "no cookies");
        let half_open = director.api().status()?.connections.half_open;
        ensure!(half_open == 0, "{half_open} half-open connections");
        Ok(())
    })
}
