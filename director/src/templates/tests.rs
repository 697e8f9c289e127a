//! What persistence promises.

use super::shown::Shown;
use super::*;
use crate::flow::Tracked;
use crate::service::{Handling, Settings};
use crate::wire::Addr;
use adminapi::model::{Family, Scheduler};

const NOW: Tick = Tick(1000);

fn vip(port: u16) -> Endpoint {
    Endpoint::new(Addr::v4([10, 9, 9, 9]), port)
}

fn rip(host: u8) -> Endpoint {
    Endpoint::new(Addr::v4([10, 0, 2, host]), 80)
}

fn persistence(prefix: u8) -> Persistence {
    Persistence {
        timeout: Ticks::seconds(100),
        prefix: 96 + prefix,
        engine: None,
    }
}

fn from(host: u8, port: u16) -> Tuple {
    Tuple {
        protocol: Protocol::Tcp,
        src: Endpoint::new(Addr::v4([172, 16, 0, host]), port),
        dst: vip(80),
    }
}

/// A service of two real servers, whose clients stick.
struct Farm {
    key: ServiceKey,
    pool: Pool,
    templates: Templates,
    persistence: Persistence,
}

impl Farm {
    fn new(key: ServiceKey, prefix: u8, room: usize) -> Self {
        let mut pool = Pool::new(1);
        pool.add_service(key, Scheduler::Rr).unwrap();
        let handling = Handling {
            persistence: Some(persistence(prefix)),
            engine: None,
            one_packet: false,
            cookies: Default::default(),
            udp_repeats: None,
            helper: Default::default(),
        };
        pool.set_handling(&key, handling).unwrap();
        for host in [1, 2] {
            pool.add_real(&key, rip(host), Settings::weight(1)).unwrap();
        }
        Self {
            key,
            pool,
            templates: Templates::new(room, 1, Arc::default()).unwrap(),
            persistence: persistence(prefix),
        }
    }

    fn real(&self, host: u8) -> &Real {
        let service = self.pool.service(&self.key).unwrap();
        service.reals.find(rip(host)).unwrap()
    }

    /// A new connection, for which the scheduler would choose real server `choice`; who gets it.
    fn open(&self, tuple: &Tuple, choice: u8, now: Tick) -> Result<Entry, Cause> {
        self.say(tuple, None, choice, now)
    }

    /// The same, with a message of the call named.
    fn say(
        &self,
        tuple: &Tuple,
        call_id: Option<&str>,
        choice: u8,
        now: Tick,
    ) -> Result<Entry, Cause> {
        let id = || call_id;
        let client = (self.templates).client(&self.key, &self.persistence, tuple, id)?;
        let choose = || Some(self.real(choice));
        let takes = |real: &Real| real.weight > 0;
        let real = self
            .templates
            .hold(&self.pool, &client, now, takes, choose)?;
        let mut entry = Entry::new(tuple, real.id, 80, Class::Unverified, now);
        entry.tracked = client.tracked(Tracked::new(tuple.protocol));
        entry.control(self.persistence.prefix);
        Ok(entry)
    }

    fn close(&self, connection: &Entry) {
        self.templates.release(&self.pool, connection);
    }

    fn goes_to(&self, tuple: &Tuple, choice: u8) -> Addr {
        let entry = self.open(tuple, choice, NOW).unwrap();
        self.close(&entry);
        self.pool.real(entry.real()).unwrap().endpoint.addr
    }

    fn expire(&self, now: Tick) {
        for shard in 0..self.templates.shards() {
            while self.templates.expire(&self.pool, shard, now, 32) {}
        }
    }

    fn weigh(&mut self, host: u8, weight: u32) {
        let settings = Settings::weight(weight);
        self.pool.set_real(&self.key, rip(host), settings).unwrap();
    }

    /// How many templates anybody sees.
    fn shown(&self) -> usize {
        self.controlled().len()
    }

