//! The protocol of `log::sequencer`, looked at in every order in which its steps can happen (Stateright explores all of them).
//!
//! The rule, what is written, and how it is read are the production functions; the model is what lies between: commits that arrive alone or
//! together, late or twice, two sequencers of which one may be a zombie, producers that die with records on their way, and a reader that lags.
//! Takes minutes at full scope on a slow machine, so CI looks at a smaller one: set CLIPFLOW_MODEL=full for the larger.

use bytes::Bytes;
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use proto::{Metadata, NewEvent, StreamName};
use runtime::log::sequencer::{Assembler, Body, Output, PartitionState, Place, by_commit, judge};
use runtime::log::{Commit, Expected, StreamAppend, Verdict};
use stateright::{Checker as _, Model, Property};
use std::collections::{HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use uuid::Uuid;

/// What may go wrong, and how often: the scope of the search.
struct Protocol {
    /// What appenders send, each at any time.
    commits: Vec<Commit>,
    /// Times that any of them is sent once more.
    repeats: u8,
    /// Sequencers that start after the first.
    takeovers: u8,
    /// A producer may lose a record and write the next: what the settings of the real one exclude.
    may_skip: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct State {
    /// The commits topic: records of commits, by index into the scope's.
    ordered: Vec<Vec<usize>>,
    unsent: Vec<usize>,
    repeats: u8,
    takeovers: u8,
    /// The events topic.
    log: Vec<Output>,
    sequencers: Vec<Sequencer>,
    reader: Assembler,
    read: usize,
    /// The reader met something that cannot be.
    is_disordered: bool,
    /// An appender that was told as soon as its commit was judged was told what no reader will read.
    is_told_wrong: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Sequencer {
    /// What it knows; none once it has crashed, though records may still be on their way.
    state: Option<PartitionState>,
    next_commit: usize,
    on_the_way: VecDeque<Output>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Arrive(usize),
    /// Everything that is unsent, in one record.
    ArriveTogether,
    ArriveAgain(usize),
    Judge(usize),
    Write(usize),
    Skip(usize),
    Crash(usize),
    LoseWhatIsOnTheWay(usize),
    TakeOver,
    Read,
}

/// Sequencers that exist at a time: one, and a zombie.
const SEQUENCERS_MAX: usize = 2;

impl Sequencer {
    /// Starts where the events topic ends, as the real one does.
    fn start(log: &[Output]) -> Self {
        let (mut state, mut assembler) = (PartitionState::default(), Assembler::default());
        for output in log {
            if let Ok(Some(commit)) = assembler.push(output.clone()) {
                state.fold(&commit);
            }
        }
        // In records, as `State::ordered`.
        let next_commit = state.last().map_or(0, |last| last.commit_offset as usize + 1);
        Self { state: Some(state), next_commit, on_the_way: VecDeque::new() }
    }
}

impl Protocol {
    /// The verdict on a commit if nothing goes wrong.
    fn verdict(&self, ordered: &[Vec<usize>], id: CommitId) -> Verdict {
        let said: Vec<_> = self.truth(ordered).into_iter().filter(|output| output.commit == id).collect();
        Output::verdict(&said)
    }

    /// What the outputs are if nothing goes wrong.
    fn truth(&self, ordered: &[Vec<usize>]) -> Vec<Output> {
        let mut state = PartitionState::default();
        (0..).zip(ordered).flat_map(|(offset, record)| judge(&mut state, self.commits(record), offset).outputs).collect()
    }

    /// The commits of a record.
    fn commits(&self, record: &[usize]) -> impl Iterator<Item = Commit> {
        record.iter().map(|commit| self.commits[*commit].clone())
    }
}

/// What a reader from the start makes of the topic; none when it finds it out of order.
fn read_all(log: &[Output]) -> Option<Vec<Output>> {
    let mut assembler = Assembler::default();
    let mut seen = vec![];
    for output in log {
        seen.extend(assembler.push(output.clone()).ok()?.into_iter().flatten());
    }
    Some(seen)
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            ordered: vec![],
            unsent: (0..self.commits.len()).collect(),
            repeats: self.repeats,
            takeovers: self.takeovers,
            log: vec![],
            sequencers: vec![Sequencer::start(&[])],
            reader: Assembler::default(),
            read: 0,
            is_disordered: false,
            is_told_wrong: false,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        steps.extend(state.unsent.iter().map(|commit| Step::Arrive(*commit)));
        if state.unsent.len() > 1 {
            steps.push(Step::ArriveTogether);
        }
        if state.repeats > 0 {
            steps.extend(state.ordered.iter().flatten().collect::<HashSet<_>>().into_iter().map(|commit| Step::ArriveAgain(*commit)));
        }
        for (index, sequencer) in state.sequencers.iter().enumerate() {
            if sequencer.state.is_some() {
                if sequencer.next_commit < state.ordered.len() {
                    steps.push(Step::Judge(index));
                }
                steps.push(Step::Crash(index));
            }
            if !sequencer.on_the_way.is_empty() {
                steps.push(Step::Write(index));
                if sequencer.state.is_none() {
                    steps.push(Step::LoseWhatIsOnTheWay(index));
                }
                if self.may_skip {
                    steps.push(Step::Skip(index));
                }
            }
        }
        if state.takeovers > 0 && state.sequencers.len() < SEQUENCERS_MAX {
            steps.push(Step::TakeOver);
        }
        if state.read < state.log.len() {
            steps.push(Step::Read);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        match step {
            Step::Arrive(commit) => {
                next.unsent.retain(|unsent| *unsent != commit);
                next.ordered.push(vec![commit]);
            }
            Step::ArriveTogether => next.ordered.push(std::mem::take(&mut next.unsent)),
            Step::ArriveAgain(commit) => {
                next.repeats -= 1;
                // Beside one that has not arrived yet, where there is one.
                next.ordered.push(next.unsent.pop().into_iter().chain([commit, commit]).collect());
            }
            Step::Judge(index) => {
                let sequencer = &mut next.sequencers[index];
                let known = sequencer.state.as_mut()?;
                let judged = judge(known, self.commits(&next.ordered[sequencer.next_commit]), sequencer.next_commit as u64);
                next.is_told_wrong |= judged.answers.iter().any(|((_, id), told)| told.verdict != self.verdict(&next.ordered, *id));
                sequencer.on_the_way.extend(judged.outputs);
                sequencer.next_commit += 1;
            }
            Step::Write(index) => next.log.push(next.sequencers[index].on_the_way.pop_front()?),
            Step::Skip(index) => drop(next.sequencers[index].on_the_way.pop_front()?),
            Step::Crash(index) => next.sequencers[index].state = None,
            Step::LoseWhatIsOnTheWay(index) => next.sequencers[index].on_the_way.clear(),
            Step::TakeOver => {
                next.takeovers -= 1;
                next.sequencers.push(Sequencer::start(&next.log));
            }
            Step::Read => {
                next.is_disordered |= next.reader.push(next.log[next.read].clone()).is_err();
                next.read += 1;
            }
        }
        next.sequencers.retain(|sequencer| sequencer.state.is_some() || !sequencer.on_the_way.is_empty());
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every reader sees a prefix of the same history", |model: &Protocol, state: &State| {
                let truth = model.truth(&state.ordered);
                read_all(&state.log).is_some_and(|seen| truth.starts_with(&seen)) && !state.is_disordered
            }),
            Property::always("nothing that was put in order is lost", |model: &Protocol, state: &State| {
                let is_done = |sequencer: &Sequencer| {
                    sequencer.state.is_some() && sequencer.next_commit == state.ordered.len() && sequencer.on_the_way.is_empty()
                };
                !state.sequencers.iter().any(is_done) || read_all(&state.log) == Some(model.truth(&state.ordered))
            }),
            Property::always("who is told at once is told what every reader reads", |_: &Protocol, state: &State| !state.is_told_wrong),
            Property::always("positions and versions rise one by one", |_: &Protocol, state: &State| {
                let events = read_all(&state.log).unwrap_or_default();
                let events: Vec<_> =
                    events.iter().filter_map(|output| if let Body::Event(event) = &output.body { Some(event) } else { None }).collect();
                let is_first = |at: usize| {
                    let before = events[..at].iter().filter(|other| other.stream == events[at].stream).count();
                    events[at].version == before as u64
                };
                events.iter().map(|event| event.position).eq(0..events.len() as u64) && (0..events.len()).all(is_first)
            }),
            Property::always("a commit id has one verdict", |_: &Protocol, state: &State| {
                let seen = read_all(&state.log).unwrap_or_default();
                let mut ids = HashSet::new();
                by_commit(&seen).all(|said| ids.insert(said[0].commit))
            }),
            Property::sometimes("a commit is rejected", |_: &Protocol, state: &State| {
                state.log.iter().any(|output| matches!(output.body, Body::Rejected { .. }))
            }),
            Property::sometimes("two sequencers write the same", |_: &Protocol, state: &State| {
                state.log.iter().enumerate().any(|(at, output)| state.log[..at].contains(output))
            }),
            Property::sometimes(
                "a record that was cut short between its commits is completed by another sequencer",
                |model: &Protocol, state: &State| {
                    let truth = model.truth(&state.ordered);
                    let ends_between = |last: &Output| {
                        let next = truth.iter().find(|next| next.place == Place { index: last.place.index + 1, ..last.place });
                        next.is_some_and(|next| next.commit != last.commit)
                    };
                    let is_written_again = |pair: &[Output]| pair[1].place == Place { index: 0, ..pair[0].place } && ends_between(&pair[0]);
                    state.log.windows(2).any(is_written_again)
                },
            ),
            Property::sometimes("a commit that was cut short is completed by another sequencer", |_: &Protocol, state: &State| {
                state.log.windows(2).any(|pair| pair[0] == pair[1] && pair[0].count > 1 && pair[0].place.index == 0)
            }),
            Property::sometimes("a repeated commit is passed over", |model: &Protocol, state: &State| {
                by_commit(&model.truth(&state.ordered)).count() < state.ordered.iter().flatten().count()
                    && read_all(&state.log) == Some(model.truth(&state.ordered))
            }),
        ]
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.ordered, &self.unsent, self.repeats, self.takeovers, self.read, self.is_disordered, self.reader.next_position())
            .hash(hasher);
        hash_outputs(self.log.iter(), hasher);
        for sequencer in &self.sequencers {
            sequencer.next_commit.hash(hasher);
            sequencer.state.as_ref().map(|state| (state.next_position(), state.last())).hash(hasher);
            hash_outputs(sequencer.on_the_way.iter(), hasher);
        }
    }
}

