//! Countries and autonomous systems: what is not taken from them, and pools of their own.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use adminapi::model::{
    DecidingRule, Family as Of, Fate, FilterList, FilterRules, LimitOf, LimitPer, MarkRule,
    Protocol, RateLimit, Region, Scheduler, Service, ServiceId,
};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::mmdb::Mmdb;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::OTHER_HTTP_PORT;
use testbed::topology::Plan;
use testbed::traffic::{HttpConnection, UdpClient};
use testbed::{syns, wait};

const PATIENCE: Duration = Duration::from_secs(30);

/// Where the client is in the files.
const NETWORKS: [&str; 2] = ["10.0.1.0/24", "fd00:1::/64"];

/// Files that have the client in a country and an autonomous system, and others elsewhere.
struct Atlas {
    directory: tempfile::TempDir,
}

impl Atlas {
    fn new(country: &str, asn: u32) -> Result<Self> {
        let atlas = Self {
            directory: tempfile::tempdir()?,
        };
        atlas.move_to(country, asn)?;
        Ok(atlas)
    }

    fn country(&self) -> PathBuf {
        self.directory.path().join("country.mmdb")
    }

    fn asn(&self) -> PathBuf {
        self.directory.path().join("asn.mmdb")
    }

    fn move_to(&self, country: &str, asn: u32) -> Result<()> {
        let mut countries = Mmdb::new("Test-Country");
        let mut systems = Mmdb::new("Test-ASN");
        for network in NETWORKS {
            countries = countries.country(network.parse()?, country, "EU");
            systems = systems.asn(network.parse()?, asn);
        }
        let elsewhere = "198.51.100.0/24".parse()?;
        let countries = countries.country(elsewhere, "BR", "SA");
        countries.write(&self.country())?;
        systems.write(&self.asn())
    }

    fn scene(&self) -> Result<Scene> {
        let text = |path: PathBuf| path.display().to_string();
        Scene::start_shaped(
            Plan::default(),
            Scheduler::Rr,
            &[1, 1, 1],
            |configuration| {
                configuration
                    .filter("country_file", text(self.country()))
                    .filter("asn_file", text(self.asn()))
            },
        )
    }
}

fn region(name: &str, countries: &[&str]) -> Region {
    Region {
        name: name.to_owned(),
        countries: countries.iter().map(|&code| code.to_owned()).collect(),
        ..Region::default()
    }
}

fn set(scene: &Scene, regions: Vec<Region>) -> Result<adminapi::model::Filter> {
    let rules = FilterRules {
        regions,
        ..FilterRules::default()
    };
    scene.director.api().put_filter(&rules)
}

fn explain(scene: &Scene, family: Family) -> Result<adminapi::model::Explanation> {
    let from = SocketAddr::new(family.client(), 20_000);
    scene
        .director
        .api()
        .explain(Protocol::Tcp, from, family.http())
}

fn connects(scene: &Scene, family: Family) -> bool {
    let open = HttpConnection::open(&scene.topology.client, family.http());
    open.is_ok_and(|mut open| open.ask_name().is_ok())
}

fn dropped(scene: &Scene) -> Result<u64> {
    scene.director.api().dropped("region")
}

fn send_syns(scene: &Scene, family: Family, count: u16) -> Result<()> {
    let ports = 20_000..20_000 + count;
    syns::send(
        &scene.topology.client,
        family.client(),
        family.http(),
        ports,
    )
}

/// A SYN of the client's is not taken because of where it comes from.
fn is_refused(scene: &Scene, family: Family) -> Result<()> {
    let before = dropped(scene)?;
    let send = || send_syns(scene, family, 1);
    wait::until_repeated("the gate to drop it", PATIENCE, send, || {
        ensure!(dropped(scene)? > before, "it was taken");
        Ok(())
    })
}

