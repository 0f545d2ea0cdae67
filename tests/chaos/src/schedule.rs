//! Which faults happen, when and for how long: a pure function of the seed, so that a run can be done again.

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

/// Client processes; check/model.go says the same.
pub(crate) const CLIENTS: usize = 4;

/// Sequencers: one at work, and one that may take over.
pub(crate) const SEQUENCERS: usize = 2;

/// Workers, which share the jobs.
pub(crate) const WORKERS: usize = 2;

/// Brokers; a record counts when two of them have it.
pub(crate) const BROKERS: usize = 3;

/// Before this, everything is well.
const QUIET_MS: u64 = 3_000;

/// From one fault's beginning to the next one's.
const GAP_MS: Range<u64> = 1_500..4_500;

/// How long a fault lasts: also past the 10 s after which a group gives a member up.
const LENGTH_MS: Range<u64> = 1_000..14_000;

/// How long a broker that is started again may need until it takes part.
const BROKER_START_MS: u64 = 12_000;

/// How long Cassandra may need until it answers again, its commit log read.
const CASSANDRA_START_MS: u64 = 20_000;

/// Delays of a slow line, each way.
const DELAY_MS: Range<u64> = 50..800;

/// A process of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Sequencer(usize),
    Projector,
    Worker(usize),
    Client(usize),
}

/// A way to the brokers: each sequencer has one of its own, all others share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    Others,
    Sequencer(usize),
}

impl Door {
    pub(crate) const ALL: [Self; SEQUENCERS + 1] = [Self::Others, Self::Sequencer(0), Self::Sequencer(1)];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Others => 0,
            Self::Sequencer(number) => number + 1,
        }
    }
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    KillBroker(usize),
    FreezeBroker(usize),
    /// Asked to end, and started again.
    RestartBroker(usize),
    /// Its disk is full, which ends it; it is started again when there is room.
    FillBroker(usize),
    /// All but this one: nothing can be acknowledged, and the controllers have no majority.
    FreezeBrokersBut(usize),
    Kill(Who),
    Freeze(Who),
    /// Killed with everything that they keep: they come back as on new machines.
    LoseBothSequencers,
    KillCassandra,
    FreezeCassandra,
    /// Connections break and are refused, to one broker or to all.
    Cut(Door, Option<usize>),
    /// Connections stand, but nothing arrives until the end.
    Silence(Door, Option<usize>),
    /// Every chunk takes so many milliseconds longer.
    Slow(Door, u64),
}

impl Fault {
    /// Returns what counts as the same kind.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::KillBroker(_) => "broker killed",
            Self::FreezeBroker(_) => "broker frozen",
            Self::RestartBroker(_) => "broker restarted",
            Self::FillBroker(_) => "broker's disk full",
            Self::FreezeBrokersBut(_) => "two brokers frozen",
            Self::Kill(Who::Sequencer(_)) => "sequencer killed",
            Self::Kill(Who::Projector) => "projector killed",
            Self::Kill(Who::Worker(_)) => "worker killed",
            Self::Kill(Who::Client(_)) => "client killed",
            Self::Freeze(Who::Sequencer(_)) => "sequencer frozen",
            Self::Freeze(Who::Projector) => "projector frozen",
            Self::Freeze(Who::Worker(_)) => "worker frozen",
            Self::Freeze(Who::Client(_)) => "client frozen",
            Self::LoseBothSequencers => "both sequencers lost",
            Self::KillCassandra => "Cassandra killed",
            Self::FreezeCassandra => "Cassandra frozen",
            Self::Cut(..) => "line cut",
            Self::Silence(..) => "line silent",
            Self::Slow(..) => "line slow",
        }
    }

    /// Returns the engine that it happens to, and there only one fault at a time.
    pub(crate) fn engine(self) -> Option<Engine> {
        match self.lanes()[..] {
            [Lane::Engine(engine)] => Some(engine),
            _ => None,
        }
    }

    /// Returns how long what it happened to may need afterwards until it is as before.
    fn rest_ms(self) -> u64 {
        match self {
            Self::KillBroker(_) | Self::RestartBroker(_) | Self::FillBroker(_) => BROKER_START_MS,
            Self::KillCassandra => CASSANDRA_START_MS,
            _ => GAP_MS.start,
        }
    }

    /// Returns what it keeps busy: there, only one fault happens at a time.
    fn lanes(self) -> Vec<Lane> {
        match self {
            Self::KillBroker(_) | Self::FreezeBroker(_) | Self::RestartBroker(_) | Self::FillBroker(_) | Self::FreezeBrokersBut(_) => {
                vec![Lane::Engine(Engine::Kafka)]
            }
            Self::KillCassandra | Self::FreezeCassandra => vec![Lane::Engine(Engine::Cassandra)],
            Self::Kill(who) | Self::Freeze(who) => vec![Lane::Process(who)],
            Self::LoseBothSequencers => vec![Lane::Process(Who::Sequencer(0)), Lane::Process(Who::Sequencer(1))],
            Self::Cut(door, _) | Self::Silence(door, _) | Self::Slow(door, _) => vec![Lane::Line(door)],
        }
    }
}

/// A program of others that ours need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Engine {
    Kafka,
    Cassandra,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Engine(Engine),
    Process(Who),
    Line(Door),
}

/// What takes part in a run, and what it leaves out of the ordinary, to look at one thing.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Choice {
    /// Read models are on a Cassandra, which suffers faults as well; otherwise in the projector's folder.
    #[arg(long)]
    pub(crate) cassandra: bool,
    /// Only faults of this kind, such as "broker frozen".
    #[arg(long)]
    only: Option<String>,
    /// Every fault lasts so many seconds.
    #[arg(long, value_name = "SECONDS")]
    lasting: Option<u64>,
}

