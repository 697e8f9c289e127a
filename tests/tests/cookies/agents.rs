//! Agents that come, go, die and cannot.

use std::ops::Range;

use adminapi::model::{
    Change, CookiePolicy, CookieWay, ExplainQuery, Explanation, ForwardingMethod, Protocol,
    ServicePatch,
};
use anyhow::{Result, ensure};
use testbed::accounts::balanced;
use testbed::process::{Process, Signal};
use testbed::require;
use testbed::scene::Family;
use testbed::servers::Nginx;
use testbed::topology::{CLIENT_V4, REAL_SIDE, RealHost, VIP_V4};
use testbed::traffic::{HttpConnection, fetch_names, tally};
use testbed::wait;

use crate::bed::{Bed, PATIENCE, Shape};

const HTTP: Family = Family::V4;

#[test]
fn who_loses_its_agent_gets_no_more_cookies_and_without_any_all_goes_on_as_before() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    // By NAT the director would ask them itself.
    let mut bed = Bed::build(Shape {
        method: ForwardingMethod::Dr,
        ..Shape::NAT
    })?;
    bed.await_cookies(HTTP, 3, true)?;
    let mut live = HttpConnection::open(&bed.topology.client, HTTP.http())?;
    let name = live.ask_name()?;

    bed.agents[0].end_by(Signal::Kill)?;
    // Nobody waits for the director to notice.
    fetch_names(&bed.topology.client, HTTP.http(), 6)?;
    bed.await_cookies(HTTP, 2, true)?;
    let lack = "10.0.2.1:80: no agent speaks for it";
    for (policy, why) in [
        (CookiePolicy::Auto, "nothing calls for them"),
        (CookiePolicy::Always, "set by the user"),
    ] {
        set_policy(&bed, policy)?;
        let expected = format!("{why}; real server {lack}");
        wait::until(&expected, PATIENCE, || {
            let told = bed.status(HTTP)?.reason;
            ensure!(told == expected, "{told}");
            Ok(())
        })?;
    }
    let names = tally(fetch_names(&bed.topology.client, HTTP.http(), 6)?);
    ensure!(!names.contains_key("rs1"), "{names:?}");
    ensure!(bed.syns()? == 0);

    for agent in &mut bed.agents[1..] {
        agent.end_by(Signal::Term)?;
    }
    // What is left is that clients reset an answer that is wrong, and come again.
    bed.await_cookies(HTTP, 0, true)?;
    ensure!(bed.status(HTTP)?.way == Some(CookieWay::Reset));
    let names = tally(fetch_names(&bed.topology.client, HTTP.http(), 6)?);
    ensure!(names.values().eq(&[2, 2, 2]), "{names:?}");
    ensure!(bed.syns()? >= 6, "{} SYNs", bed.syns()?);
    ensure!(live.ask_name()? == name);

    bed.agents[0] = bed.agent(0)?;
    bed.await_cookies(HTTP, 1, true)?;
    let names = tally(fetch_names(&bed.topology.client, HTTP.http(), 3)?);
    ensure!(names.keys().eq(["rs1"]), "{names:?}");
    ensure!(live.ask_name()? == name);
    balanced(&bed.director)
}

#[test]
fn policy_turns_cookies_on_and_off_and_who_is_connected_does_not_notice() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(Shape {
        policy: CookiePolicy::Off,
        ..Shape::NAT
    })?;
    let client = &bed.topology.client;
    let set = |policy| set_policy(&bed, policy);
    let mut before = HttpConnection::open(client, HTTP.http())?;
    let before_name = before.ask_name()?;
    let syns = bed.syns()?;
    ensure!(syns > 0);

    set(CookiePolicy::Always)?;
    let status = bed.status(HTTP)?;
    let is_told = status.active && status.reason.starts_with("set by the user");
    ensure!(is_told, "not at once: {status:?}");
    bed.await_cookies(HTTP, 3, true)?;
    let mut during = HttpConnection::open(client, HTTP.http())?;
    let during_name = during.ask_name()?;
    ensure!(before.ask_name()? == before_name);
    ensure!(bed.syns()? == syns);
    counts_a_client_once(&bed)?;

    set(CookiePolicy::Off)?;
    ensure!(!bed.status(HTTP)?.active, "not at once");
    bed.await_cookies(HTTP, 3, false)?;
    ensure!(before.ask_name()? == before_name && during.ask_name()? == during_name);
    fetch_names(client, HTTP.http(), 1)?;
    ensure!(bed.syns()? > syns);
    begin_with_every_change(&bed)?;
    balanced(&bed.director)
}