#[test]
fn a_country_opens_no_connections_and_keeps_those_that_it_has() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let atlas = Atlas::new("DE", 64_500)?;
    let scene = atlas.scene()?;
    let by_asn = Region {
        asns: vec![64_500],
        list: Some(FilterList::Deny),
        ..region("as", &[])
    };
    let not_there = Region {
        outside: true,
        list: Some(FilterList::Deny),
        ..region("abroad", &["BR", "AR"])
    };
    let by_country = Region {
        list: Some(FilterList::Deny),
        ..region("country", &["DE"])
    };
    for family in Family::BOTH {
        for denied in [&by_country, &by_asn, &not_there] {
            set(&scene, vec![region("other", &["BR"])])?;
            let mut live = HttpConnection::open(&scene.topology.client, family.http())?;
            live.ask_name()?;
            let all = vec![region("other", &["BR"]), denied.clone()];
            let shown = set(&scene, all)?;
            assert_eq!(shown.regions["other"].networks, 1);
            assert_eq!(shown.atlas.len(), 2);
            is_refused(&scene, family)?;
            live.ask_name()?;
            let told = explain(&scene, family)?;
            assert_eq!(
                (told.fate, told.reason.as_deref()),
                (Fate::Drop, Some("region"))
            );
            let place = told.place.unwrap_or_default();
            assert_eq!(
                (place.country.as_deref(), place.asn),
                (Some("DE"), Some(64_500))
            );
            assert_eq!(place.regions, [denied.name.as_str()]);
            let rule = DecidingRule::Region {
                name: denied.name.clone(),
                list: FilterList::Deny,
            };
            assert_eq!(told.rule, Some(rule));
            let shown = scene
                .director
                .api()
                .call(async |client| client.filter().await)?;
            let dropped = shown.regions[&denied.name].dropped;
            assert!(dropped > 0 && shown.dropped["region"] >= dropped);
        }
        let network = family.client().to_string().parse()?;
        scene.director.api().list(network, FilterList::Allow)?;
        assert!(connects(&scene, family), "the allow list does not win");
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_country_that_opens_no_connections_sends_no_datagrams_either() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let atlas = Atlas::new("DE", 64_500)?;
    let scene = atlas.scene()?;
    let country = Region {
        list: Some(FilterList::Deny),
        ..region("country", &["DE"])
    };
    let clients = Family::BOTH.map(|family| UdpClient::open(&scene.topology.client, family.echo()));
    let clients = clients.into_iter().collect::<Result<Vec<_>>>()?;
    for client in clients.iter().cycle().take(8) {
        client.echo_again(b"before")?;
    }
    set(&scene, vec![country])?;
    for client in clients {
        let before = dropped(&scene)?;
        let send = || Ok(client.socket().send(b"denied").map(drop)?);
        wait::until_repeated("a datagram to be dropped", PATIENCE, send, || {
            ensure!(dropped(&scene)? > before, "it was taken");
            Ok(())
        })?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// As on the list: what the gate forwards by itself ends too, and who is allowed keeps what he has.
#[test]
fn a_country_in_a_black_hole_loses_its_connections() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let atlas = Atlas::new("DE", 64_500)?;
    let scene = atlas.scene()?;
    let api = scene.director.api();
    let open = |family: Family| HttpConnection::open(&scene.topology.client, family.http());
    let (mut allowed, mut lost) = (open(Family::V4)?, open(Family::V6)?);
    for _ in 0..2 {
        allowed.ask_name()?;
        lost.ask_name()?;
    }
    let network = Family::V4.client().to_string().parse()?;
    api.list(network, FilterList::Allow)?;
    let country = Region {
        list: Some(FilterList::BlackHole),
        ..region("country", &["DE"])
    };
    set(&scene, vec![country])?;
    let gone = api.connections(Family::V6.http_service())?;
    ensure!(gone.is_empty(), "{gone:?}");
    allowed.ask_name()?;
    let before = dropped(&scene)?;
    lost.send_request()?;
    wait::until("the gate to drop it", PATIENCE, || {
        ensure!(dropped(&scene)? > before, "it was taken");
        Ok(())
    })?;
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_changed_file_is_read_by_itself_and_a_broken_one_is_not_taken() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let atlas = Atlas::new("DE", 64_500)?;
    let scene = atlas.scene()?;
    let denied = Region {
        list: Some(FilterList::Deny),
        ..region("country", &["DE"])
    };
    set(&scene, vec![denied])?;
    is_refused(&scene, Family::V4)?;
    let api = scene.director.api();
    let told = |word: &str| {
        wait::until("the file to be read", PATIENCE, || {
            let events = api.call(async |client| client.events(0).await)?.events;
            let told = |event: &adminapi::model::Event| {
                event.kind == "regions" && event.message.contains(word)
            };
            ensure!(events.iter().any(told), "{events:?}");
            Ok(())
        })
    };
    std::fs::write(atlas.country(), "nothing of use")?;
    told("what was read before holds")?;
    is_refused(&scene, Family::V4)?;
    atlas.move_to("FR", 64_500)?;
    told("read anew")?;
    assert!(
        connects(&scene, Family::V4),
        "it is in another country by now"
    );
    assert_accounts(&scene.director);
    Ok(())
}

/// Reading a file takes a while; what is set meanwhile holds.
#[test]
fn a_filter_that_is_set_while_a_file_is_read_stays() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let atlas = Atlas::new("DE", 64_500)?;
    let scene = atlas.scene()?;
    let api = scene.director.api();
    set(&scene, vec![region("germany", &["DE"])])?;
    let contents = std::fs::read(atlas.country())?;
    let pipe = atlas.country().with_extension("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status()?;
    ensure!(made.success(), "{made}");
    std::fs::rename(pipe, atlas.country())?;
    // The director is in the middle of reading as soon as this one is open.
    let mut slow = std::fs::File::options().write(true).open(atlas.country())?;
    let wanted = vec![region("france", &["FR"])];
    set(&scene, wanted.clone())?;
    slow.write_all(&contents)?;
    // Nobody is to wait for what is written no more.
    atlas.move_to("DE", 64_500)?;
    drop(slow);
    wait::until("the file to be read", PATIENCE, || {
        let events = api.call(async |client| client.events(0).await)?.events;
        let read = |event: &adminapi::model::Event| {
            event.kind == "regions" && event.message.starts_with("read anew")
        };
        ensure!(events.iter().any(read), "{events:?}");
        Ok(())
    })?;
    let shown = api.call(async |client| client.filter().await)?;
    assert_eq!(shown.rules.regions, wanted);
    assert_accounts(&scene.director);
    Ok(())
}

fn pool(scene: &Scene, family: Family, mark: u32, real: usize) -> Service {
    let real = scene.topology.reals[real].address(family.vip());
    let reals = [(SocketAddr::new(real, OTHER_HTTP_PORT), 1)];
    let by_address = service(Protocol::Tcp, family.http(), Scheduler::Rr, reals);
    Service {
        id: ServiceId::Mark {
            mark,
            family: Of::of(family.vip()),
        },
        ..by_address
    }
}

#[test]
fn a_region_has_the_pool_that_is_nearest() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let atlas = Atlas::new("DE", 64_500)?;
    let scene = atlas.scene()?;
    let api = scene.director.api();
    let europe = Region {
        continents: vec!["EU".to_owned()],
        ..region("europe", &[])
    };
    set(&scene, vec![europe, region("brazil", &["BR"])])?;
    let rule = |family: Family, mark, region: &str| {
        Ok::<_, anyhow::Error>(MarkRule {
            mark,
            destination: Some(family.vip().to_string().parse()?),
            destination_ports: Some("80".parse()?),
            region: Some(region.to_owned()),
            ..MarkRule::default()
        })
    };
    let mut rules = Vec::new();
    for family in Family::BOTH {
        api.add_service(&pool(&scene, family, 1, 2))?;
        api.add_service(&pool(&scene, family, 2, 1))?;
        rules.extend([rule(family, 1, "brazil")?, rule(family, 2, "europe")?]);
    }
    let first = &rules[..2];
    api.call(async |client| client.put_marks(first).await)?;
    let gone = set(&scene, vec![region("brazil", &["BR"])]);
    let told = gone.unwrap_err().to_string();
    assert!(told.contains("the rule of mark 2 names it"), "{told}");
    let nowhere = [rule(Family::V4, 1, "asia")?];
    let refused = api.call(async |client| client.put_marks(&nowhere).await);
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("there is no region \"asia\""), "{told}");

    api.call(async |client| client.put_marks(&rules).await)?;
    let name = |family: Family| {
        let mut open = HttpConnection::open(&scene.topology.client, family.http())?;
        open.ask_name()
    };
    for family in Family::BOTH {
        for _ in 0..3 {
            assert_eq!(name(family)?, scene.topology.reals[1].name, "{family:?}");
        }
        let told = explain(&scene, family)?;
        assert_eq!(told.service, Some(pool(&scene, family, 2, 1).id));
    }

    atlas.move_to("BR", 64_500)?;
    for family in Family::BOTH {
        wait::until("the client to be in Brazil", PATIENCE, || {
            let told = explain(&scene, family)?;
            let there = told.service == Some(pool(&scene, family, 1, 2).id);
            ensure!(there, "{told:?}");
            Ok(())
        })?;
        assert_eq!(name(family)?, scene.topology.reals[2].name, "{family:?}");
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_limit_of_a_region_holds_for_those_who_are_there() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    const SENT: u16 = 20;
    let atlas = Atlas::new("DE", 64_500)?;
    let scene = atlas.scene()?;
    let api = scene.director.api();
    let limited = |region: &str| RateLimit {
        name: region.to_owned(),
        of: LimitOf::Syns,
        per: LimitPer::Source,
        rate: 1,
        burst: Some(1),
        prefix_v4: 24,
        prefix_v6: 64,
        service: None,
        region: Some(region.to_owned()),
        ban: None,
    };
    let rules = FilterRules {
        regions: vec![region("germany", &["DE"]), region("brazil", &["BR"])],
        limits: vec![limited("germany"), limited("brazil")],
        ..FilterRules::default()
    };
    api.put_filter(&rules)?;
    let over = || api.call(async |client| Ok(client.filter().await?.over));
    let count = |name: &str| Ok::<_, anyhow::Error>(over()?.get(name).copied().unwrap_or(0));
    for family in Family::BOTH {
        let before = count("germany")?;
        send_syns(&scene, family, SENT)?;
        wait::until("the limit to hold", PATIENCE, || {
            let now = count("germany")? - before;
            ensure!(now > 0, "{family:?}");
            Ok(())
        })?;
        assert_eq!(count("brazil")?, 0, "{family:?}");
    }
    // Files that are read anew change no limit.
    let before = count("germany")?;
    atlas.move_to("DE", 64_501)?;
    wait::until("the files to be read", PATIENCE, || {
        let place = explain(&scene, Family::V4)?.place.unwrap_or_default();
        ensure!(place.asn == Some(64_501), "{place:?}");
        Ok(())
    })?;
    assert!(count("germany")? >= before, "they are counted anew");
    assert_accounts(&scene.director);
    Ok(())
}