/// A fault with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) at_ms: u64,
    pub(crate) lasts_ms: u64,
    pub(crate) fault: Fault,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {:.1} s: {:?}", self.fault.kind(), self.lasts_ms as f64 / 1_000.0, self.fault)
    }
}

/// Returns the faults of a run; the last has ended when `length_ms` have passed, but for engines that still start.
///
/// Kinds are dealt like cards, so that each comes before any comes again.
pub(crate) fn plan(seed: u64, length_ms: u64, choice: &Choice) -> Vec<Planned> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut deck, mut planned, mut at_ms) = (Vec::new(), Vec::new(), QUIET_MS);
    let mut free_at: HashMap<Lane, u64> = HashMap::new();
    while at_ms < length_ms {
        if deck.is_empty() {
            deck = deal(choice, &mut random);
            deck.retain(|fault| choice.only.as_ref().is_none_or(|kind| fault.kind() == kind));
        }
        let drawn_ms = random.random_range(LENGTH_MS);
        let lasts_ms = choice.lasting.map_or(drawn_ms, |seconds| seconds * 1_000);
        // The next card whose place is free; when none is, time passes.
        let is_free = |fault: &Fault| fault.lanes().iter().all(|lane| free_at.get(lane).is_none_or(|free| *free <= at_ms));
        if let Some(found) = deck.iter().position(is_free) {
            let fault = deck.remove(found);
            if at_ms + lasts_ms > length_ms {
                return planned;
            }
            for lane in fault.lanes() {
                free_at.insert(lane, at_ms + lasts_ms + fault.rest_ms());
            }
            planned.push(Planned { at_ms, lasts_ms, fault });
        }
        at_ms += random.random_range(GAP_MS);
    }
    planned
}

fn deal(choice: &Choice, random: &mut StdRng) -> Vec<Fault> {
    let broker = |random: &mut StdRng| random.random_range(0..BROKERS);
    let sequencer = |random: &mut StdRng| random.random_range(0..SEQUENCERS);
    let worker = |random: &mut StdRng| random.random_range(0..WORKERS);
    let some_broker = |random: &mut StdRng| random.random_bool(0.5).then(|| random.random_range(0..BROKERS));
    let door = |random: &mut StdRng| Door::ALL[random.random_range(0..Door::ALL.len())];
    let mut deck = vec![
        Fault::KillBroker(broker(random)),
        Fault::FreezeBroker(broker(random)),
        Fault::RestartBroker(broker(random)),
        Fault::FillBroker(broker(random)),
        Fault::FreezeBrokersBut(broker(random)),
        Fault::Kill(Who::Sequencer(sequencer(random))),
        Fault::Freeze(Who::Sequencer(0)),
        Fault::Freeze(Who::Sequencer(1)),
        Fault::LoseBothSequencers,
        Fault::Kill(Who::Projector),
        Fault::Freeze(Who::Projector),
        Fault::Kill(Who::Worker(worker(random))),
        Fault::Freeze(Who::Worker(worker(random))),
        Fault::Kill(Who::Client(random.random_range(0..CLIENTS))),
        Fault::Freeze(Who::Client(random.random_range(0..CLIENTS))),
        Fault::Cut(Door::Sequencer(sequencer(random)), some_broker(random)),
        Fault::Silence(Door::Sequencer(sequencer(random)), some_broker(random)),
        Fault::Cut(Door::Others, some_broker(random)),
        Fault::Silence(Door::Others, some_broker(random)),
        Fault::Slow(door(random), random.random_range(DELAY_MS)),
    ];
    if choice.cassandra {
        deck.extend([Fault::KillCassandra, Fault::FreezeCassandra]);
    }
    deck.shuffle(random);
    deck
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_seed_is_a_schedule() {
        assert_eq!(plan(7, 300_000, &Choice::default()), plan(7, 300_000, &Choice::default()));
        assert_ne!(plan(7, 300_000, &Choice::default()), plan(8, 300_000, &Choice::default()));
    }

    /// As tests/chaos/run lets them happen.
    fn with_cassandra() -> Choice {
        Choice { cassandra: true, ..Choice::default() }
    }

    fn kinds(seed: u64, length_ms: u64, choice: &Choice) -> HashSet<&'static str> {
        plan(seed, length_ms, choice).iter().map(|planned| planned.fault.kind()).collect()
    }

    #[test]
    fn every_kind_of_fault_comes_in_a_few_minutes() {
        for seed in 0..20 {
            for (choice, count) in [(Choice::default(), 17), (with_cassandra(), 19)] {
                let kinds = kinds(seed, 300_000, &choice);
                assert_eq!(kinds.len(), count, "seed {seed} has {kinds:?}");
            }
        }
    }

    #[test]
    fn the_short_run_has_every_kind_of_fault() {
        // Seconds and seed as in infra/setup/live.sh.
        let kinds = kinds(1, 75_000, &with_cassandra());
        assert_eq!(kinds.len(), 19, "{kinds:?}");
    }

    #[test]
    fn faults_of_one_place_do_not_overlap_and_end_in_time() {
        for seed in 0..20 {
            let planned = plan(seed, 120_000, &with_cassandra());
            for (index, later) in planned.iter().enumerate() {
                assert!(later.at_ms + later.lasts_ms <= 120_000, "seed {seed}");
                for earlier in &planned[..index] {
                    let is_shared = later.fault.lanes().iter().any(|lane| earlier.fault.lanes().contains(lane));
                    let over_ms = earlier.at_ms + earlier.lasts_ms + earlier.fault.rest_ms();
                    assert!(!is_shared || over_ms <= later.at_ms, "seed {seed}: {earlier} and {later}");
                }
            }
        }
    }
}
