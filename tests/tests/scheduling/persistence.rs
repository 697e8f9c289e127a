//! Clients of a persistent service stick to a real server, over all ports if it has all.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adminapi::model::{
    Connection, ExplainQuery, Forgotten, Persistence, Protocol, RealPatch, Scheduler, Service,
    ServiceId, ServicePatch, TemplateId, TemplateQuery,
};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{binary, service};
use testbed::process::output;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::{HTTP_PORT, OTHER_HTTP_PORT};
use testbed::topology::{CLIENT_V4, CLIENT_V6};
use testbed::traffic::HttpConnection;
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(20);

fn stick(scene: &Scene, id: ServiceId, persistence: Persistence) -> Result<()> {
    let patch = ServicePatch {
        persistence: Some(Some(persistence).into()),
        ..ServicePatch::default()
    };
    let api = scene.director.api();
    api.call(async |client| client.change_service(id, patch).await)?;
    Ok(())
}

fn name(scene: &Scene, at: SocketAddr) -> Result<String> {
    HttpConnection::open(&scene.topology.client, at)?.ask_name()
}

/// What `bulwark` says.
fn bulwark(scene: &Scene, words: &str) -> Result<String> {
    let mut command = scene.topology.director.command(binary("bulwark")?);
    let socket = scene.director.socket();
    command.env("BULWARK_API", format!("unix:{}", socket.display()));
    output(command.args(words.split_whitespace()))
}

fn templates(scene: &Scene, id: ServiceId) -> Result<Vec<Connection>> {
    let mut all = scene.director.api().connections(id)?;
    all.retain(|connection| connection.template);
    Ok(all)
}

