//! Two honest ends, a network that loses, repeats and reorders on both sides of the director:
//! nothing that they send is invalid, and the states end right.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::endpoint::{Endpoint, Nature};
use super::*;
use crate::tcp::ATTACKED;

/// What the network does to segments.
#[derive(Clone, Copy, Debug)]
struct Network {
    loss: f64,
    repetition: f64,
    /// Longest delay of one link, ticks.
    delay: u32,
}

/// Segments under way on one link, with the tick of their arrival.
#[derive(Debug, Default)]
struct Link(Vec<(u32, Segment)>);

impl Link {
    fn send(&mut self, segment: Segment, now: u32, network: Network, rng: &mut StdRng) {
        let copies = 1 + u32::from(rng.random_bool(network.repetition));
        for _ in 0..copies {
            if !rng.random_bool(network.loss) {
                let arrival = now + rng.random_range(1..=network.delay);
                self.0.push((arrival, segment));
            }
        }
    }

    fn arrived(&mut self, now: u32) -> Vec<Segment> {
        let (arrived, waiting): (Vec<_>, Vec<_>) =
            self.0.drain(..).partition(|(arrival, _)| *arrival <= now);
        self.0 = waiting;
        arrived.into_iter().map(|(_, segment)| segment).collect()
    }
}

/// Whether the director follows the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Follows,
    /// Somebody else does, and tells nothing.
    Away,
    /// It is back, and waits for a segment to go on with.
    Back,
    /// It follows it again, from a segment that may have been overtaken.
    Again,
}

/// Client, director, real server, and the links between them.
struct World {
    ends: [Endpoint; 2],
    /// From each end to the director, and from there to the other end.
    up: [Link; 2],
    down: [Link; 2],
    tracking: Option<Tracking>,
    watch: Watch,
    table: &'static StateTable,
    network: Network,
    rng: StdRng,
    now: u32,
}

impl World {
    fn new(natures: [Nature; 2], network: Network, seed: u64) -> Self {
        let [client, server] = natures;
        Self {
            ends: [Endpoint::new(client, true), Endpoint::new(server, false)],
            up: Default::default(),
            down: Default::default(),
            tracking: None,
            watch: Watch::Follows,
            table: &NORMAL,
            network,
            rng: StdRng::seed_from_u64(seed),
            now: 0,
        }
    }

    /// One tick of everything.
    fn tick(&mut self) {
        self.now += 1;
        for direction in [Direction::Original, Direction::Reply] {
            let (from, to) = (direction as usize, direction.reversed() as usize);
            self.ends[from].tick(&mut self.rng);
            for segment in std::mem::take(&mut self.ends[from].out) {
                self.up[from].send(segment, self.now, self.network, &mut self.rng);
            }
            for segment in self.up[from].arrived(self.now) {
                if self.passes(direction, &segment) {
                    self.down[from].send(segment, self.now, self.network, &mut self.rng);
                }
            }
            for segment in self.down[from].arrived(self.now) {
                self.ends[to].receive(&segment);
            }
        }
    }

    fn passes(&mut self, direction: Direction, segment: &Segment) -> bool {
        let Some(tracking) = &mut self.tracking else {
            self.tracking = Some(Tracking::opening(segment));
            return true;
        };
        if self.watch == Watch::Back {
            if let Some(regained) = tracking.regained(direction, segment) {
                *tracking = regained;
                self.watch = Watch::Again;
            }
        }
        if matches!(self.watch, Watch::Away | Watch::Back) {
            return true;
        }
        let before = *tracking;
        if tracking.state.is_over() && segment.flags.opens() {
            // A repeated SYN that has outlived its connection.
            return false;
        }
        let receiver = &self.ends[direction.reversed() as usize];
        match tracking.judge(direction, segment, self.table) {
            Judgement::Accept { .. } | Judgement::Ignore(_) => true,
            // The next acknowledgement of the other end sets that right.
            Judgement::Invalid(Invalid::DataAboveWindow) if self.watch == Watch::Again => false,
            Judgement::Invalid(Invalid::Reset) if receiver.ignores_reset(segment) => false,
            said => panic!(
                "{said:?} at {}: {direction:?} {segment:?}, {before:#?}",
                self.now
            ),
        }
    }

    fn state(&self) -> State {
        self.tracking.map(|t| t.state).unwrap_or_default()
    }

    fn tick_times(&mut self, times: u32) {
        (0..times).for_each(|_| self.tick());
    }

    fn is_quiet(&self) -> bool {
        self.up
            .iter()
            .chain(&self.down)
            .all(|link| link.0.is_empty())
    }

    /// Runs until `done`, then until nothing is under way.
    fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        while !(done(self) && self.is_quiet()) {
            self.tick();
            assert!(self.now < 100_000, "does not end: {:#?}", self.ends);
        }
    }
}