    /// How many connections each of them controls.
    fn controlled(&self) -> Vec<u32> {
        let mut counts = Vec::new();
        let mut cursor = Some(Cursor::default());
        while let Some(here) = cursor {
            cursor = self
                .templates
                .page(here, 10, |entry| counts.push(entry.packets));
        }
        counts.sort_unstable();
        counts
    }

    fn listed(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.templates.table.for_each(|entry| {
            let shown = shown(entry, &self.key);
            let protocol = shown.protocol.map_or(0, Protocol::number);
            let Shown {
                state, client, vip, ..
            } = shown;
            let call = shown.engine.map(|engine| {
                let id = self.templates.call_id(entry);
                format!(" {} {}", engine.name(), id.unwrap_or_default())
            });
            let call = call.unwrap_or_default();
            lines.push(format!("{protocol} {state} {client} {vip}{call}"));
        });
        lines.sort();
        lines
    }
}

fn tcp(port: u16) -> ServiceKey {
    ServiceKey::at(Protocol::Tcp, vip(port))
}

#[test]
fn a_client_sticks_and_another_does_not() {
    let farm = Farm::new(tcp(80), 32, 64);
    assert_eq!(farm.goes_to(&from(1, 1000), 1), rip(1).addr);
    assert_eq!(farm.goes_to(&from(1, 1001), 2), rip(1).addr);
    assert_eq!(farm.goes_to(&from(2, 1001), 2), rip(2).addr);
    assert_eq!(farm.real(1).load.sticking(), 1);
}

#[test]
fn addresses_of_one_prefix_are_one_client() {
    let farm = Farm::new(tcp(80), 30, 64);
    assert_eq!(farm.goes_to(&from(1, 1000), 1), rip(1).addr);
    assert_eq!(farm.goes_to(&from(3, 1000), 2), rip(1).addr);
    assert_eq!(farm.goes_to(&from(4, 1000), 2), rip(2).addr);
    assert_eq!(
        farm.listed(),
        [
            "6 NONE 172.16.0.0:0 10.9.9.9:80",
            "6 NONE 172.16.0.4:0 10.9.9.9:80"
        ]
    );
}

#[test]
fn a_template_outlives_its_connections_and_no_more() {
    let farm = Farm::new(tcp(80), 32, 64);
    let connection = farm.open(&from(1, 1000), 1, NOW).unwrap();
    let over = NOW.after(Ticks::seconds(101));
    farm.expire(over);
    assert_eq!(farm.templates.len(), 1, "it has a connection");
    farm.close(&connection);
    farm.expire(over.after(Ticks::seconds(59)));
    assert_eq!(farm.templates.len(), 1, "an extension lasts 60 s");
    farm.expire(over.after(Ticks::seconds(62)));
    assert!(farm.templates.is_empty());
    assert_eq!(farm.real(1).load.sticking(), 0);
}

#[test]
fn a_real_server_that_takes_no_more_loses_the_client_but_not_its_connections() {
    let mut farm = Farm::new(tcp(80), 32, 64);
    let old = farm.open(&from(1, 1000), 1, NOW).unwrap();
    farm.templates.assure(&farm.pool, &old);
    let settings = Settings::weight(0);
    farm.pool.set_real(&tcp(80), rip(1), settings).unwrap();
    let new = farm.open(&from(1, 1001), 2, NOW).unwrap();
    assert_ne!(new.real(), old.real());
    let both = [
        "6 ASSURED 172.16.0.1:0 10.9.9.9:65535",
        "6 NONE 172.16.0.1:0 10.9.9.9:80",
    ];
    assert_eq!(farm.listed(), both);
    let over = NOW.after(Ticks::seconds(101));
    farm.close(&new);
    farm.expire(over);
    assert_eq!(farm.listed(), both[..1], "the old one has a connection");
    farm.close(&old);
    farm.expire(over.after(Ticks::seconds(61)));
    assert!(farm.templates.is_empty());
}