#[test]
fn a_client_stays_with_its_real_server_until_that_takes_it_no_more() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for family in Family::BOTH {
        let id = family.http_service();
        stick(&scene, id, Persistence::default())?;
        let first = name(&scene, family.http())?;
        for _ in 0..4 {
            assert_eq!(name(&scene, family.http())?, first);
        }
        wait::until("the client to be assured", PATIENCE, || {
            let templates = templates(&scene, id)?;
            let states: Vec<_> = templates.iter().map(|t| t.state.as_str()).collect();
            ensure!(states == ["ASSURED"], "{states:?}");
            Ok(())
        })?;
        let api = scene.director.api();
        let reals = api.service(id)?.reals;
        let sticking: Vec<_> = reals.iter().filter(|real| real.persistent == 1).collect();
        assert_eq!(sticking.len(), 1);
        let at = sticking[0].endpoint();
        let quiesced = RealPatch {
            weight: Some(0),
            ..RealPatch::default()
        };
        api.change_real(id, at, quiesced)?;
        assert_eq!(
            name(&scene, family.http())?,
            first,
            "weight 0 keeps clients"
        );
        api.remove_real(id, at)?;
        let next = name(&scene, family.http())?;
        assert_ne!(next, first);
        assert_eq!(name(&scene, family.http())?, next);
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn expire_quiescent_template_sends_clients_away_from_weight_0() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let id = family.http_service();
        stick(&scene, id, Persistence::default())?;
        let first = name(&scene, family.http())?;
        let template = &templates(&scene, id)?[0];
        let quiesced = RealPatch {
            weight: Some(0),
            ..RealPatch::default()
        };
        api.change_real(id, template.real, quiesced)?;
        for (value, stays) in [(0, true), (1, false)] {
            api.set_sysctl("expire_quiescent_template", value)?;
            let now = name(&scene, family.http())?;
            assert_eq!(now == first, stays, "{family:?}, {value}");
        }
        let next = &templates(&scene, id)?;
        let moved = |t: &&Connection| t.real.ip() != template.real.ip();
        assert_eq!(next.iter().filter(moved).count(), 1);
        api.set_sysctl("expire_quiescent_template", 0)?;
        assert_ne!(name(&scene, family.http())?, first, "it has a new one");
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_client_that_is_forgotten_goes_elsewhere_and_keeps_its_connections() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let id = family.http_service();
        let networks = Persistence {
            prefix: Some(24),
            ..Persistence::default()
        };
        stick(&scene, id, networks)?;
        let client = match family {
            Family::V4 => IpAddr::from(CLIENT_V4),
            Family::V6 => IpAddr::from(CLIENT_V6),
        };
        let stranger = TemplateId {
            service: id,
            client: family.vip(),
        };
        let refused = api.call(async |api| api.forget_template(stranger).await);
        assert!(format!("{:#}", refused.unwrap_err()).contains("does not exist"));

        let mut open = HttpConnection::open(&scene.topology.client, family.http())?;
        let first = open.ask_name()?;
        assert_eq!(name(&scene, family.http())?, first);
        // By any address of its network, by its real server, and by the command line.
        let known = TemplateId {
            service: id,
            client,
        };
        api.call(async |api| api.forget_template(known).await)?;
        let second = name(&scene, family.http())?;
        assert_ne!(second, first, "round robin goes on");
        assert_eq!(name(&scene, family.http())?, second);

        let held = templates(&scene, id)?[0].real;
        let of_real = |real| TemplateQuery {
            real: Some(real),
            ..TemplateQuery::default()
        };
        for (query, forgotten) in [(of_real(family.http()), 0), (of_real(held), 1)] {
            let done = api.call(async |api| api.forget_templates(&query).await)?;
            assert_eq!(done, Forgotten { forgotten });
        }
        let third = name(&scene, family.http())?;
        assert_ne!(third, second);
        let line = format!("forget -t {} --from {client}", family.http());
        assert_eq!(bulwark(&scene, &line)?, "1 client forgotten\n");
        assert_eq!(templates(&scene, id)?, []);

        assert_eq!(open.ask_name()?, first, "its connection has stayed");
        let reals = api.service(id)?.reals;
        assert_eq!(reals.iter().map(|real| real.persistent).sum::<u32>(), 0);
        let told = api.call(async |api| api.events(0).await)?.events;
        let changes = told.into_iter().filter_map(|event| event.change);
        let gone = changes.filter(|change| change.what.starts_with("DELETE /v1/templates"));
        let gone: Vec<_> = gone.filter(|change| !change.before.is_null()).collect();
        assert!(gone.iter().all(|change| {
            let clients = change.before["connections"].as_array();
            clients.is_some_and(|clients| clients.len() == 1)
        }));
        assert!(gone.len() >= 3, "{gone:?}");
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_service_of_every_port_keeps_the_port_and_the_real_server() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for family in Family::BOTH {
        let api = scene.director.api();
        api.remove_service(family.http_service())?;
        let reals = scene.topology.reals.iter();
        let reals = reals.map(|host| (SocketAddr::new(host.address(family.vip()), 0), 1));
        let every = SocketAddr::new(family.vip(), 0);
        let service = service(Protocol::Tcp, every, Scheduler::Rr, reals);
        let refused = api.add_service(&service).unwrap_err().to_string();
        assert!(refused.contains("has to be persistent"), "{refused}");
        let service = Service {
            persistence: Some(Persistence::default()),
            ..service
        };
        api.add_service(&service)?;
        let ports = [HTTP_PORT, OTHER_HTTP_PORT];
        let at = |port| SocketAddr::new(family.vip(), port);
        let names: Vec<_> = (ports.iter().cycle().take(6))
            .map(|port| name(&scene, at(*port)))
            .collect::<Result<_>>()?;
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
        let templates = templates(&scene, service.id)?;
        assert_eq!(templates.len(), 1);
        assert_eq!(templates[0].vip, every);
        let connections = api.connections(service.id)?;
        assert!(ports.iter().all(|port| {
            let to_it = |c: &Connection| c.vip.port() == *port && c.real.port() == *port;
            connections.iter().any(to_it)
        }));
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn what_is_foreseen_for_a_client_is_what_becomes_of_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let id = family.http_service();
        stick(&scene, id, Persistence::default())?;
        let query = |from: SocketAddr| ExplainQuery {
            protocol: Protocol::Tcp,
            from,
            to: family.http(),
            interface: Some("cl0".to_owned()),
            call_id: None,
            flags: None,
        };
        let ask = |query: ExplainQuery| api.call(async |client| client.explain(&query).await);
        let client = match family {
            Family::V4 => SocketAddr::from((CLIENT_V4, 1)),
            Family::V6 => SocketAddr::from((CLIENT_V6, 1)),
        };
        let stranger = ask(query(client))?;
        assert!(stranger.template.is_none() && stranger.scheduler.is_some());
        name(&scene, family.http())?;
        let before = templates(&scene, id)?;
        for _ in 0..3 {
            let known = ask(query(client))?;
            let template = known.template.expect("a template");
            assert!(known.scheduler.is_none());
            assert_eq!(known.real, Some(template.real));
            assert_eq!(
                (template.client.ip(), template.real),
                (client.ip(), before[0].real)
            );
        }
        assert_eq!(templates(&scene, id)?.len(), 1);
        let reals = api.service(id)?.reals;
        assert_eq!(reals.iter().map(|real| real.persistent).sum::<u32>(), 1);
        let elsewhere = ExplainQuery {
            interface: Some("eth9".to_owned()),
            ..query(client)
        };
        assert!(ask(elsewhere).is_err());
    }
    assert_accounts(&scene.director);
    Ok(())
}