/// Although it brings its cookie again when the director does not know the way to the real server.
fn counts_a_client_once(bed: &Bed) -> Result<()> {
    let clients = |count| {
        let now = bed.status(HTTP)?;
        // A SYN that is sent again is answered again.
        ensure!(now.sent >= count && now.accepted == count, "{now:?}");
        Ok(())
    };
    clients(1)?;
    let neighbours = ["neigh", "flush", "dev", REAL_SIDE];
    bed.topology.director.run("ip", &neighbours)?;
    fetch_names(&bed.topology.client, HTTP.http(), 1)?;
    clients(2)
}

fn explain(bed: &Bed) -> Result<Explanation> {
    let query = ExplainQuery {
        protocol: Protocol::Tcp,
        from: (CLIENT_V4, 9).into(),
        to: HTTP.http(),
        interface: None,
        call_id: None,
        flags: None,
    };
    let api = bed.director.api();
    api.call(async |api| api.explain(&query).await)
}

fn set_policy(bed: &Bed, policy: CookiePolicy) -> Result<()> {
    let patch = ServicePatch {
        cookies: Some(policy),
        ..Default::default()
    };
    let service = HTTP.http_service();
    let api = bed.director.api();
    api.call(async |api| api.change_service(service, patch).await)
        .map(drop)
}

type Setting<'s> = &'s dyn Fn(CookiePolicy) -> Result<()>;

/// Whichever way a policy is set: its cookies begin with it, and end with it.
fn begin_with_every_change(bed: &Bed) -> Result<()> {
    let api = bed.director.api();
    let whole = |policy| {
        let mut all = api.call(async |api| api.config().await)?;
        all.services
            .iter_mut()
            .for_each(|service| service.cookies = policy);
        api.call(async |api| api.put_config(&all).await).map(drop)
    };
    let many = |policy| {
        let change = Change::ChangeService {
            service: HTTP.http_service(),
            patch: ServicePatch {
                cookies: Some(policy),
                ..Default::default()
            },
        };
        api.call(async |api| api.make(&[change]).await).map(drop)
    };
    let file = |policy: CookiePolicy| {
        let text = bed.configuration.text(&bed.director.socket())?;
        let text = text.replace(
            "cookies = \"off\"",
            &format!("cookies = \"{}\"", policy.name()),
        );
        std::fs::write(bed.director.file(), text)?;
        api.call(async |api| api.reload().await.map(drop))
    };
    let ways: [(&str, Setting<'_>); 3] = [
        ("a configuration", &whole),
        ("a list of changes", &many),
        ("a file", &file),
    ];
    for (way, set) in ways {
        for (policy, active) in [(CookiePolicy::Always, true), (CookiePolicy::Off, false)] {
            set(policy)?;
            let status = bed.status(HTTP)?;
            ensure!(status.active == active, "not at once by {way}: {status:?}");
            let told = explain(bed)?.cookies;
            ensure!(told == status.way.filter(|_| active), "{told:?}");
        }
    }
    Ok(())
}

/// Although nginx listens at every address.
#[test]
fn who_has_lost_the_virtual_address_gets_no_cookies_until_it_is_back() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(Shape {
        method: ForwardingMethod::Dr,
        ..Shape::NAT
    })?;
    bed.await_cookies(HTTP, 3, true)?;
    let host = &bed.topology.reals[0].namespace;
    host.ip(&format!("addr del {VIP_V4}/32 dev lo\n"))?;
    bed.await_cookies(HTTP, 2, true)?;
    let told = bed.status(HTTP)?.reason;
    ensure!(
        told.ends_with("its address is none of its host's"),
        "{told}"
    );
    let names = tally(fetch_names(&bed.topology.client, HTTP.http(), 4)?);
    ensure!(!names.contains_key("rs1"), "{names:?}");
    // Any way in which the kernel takes it for its own.
    host.ip(&format!("route add local {VIP_V4}/32 dev lo\n"))?;
    bed.await_cookies(HTTP, 3, true)
}