/// Connections from before end as those of whatever template their client has by then.
#[test]
fn connections_of_a_forgotten_template_are_counted_to_their_end() {
    let farm = Farm::new(tcp(80), 32, 64);
    let [first, second] = [1000, 1001].map(|port| farm.open(&from(1, port), 1, NOW).unwrap());
    farm.templates.assure(&farm.pool, &first);
    assert_eq!(farm.templates.forget(&farm.pool, |_| true), 1);
    assert_eq!(farm.templates.forget(&farm.pool, |_| true), 0);
    assert_eq!((farm.shown(), farm.real(1).load.sticking()), (0, 0));

    let elsewhere = farm.open(&from(1, 1002), 2, NOW).unwrap();
    farm.close(&first);
    assert_eq!(farm.controlled(), [1], "that of the other real server");
    farm.close(&elsewhere);
    assert_eq!(farm.templates.forget(&farm.pool, |_| true), 1);

    let back = farm.open(&from(1, 1003), 1, NOW).unwrap();
    assert_eq!(farm.real(1).load.sticking(), 1);
    assert_eq!(farm.controlled(), [2], "the second has come back to it");
    farm.close(&second);
    assert_eq!(farm.controlled(), [1]);
    let over = NOW.after(Ticks::seconds(101));
    farm.expire(over);
    assert_eq!(farm.shown(), 1, "it has a connection");
    farm.close(&back);
    farm.expire(over.after(Ticks::seconds(61)));
    assert!(farm.templates.is_empty());
    assert_eq!(farm.real(1).load.sticking(), 0);
}

#[test]
fn a_client_that_comes_back_has_its_old_connections_again() {
    let mut farm = Farm::new(tcp(80), 32, 64);
    let old = farm.open(&from(1, 1000), 1, NOW).unwrap();
    farm.templates.assure(&farm.pool, &old);
    farm.weigh(1, 0);
    let passing = farm.open(&from(1, 1001), 2, NOW).unwrap();
    farm.close(&passing);
    farm.weigh(1, 1);
    farm.weigh(2, 0);
    let new = farm.open(&from(1, 1002), 1, NOW).unwrap();
    assert_eq!(new.real(), old.real());
    let listed = farm.listed();
    assert!(
        listed.contains(&"6 ASSURED 172.16.0.1:0 10.9.9.9:80".to_owned()),
        "{listed:?}"
    );
    farm.close(&old);
    assert_eq!(farm.controlled(), [0, 1]);
    farm.close(&new);
    assert_eq!(farm.controlled(), [0, 0]);
}

#[test]
fn a_removed_real_server_is_remembered_as_long_as_a_client_is() {
    let mut farm = Farm::new(tcp(80), 32, 64);
    let connection = farm.open(&from(1, 1000), 1, NOW).unwrap();
    farm.close(&connection);
    farm.pool.remove_real(&tcp(80), rip(1)).unwrap();
    assert!(farm.pool.reap().is_empty());
    assert_eq!(farm.goes_to(&from(1, 1001), 2), rip(2).addr);
    farm.expire(NOW.after(Ticks::seconds(101)));
    assert_eq!(farm.pool.reap().len(), 1);
}

#[test]
fn templates_are_named_as_ipvs_names_them() {
    let mark = ServiceKey::Mark {
        mark: 7,
        family: Family::Ipv4,
    };
    for (key, want) in [
        (tcp(80), "6 NONE 172.16.0.1:0 10.9.9.9:80"),
        (tcp(21), "6 NONE 172.16.0.1:0 10.9.9.9:0"),
        (tcp(0), "6 NONE 172.16.0.1:0 10.9.9.9:0"),
        (mark, "0 NONE 172.16.0.1:0 0.0.0.7:0"),
    ] {
        let farm = Farm::new(key, 32, 64);
        farm.goes_to(&from(1, 1000), 1);
        assert_eq!(farm.listed(), [want]);
    }
}

