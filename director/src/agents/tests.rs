use rcgen::{CertificateParams, KeyPair};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::channel::{Able, Listening};

const REAL: &str = "10.0.2.1";
const SERVICE: u16 = 3;

fn endpoint() -> SocketAddr {
    "10.0.2.1:8080".parse().unwrap()
}

pub(super) fn certificate(addr: &str) -> CertificateDer<'static> {
    let params = CertificateParams::new(vec![addr.to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().clone()
}

/// Agents, of which one speaks for [`REAL`] and has been told a key.
struct Bed {
    agents: Agents,
    key: Key,
    /// Whose queues it is asked for beside that.
    asked: Vec<(IpAddr, SocketAddr)>,
    orders: UnboundedReceiver<Order>,
}

impl Bed {
    fn new() -> Self {
        let (send, orders) = unbounded_channel();
        let agents = Agents::default();
        let who = (REAL.parse().unwrap(), certificate(REAL));
        assert!(agents.join(1, who, send, Tick(0)));
        let bed = Self {
            agents,
            key: Key([7; 16]),
            asked: Vec::new(),
            orders,
        };
        bed.tell(&[Some(bed.key), None]);
        bed
    }

    fn tell(&self, keys: &[Option<Key>; 2]) {
        let keys = KeysOf {
            service: SERVICE,
            endpoint: endpoint(),
            keys: keys.map(|key| key.map(Into::into)),
        };
        let other = KeysOf {
            endpoint: "10.0.2.2:8080".parse().unwrap(),
            ..keys.clone()
        };
        let all = [
            (REAL.parse().unwrap(), keys),
            ("10.0.2.2".parse().unwrap(), other),
        ];
        self.agents.tell(&all, &self.asked, 60);
    }

    fn keys(&mut self) -> Option<Keys> {
        match self.orders.try_recv() {
            Ok(Order::Keys(keys)) => Some(keys),
            _ => None,
        }
    }

    fn hear(&self, number: u64, standing: Standing, now: u32) {
        self.agents.hear(1, report(number, standing), Tick(now));
    }

    fn stand(&self, now: u32) -> Result<Abilities, Inability> {
        let real = REAL.parse().unwrap();
        self.agents
            .stand(real, SERVICE, endpoint(), &self.key, Tick(now))
    }
}

fn report(number: u64, standing: Standing) -> Report {
    Report {
        number,
        able: Able {
            cookies: true,
            sack: true,
            ..Able::default()
        },
        listening: vec![Listening {
            endpoint: endpoint(),
            standing,
            waiting: 0,
            limit: 10,
            elsewhere: false,
        }],
        ..Report::default()
    }
}

#[test]
fn an_agent_hears_of_its_own_real_server_only_and_only_what_is_new() {
    let mut bed = Bed::new();
    let keys = bed.keys().unwrap();
    assert_eq!(keys.services.len(), 1);
    assert_eq!(keys.services[0].endpoint, endpoint());
    bed.tell(&[Some(bed.key), None]);
    assert_eq!(bed.keys(), None);
    bed.tell(&[Some(bed.key), Some(Key([8; 16]))]);
    assert_eq!(bed.keys().unwrap().number, keys.number + 1);
}

#[test]
fn an_endpoint_has_as_many_services_as_its_agent_has_room_for() {
    let keys = |service| KeysOf {
        service,
        endpoint: endpoint(),
        keys: [Some(Key([7; 16]).into()), None],
    };
    let all: Vec<_> = (0..6).map(keys).collect();
    let fit = as_many_as_fit(all.iter());
    let services = fit.iter().map(|keys| keys.service);
    assert_eq!(services.collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn a_real_server_takes_connections_while_its_agent_holds_the_key_and_lives() {
    let bed = Bed::new();
    assert_eq!(bed.stand(0), Err("its agent does not hold the key yet"));
    bed.hear(1, Standing::Ready, 5);
    let able = bed.stand(24).unwrap();
    assert!(able.sack && !able.timestamps);
    assert_eq!(bed.stand(25), Err("its agent is silent"));
    bed.hear(1, Standing::Ready, 30);
    assert!(bed.stand(31).is_ok());
    assert!(!bed.agents.part(1), "it had not said that it would go");
    assert_eq!(bed.stand(31), Err("no agent speaks for it"));
    let (send, _orders) = unbounded_channel();
    let who = (REAL.parse().unwrap(), certificate("10.0.2.2"));
    assert!(bed.agents.join(2, who, send, Tick(31)));
    let strange = "the certificate of its agent is not for its address";
    assert_eq!(bed.stand(31), Err(strange));
    bed.agents.part(2);
    assert_eq!(bed.stand(31), Err("no agent speaks for it"));
}

#[test]
fn who_is_not_able_says_why_and_a_former_version_need_not() {
    let bed = Bed::new();
    let hear = |lack| {
        let mut report = report(1, Standing::Ready);
        (report.able.cookies, report.able.lack) = (false, lack);
        bed.agents.hear(1, report, Tick(0));
        bed.stand(0).unwrap_err()
    };
    assert_eq!(hear(None), "its tcp_syncookies is 0");
    assert!(hear(Some(Lack::Kernel)).contains("Linux 6.9"));
    assert!(hear(Some(Lack::Program)).contains("taken off"));
    let mut report = report(1, Standing::Closed);
    report.listening[0].elsewhere = true;
    bed.agents.hear(1, report, Tick(0));
    assert_eq!(bed.stand(0), Err("its address is none of its host's"));
    let former = r#"{"cookies":true,"sack":true,"scale":true,"timestamps":true,"ecn":true}"#;
    let able: Able = serde_json::from_str(former).unwrap();
    assert!(able.cookies && able.lack.is_none());
}

#[test]
fn the_fullest_queue_is_one_that_there_are_keys_for() {
    let bed = Bed::new();
    let hear = |endpoint: &str, waiting| {
        let mut report = report(1, Standing::Ready);
        report.listening[0].endpoint = endpoint.parse().unwrap();
        report.listening[0].waiting = waiting;
        bed.agents.hear(1, report, Tick(0));
        bed.agents.fullest(Tick(0))
    };
    assert_eq!(hear("10.0.2.1:8080", 4), Some(40.0));
    assert_eq!(hear("10.0.2.1:8080", u32::MAX), Some(100.0));
    assert_eq!(hear("10.0.2.9:8080", 9), None);
}

#[test]
fn an_agent_is_asked_for_the_queues_of_its_own_real_server_each_once() {
    let mut bed = Bed::new();
    assert!(bed.keys().unwrap().queues.is_empty());
    let place = |addr: &str, port: u16| {
        let addr: IpAddr = addr.parse().unwrap();
        (addr, SocketAddr::new(addr, port))
    };
    let (own, other) = (place(REAL, 9090), place("10.0.2.2", 9090));
    bed.asked = vec![own, other, own, place(REAL, 81)];
    bed.tell(&[Some(bed.key), None]);
    let keys = bed.keys().unwrap();
    assert_eq!((keys.number, keys.queues.len()), (2, 2));
    assert_eq!(keys.queues, [place(REAL, 81).1, own.1]);
    bed.tell(&[Some(bed.key), None]);
    assert_eq!(bed.keys(), None);
    bed.asked.clear();
    bed.tell(&[Some(bed.key), None]);
    assert!(bed.keys().unwrap().queues.is_empty());
}

#[test]
fn how_full_a_queue_is_is_known_while_its_agent_lives_and_tells() {
    let bed = Bed::new();
    let at: SocketAddr = "10.0.2.1:9090".parse().unwrap();
    let filled = |now| bed.agents.filled(at.ip(), at, Tick(now));
    let hear = |standing, (waiting, limit), elsewhere| {
        let mut report = report(1, standing);
        report.listening[0] = Listening {
            endpoint: at,
            standing,
            waiting,
            limit,
            elsewhere,
        };
        bed.agents.hear(1, report, Tick(0));
        filled(0)
    };
    assert_eq!(filled(0), Err("its agent has not looked yet"));
    for (standing, queue, percent) in [
        (Standing::Ready, (0, 128), 0),
        (Standing::Ready, (127, 128), 99),
        (Standing::Ready, (1, 3), 33),
        (Standing::Refused, (3, 4), 75),
        (Standing::Full, (129, 128), 100),
        (Standing::Full, (1, 1), 100),
    ] {
        assert_eq!(hear(standing, queue, false), Ok(percent), "{queue:?}");
    }
    assert_eq!(bed.agents.fullest(Tick(0)), None, "there is no key for it");
    assert_eq!(hear(Standing::Closed, (0, 0), false), Err("nobody listens"));
    let strange = Err("its address is none of its host's");
    assert_eq!(hear(Standing::Closed, (0, 0), true), strange);
    assert_eq!(filled(20), Err("its agent is silent"));
    bed.agents.part(1);
    assert_eq!(filled(0), Err("no agent speaks for it"));
}

#[test]
fn what_is_told_is_held_when_it_is_acknowledged() {
    let mut bed = Bed::new();
    bed.hear(1, Standing::Ready, 0);
    let next = Key([8; 16]);
    bed.tell(&[Some(bed.key), Some(next)]);
    bed.hear(1, Standing::Ready, 1);
    assert!(bed.stand(1).is_ok());
    bed.key = next;
    assert!(bed.stand(1).is_err());
    bed.hear(2, Standing::Ready, 2);
    assert!(bed.stand(2).is_ok());
}

#[test]
fn who_cannot_take_them_is_not_asked_to() {
    let bed = Bed::new();
    for (standing, why) in [
        (Standing::Closed, "nobody listens"),
        (Standing::Mptcp, "the listener is one of MPTCP"),
        (Standing::Refused, "the kernel refuses"),
        (Standing::Full, "the listen queue is full"),
    ] {
        bed.hear(1, standing, 0);
        assert_eq!(bed.stand(0), Err(why));
    }
    let deaf = Report {
        able: Able::default(),
        ..report(1, Standing::Ready)
    };
    bed.agents.hear(1, deaf, Tick(0));
    assert_eq!(bed.stand(0), Err("its tcp_syncookies is 0"));
    let leaving = Report {
        leaving: true,
        ..report(1, Standing::Ready)
    };
    bed.agents.hear(1, leaving, Tick(0));
    assert_eq!(bed.stand(0), Err("its agent is ending"));
    assert!(bed.agents.part(1), "it had said that it would go");
}