/// A listener of MPTCP takes no connection without its SYN: by NAT the director sends it one.
#[test]
fn a_listener_of_mptcp_is_asked_by_the_director() -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let mut bed = Bed::build(Shape::NAT)?;
    bed.await_cookies(HTTP, 3, true)?;
    let _listeners = listen_by_mptcp(&mut bed, 0..3)?;
    are_served_by_mptcp(&bed, CookieWay::Splice)
}

/// By direct routing it gets none while there is another one, and then the SYN of who is there.
#[test]
fn a_listener_of_mptcp_takes_its_real_server_out_of_use_and_all_of_them_cookies() -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let mut bed = Bed::build(Shape {
        method: ForwardingMethod::Dr,
        ..Shape::NAT
    })?;
    bed.await_cookies(HTTP, 3, true)?;
    let _first = listen_by_mptcp(&mut bed, 0..1)?;
    await_way(&bed, CookieWay::Agents, 2)?;
    let names = tally(fetch_names(&bed.topology.client, HTTP.http(), 4)?);
    ensure!(names.keys().eq(["rs2", "rs3"]), "{names:?}");
    ensure!(bed.syns()? == 0, "{} SYNs", bed.syns()?);
    let _others = listen_by_mptcp(&mut bed, 1..3)?;
    are_served_by_mptcp(&bed, CookieWay::Reset)
}

fn are_served_by_mptcp(bed: &Bed, way: CookieWay) -> Result<()> {
    await_way(bed, way, 0)?;
    let before = bed.syns()?;
    let names = fetch_names(&bed.topology.client, HTTP.http(), 3)?;
    ensure!(names == ["mptcp", "mptcp", "mptcp"], "{names:?}");
    ensure!(bed.syns()? - before >= 3);
    balanced(&bed.director)
}

/// Waits until agents see MPTCP, and this is the way.
fn await_way(bed: &Bed, way: CookieWay, able: u32) -> Result<()> {
    wait::until("the agents to see MPTCP", PATIENCE, || {
        let status = bed.status(HTTP)?;
        let is_it = status.active && status.way == Some(way) && status.able == able;
        let seen = status.reason.matches("MPTCP").count();
        ensure!(is_it && seen == 3 - able as usize, "{status:?}");
        Ok(())
    })
}

/// Listeners in the place of web servers.
fn listen_by_mptcp(bed: &mut Bed, numbers: Range<usize>) -> Result<Vec<Process>> {
    const LISTENER: &str = "import socket, sys\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)\n\
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
        s.bind(('0.0.0.0', int(sys.argv[1]))); s.listen(64)\n\
        while True:\n    c, _ = s.accept(); c.recv(4096)\n    \
        c.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: 6\\r\\n\\r\\nmptcp\\n'); c.close()\n";
    let port = bed.port().to_string();
    let reals = &bed.topology.reals[numbers.clone()];
    bed.web[numbers].iter_mut().try_for_each(Nginx::kill)?;
    let listen = |real: &RealHost| {
        let mut python = real.namespace.command("python3");
        Process::spawn(python.args(["-c", LISTENER, &port]))
    };
    reals.iter().map(listen).collect()
}