#[test]
fn a_flood_of_clients_displaces_only_its_like() {
    let farm = Farm::new(tcp(80), 32, 8);
    let kept = farm.open(&from(1, 1000), 1, NOW).unwrap();
    farm.templates.assure(&farm.pool, &kept);
    for host in 2..=200 {
        let connection = farm.open(&from(host, 1000), 2, NOW).unwrap();
        farm.close(&connection);
    }
    assert_eq!(farm.templates.len(), farm.templates.capacity());
    assert_eq!(farm.goes_to(&from(1, 1001), 2), rip(1).addr);
    let sticking = farm.real(1).load.sticking() + farm.real(2).load.sticking();
    assert_eq!(sticking as usize, farm.templates.len());
}

#[test]
fn a_table_of_clients_that_all_talk_takes_no_more() {
    let farm = Farm::new(tcp(80), 32, 4);
    let room = farm.templates.capacity() as u8;
    for host in 1..=room {
        let connection = farm.open(&from(host, 1000), 1, NOW).unwrap();
        farm.templates.assure(&farm.pool, &connection);
    }
    let refused = farm.open(&from(room + 1, 1000), 1, NOW);
    assert_eq!(refused.err(), Some(Cause::TemplatesFull));
    assert_eq!(farm.real(1).load.sticking(), u32::from(room));
}

#[test]
fn templates_that_are_taken_over_count_their_connections_anew() {
    let farm = Farm::new(ServiceKey::at(Protocol::Tcp, vip(80)), 32, 10);
    let connections = [1, 2].map(|host| farm.open(&from(host, 4000), host, NOW).unwrap());
    farm.templates.assure(&farm.pool, &connections[0]);
    let mut left = Vec::new();
    farm.templates
        .page(Cursor::default(), 10, |entry| left.push(*entry));

    let mut heir = Farm::new(farm.key, 32, 10);
    let latest = Arc::new(ArcSwap::from_pointee(heir.pool.clone()));
    heir.templates = Templates::new(10, 1, latest).unwrap();
    assert!(
        left.iter()
            .all(|template| heir.templates.take_over(*template))
    );
    heir.templates.readopt(&connections[0]);
    assert_eq!(
        (heir.real(1).load.sticking(), heir.real(2).load.sticking()),
        (1, 1)
    );
    for (host, packets, class) in [(1, 1, Class::Established), (2, 0, Class::Unverified)] {
        let client = Client::of(&heir.key, &heir.persistence, &from(host, 5000));
        let held = (heir.templates).held(&heir.pool, &client, NOW, |_| true, || None);
        let (template, real) = held.unwrap();
        let template = template.unwrap();
        assert_eq!(real.endpoint, rip(host));
        assert_eq!((template.packets, template.class()), (packets, class));
    }
    let stray = Entry::new(&from(9, 1), RealId(77), 80, Class::Closing, NOW);
    assert!(!heir.templates.take_over(stray));
}

/// A service of calls, and one of its clients.
fn exchange(key: ServiceKey) -> Farm {
    let mut farm = Farm::new(key, 32, 64);
    farm.persistence.engine = Some(Engine::Sip);
    farm
}

fn udp() -> ServiceKey {
    ServiceKey::at(Protocol::Udp, vip(80))
}

fn caller(host: u8) -> Tuple {
    Tuple {
        protocol: Protocol::Udp,
        ..from(host, 5060)
    }
}

#[test]
fn each_call_of_each_client_sticks_by_itself() {
    let farm = exchange(udp());
    let goes_to = |host, id, choice| {
        let entry = farm.say(&caller(host), Some(id), choice, NOW).unwrap();
        farm.close(&entry);
        farm.pool.real(entry.real()).unwrap().endpoint
    };
    for (host, id, choice, goes) in [
        (1, "a", 1, 1),
        (1, "b", 2, 2),
        (2, "a", 2, 2),
        (1, "a", 2, 1),
        (2, "a", 1, 2),
        (1, "b", 1, 2),
    ] {
        assert_eq!(goes_to(host, id, choice), rip(goes), "{host} {id}");
    }
    let listed = [
        "17 NONE 172.16.0.1:0 10.9.9.9:80 sip a",
        "17 NONE 172.16.0.1:0 10.9.9.9:80 sip b",
        "17 NONE 172.16.0.2:0 10.9.9.9:80 sip a",
    ];
    assert_eq!(farm.listed(), listed);
    let nameless = farm.say(&caller(1), None, 1, NOW);
    assert_eq!(nameless.err(), Some(Cause::NoCallId));
    farm.expire(NOW.after(Ticks::seconds(101)));
    assert!(farm.listed().is_empty());
    let call = farm
        .templates
        .calls
        .call(&key(&udp(), 128, &caller(1)), "a");
    assert_eq!(
        farm.templates.calls.id(call),
        None,
        "it is forgotten with its template"
    );
}