fn hash_outputs<'a>(outputs: impl ExactSizeIterator<Item = &'a Output>, hasher: &mut impl Hasher) {
    outputs.len().hash(hasher);
    for output in outputs {
        (output.place, output.commit.0).hash(hasher);
    }
}

/// A commit of one or two streams; `id` makes its ids.
pub(crate) fn commit(id: u128, streams: &[(u128, Expected, usize)]) -> Commit {
    let event = |stream: u128, index: usize| NewEvent {
        id: EventId(Uuid::from_u128(id << 64 | stream << 8 | index as u128)),
        event_type: "video.tested".into(),
        schema_version: 1,
        payload: Bytes::new(),
    };
    let append = |&(stream, expected, events): &(u128, Expected, usize)| StreamAppend {
        stream: StreamName::new("video", Uuid::from_u128(stream)),
        expected,
        events: (0..events).map(|index| event(stream, index)).collect(),
    };
    let metadata = Metadata { at: Timestamp(0), actor: "test".into(), correlation: Uuid::nil(), causation: None, traceparent: None };
    Commit {
        id: CommitId(Uuid::from_u128(id)),
        workspace: WorkspaceId(Uuid::nil()),
        streams: streams.iter().map(append).collect(),
        metadata,
    }
}

fn scope(is_full: bool, may_skip: bool) -> Protocol {
    let mut commits = vec![
        commit(1, &[(1, Expected::Empty, 1), (2, Expected::Empty, 1)]),
        // Rejected when it comes second.
        commit(2, &[(1, Expected::Empty, 1)]),
    ];
    if is_full {
        commits.push(commit(3, &[(2, Expected::Exact(0), 1)]));
    }
    Protocol { commits, repeats: 1, takeovers: if is_full { 2 } else { 1 }, may_skip }
}

#[test]
fn whatever_happens_in_whatever_order_every_reader_sees_the_same_history() {
    let is_full = std::env::var("CLIPFLOW_MODEL").is_ok_and(|scope| scope == "full");
    let checker = scope(is_full, false).checker().threads(2).spawn_bfs().join();
    println!("{} states, {} of them different, depth {}", checker.state_count(), checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

#[test]
fn a_producer_that_skips_a_record_is_found_out() {
    let checker = scope(false, true).checker().threads(2).spawn_bfs().join();
    let found = checker.discovery("every reader sees a prefix of the same history");
    assert!(found.is_some(), "the model must notice what the producer's settings are there to exclude");
}