fn place(scene: &Scene) -> Result<adminapi::model::Place> {
    Ok(explain(scene, Family::V4)?.place.unwrap_or_default())
}

/// Files that the configuration names none of, and a director that keeps what the API has set.
#[test]
fn the_api_names_files_of_one_folder() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let atlas = Atlas::new("DE", 64_500)?;
    let at = |name: &str| atlas.directory.path().join(name).display().to_string();
    let mut scene = Scene::start_shaped(Plan::default(), Scheduler::Rr, &[1, 1, 1], |begun| {
        begun
            .filter("databases", at(""))
            .api("persist", at("state.json"))
    })?;
    let denied = Region {
        list: Some(FilterList::Deny),
        ..region("country", &["DE"])
    };
    let named = |file: &str| FilterRules {
        country_file: Some(file.to_owned()),
        regions: vec![denied.clone()],
        ..FilterRules::default()
    };
    let put = |scene: &Scene, rules: &FilterRules| scene.director.api().put_filter(rules);
    let config = |scene: &Scene| scene.director.api().call(async |api| api.config().await);
    let before = config(&scene)?;
    std::fs::write(at("junk.mmdb"), "secret")?;
    for (file, told) in [
        ("", "no file says where they are; set country_file"),
        ("/etc/passwd", "/etc/passwd is not in"),
        ("country.mmdb", "country.mmdb is not in"),
        (at("none.mmdb").as_str(), "none.mmdb: No such file"),
        (
            at("junk.mmdb").as_str(),
            "name a file in the MaxMind DB format",
        ),
    ] {
        let refused = put(&scene, &named(file)).unwrap_err().to_string();
        assert!(refused.contains(told), "{file}: {refused}");
        assert!(!refused.contains("secret"), "{refused}");
        let whole = adminapi::model::Configuration {
            filter: Some(named(file)),
            ..before.clone()
        };
        let api = scene.director.api();
        let refused = api.call(async |api| api.put_config(&whole).await);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(told), "{file}: {refused}");
    }
    assert_eq!(config(&scene)?, before);
    assert!(connects(&scene, Family::V4));

    let (country, asn) = (at("country.mmdb"), at("asn.mmdb"));
    put(&scene, &named(&country))?;
    is_refused(&scene, Family::V4)?;
    let bulwark = |scene: &Scene, line: &str| {
        let mut command = Command::new(testbed::director::binary("bulwark")?);
        let socket = format!("unix:{}", scene.director.socket().display());
        command.env("BULWARK_API", socket).args(line.split(' '));
        testbed::process::output(&mut command)
    };
    bulwark(&scene, &format!("filter asn-file {asn}"))?;
    bulwark(&scene, "filter bogon-networks 198.18.0.0/15 2001:db8::/32")?;
    let shown = bulwark(&scene, "filter")?;
    for line in [
        "bogons are   198.18.0.0/15 2001:db8::/32\n".to_owned(),
        format!("networks of  {country} (Test-Country, "),
        format!("networks of  {asn} (Test-ASN, "),
    ] {
        assert!(shown.contains(&line), "{shown}");
    }
    // Who knows of no files leaves them.
    set(&scene, vec![denied.clone()])?;
    assert_eq!(place(&scene)?.asn, Some(64_500));

    let there = config(&scene)?;
    scene.director.end_by(testbed::process::Signal::Kill)?;
    scene.start_next()?;
    assert_eq!(config(&scene)?, there);
    let known = place(&scene)?;
    assert_eq!(
        (known.country.as_deref(), known.asn),
        (Some("DE"), Some(64_500))
    );
    is_refused(&scene, Family::V4)?;

    let refused = bulwark(&scene, "filter country-file --none").unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("no file says where they are"), "{refused}");
    bulwark(&scene, "filter unregion country")?;
    bulwark(&scene, "filter country-file --none")?;
    bulwark(&scene, "filter bogon-networks --built-in")?;
    let known = place(&scene)?;
    assert_eq!((known.country, known.asn), (None, Some(64_500)));
    let rules = config(&scene)?.filter.unwrap_or_default();
    assert_eq!(rules.bogon_networks, None);
    assert_accounts(&scene.director);
    Ok(())
}