#[test]
fn without_a_mask_a_call_alone_decides() {
    let mut farm = exchange(udp());
    farm.persistence.prefix = 96;
    for (host, choice) in [(1, 1), (9, 2)] {
        let entry = farm.say(&caller(host), Some("a@x"), choice, NOW).unwrap();
        assert_eq!(entry.real(), farm.real(1).id);
    }
    assert_eq!(farm.listed(), ["17 NONE 0.0.0.0:0 10.9.9.9:80 sip a@x"]);
}

#[test]
fn connections_of_calls_find_their_templates_again() {
    let mut farm = exchange(udp());
    let [one, other] = ["a", "b"].map(|id| farm.say(&caller(1), Some(id), 1, NOW).unwrap());
    farm.templates.assure(&farm.pool, &one);
    let removed = Settings::weight(0);
    farm.pool.set_real(&udp(), rip(1), removed).unwrap();
    let moved = farm.say(&caller(1), Some("a"), 2, NOW).unwrap();
    assert_eq!(moved.real(), farm.real(2).id);
    let both = [
        "17 ASSURED 172.16.0.1:0 10.9.9.9:65535 sip a",
        "17 NONE 172.16.0.1:0 10.9.9.9:80 sip a",
        "17 NONE 172.16.0.1:0 10.9.9.9:80 sip b",
    ];
    assert_eq!(farm.listed(), both);
    let over = NOW.after(Ticks::seconds(101));
    farm.close(&moved);
    farm.close(&other);
    farm.expire(over);
    assert_eq!(farm.listed(), both[..1], "the first one has a connection");
    farm.close(&one);
    farm.expire(over.after(Ticks::seconds(61)));
    assert!(farm.templates.is_empty());
}

#[test]
fn only_datagrams_to_a_mark_go_by_calls() {
    let mark = ServiceKey::Mark {
        mark: 7,
        family: Family::Ipv4,
    };
    let farm = exchange(mark);
    farm.say(&caller(1), Some("a"), 1, NOW).unwrap();
    farm.open(&from(1, 1000), 2, NOW).unwrap();
    assert_eq!(
        farm.listed(),
        [
            "0 NONE 172.16.0.1:0 0.0.0.7:0",
            "0 NONE 172.16.0.1:0 0.0.0.7:0 sip a"
        ]
    );
}

#[test]
fn calls_that_are_taken_over_are_known_and_named_again_when_they_go_on() {
    let farm = exchange(udp());
    let call = farm.say(&caller(1), Some("a"), 1, NOW).unwrap();
    let mut left = Vec::new();
    farm.templates
        .page(Cursor::default(), 10, |entry| left.push(*entry));
    let mut heir = exchange(udp());
    let latest = Arc::new(ArcSwap::from_pointee(heir.pool.clone()));
    heir.templates = Templates::new(10, 1, latest).unwrap();
    heir.templates.calls = Calls::new(farm.templates.shape().hash_key());
    assert!(left.iter().all(|entry| heir.templates.take_over(*entry)));
    heir.templates.readopt(&call);
    assert_eq!(heir.listed(), ["17 NONE 172.16.0.1:0 10.9.9.9:80 sip "]);
    let again = heir.say(&caller(1), Some("a"), 2, NOW).unwrap();
    assert_eq!(again.real(), call.real());
    assert_eq!(heir.listed(), ["17 NONE 172.16.0.1:0 10.9.9.9:80 sip a"]);
}