prop_compose! {
    fn natures()(
        isn in prop_oneof![any::<u32>(), (0u32..100_000).prop_map(|n| u32::MAX - n)],
        total in prop_oneof![0u64..3, 0u64..200_000],
        buffer in prop_oneof![500u64..10_000, 10_000u64..2_000_000],
        scale in prop::option::of(0u8..=14),
        chunk in prop_oneof![1_000u64..1_500, 1_000u64..65_000],
        sack: bool,
        eager: bool,
    ) -> Nature {
        let buffer = buffer.max(1 << scale.unwrap_or(0));
        let total = total.min(buffer * 40);
        Nature { isn, total, buffer, scale, chunk, sack, eager }
    }
}

prop_compose! {
    fn networks()(
        loss in prop_oneof![Just(0.0), 0.0..0.2],
        repetition in prop_oneof![Just(0.0), 0.0..0.2],
        delay in 1u32..12,
    ) -> Network {
        Network { loss, repetition, delay }
    }
}

/// One end at least closes by itself.
fn willing([mut client, server]: [Nature; 2]) -> [Nature; 2] {
    client.eager |= !server.eager;
    [client, server]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn honest_traffic_is_never_invalid_and_ends_in_time_wait(
        pair in prop::array::uniform2(natures()),
        network in networks(),
        seed: u64,
    ) {
        let mut world = World::new(willing(pair), network, seed);
        world.run_until(|world| world.ends.iter().all(Endpoint::is_done));
        prop_assert_eq!(world.state(), State::TimeWait);
    }

    #[test]
    fn honest_traffic_is_never_invalid_under_attack(
        pair in prop::array::uniform2(natures()),
        network in networks(),
        seed: u64,
    ) {
        let mut world = World::new(willing(pair), network, seed);
        world.table = &ATTACKED;
        world.run_until(|world| world.ends.iter().all(Endpoint::is_done));
        // A FIN of a client that is not believed yet moves nothing.
        let tracking = world.tracking.unwrap_or_default();
        prop_assert!(matches!(tracking.state, State::TimeWait | State::FinWait), "{:?}", tracking);
        prop_assert!(tracking.is_proved());
    }

    /// Whatever has passed meanwhile, or has been lost, and whichever segment is the first one seen,
    /// as long as none comes later than a window after it: all that is said arrives.
    #[test]
    fn honest_traffic_goes_on_after_nobody_knows_what(
        pair in prop::array::uniform2(natures()),
        network in networks(),
        seed: u64,
        before in 0u32..100,
        away in 1u32..300,
    ) {
        let network = Network { delay: network.delay.min(3), ..network };
        let mut world = World::new(willing(pair), network, seed);
        while !world.tracking.is_some_and(|tracking| tracking.is_proved()) {
            world.tick();
        }
        world.tick_times(before);
        if world.state() == State::Established {
            world.watch = Watch::Away;
            world.tick_times(away);
            world.watch = Watch::Back;
        }
        world.run_until(|world| world.ends.iter().all(Endpoint::is_done));
    }

    #[test]
    fn a_reset_that_the_other_end_takes_closes(
        pair in prop::array::uniform2(natures()),
        network in networks(),
        seed: u64,
        aborter in 0usize..2,
        patience in 0u32..300,
    ) {
        let in_order = Network { delay: 1, ..network };
        let tracking = aborted(pair, in_order, seed, aborter, patience);
        prop_assert_eq!(tracking.state, State::Close);
    }

    /// A RST that overtakes the data before it, and finds it in place at the other end, is taken
    /// there without a word: nobody can know, so that it is left open, and noted.
    #[test]
    fn a_reset_that_overtakes_data_closes_or_is_doubtful(
        pair in prop::array::uniform2(natures()),
        network in networks(),
        seed: u64,
        aborter in 0usize..2,
        patience in 0u32..300,
    ) {
        let tracking = aborted(pair, network, seed, aborter, patience);
        let closed = tracking.state == State::Close;
        prop_assert!(closed || tracking.has_doubtful_reset(), "{:?}", tracking);
    }
}

/// What is known in the end of a connection that one end aborts, `patience` ticks after both have
/// opened it. The other end has more to say, so that it meets the RST at last.
fn aborted(
    pair: [Nature; 2],
    network: Network,
    seed: u64,
    aborter: usize,
    patience: u32,
) -> Tracking {
    let mut pair = pair.map(|nature| Nature {
        eager: false,
        ..nature
    });
    pair[1 - aborter].total += 3_000_000;
    let mut world = World::new(pair, network, seed);
    while !world.ends.iter().all(Endpoint::is_open) {
        world.tick();
    }
    world.tick_times(patience);
    world.ends[aborter].abort();
    world.run_until(|world| world.ends.iter().all(Endpoint::is_dead));
    world.tracking.unwrap_or_default()
}
