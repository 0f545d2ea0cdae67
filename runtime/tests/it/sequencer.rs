//! The rule and the assembler, case by case.

use crate::sequencer_model::commit;
use runtime::log::sequencer::{self, Assembler, Decision, Disorder, Output, PartitionState, Place, by_commit, validate};
use runtime::log::{Commit, Expected, Verdict};

fn judge(state: &mut PartitionState, commit: Commit, offset: u64) -> Vec<Output> {
    sequencer::judge(state, [commit], offset).outputs
}

#[test]
fn commits_of_one_record_are_judged_one_after_the_other_and_written_as_one() {
    let mut state = PartitionState::default();
    let together = [
        commit(1, &[(1, Expected::Empty, 2)]),
        commit(2, &[(1, Expected::Empty, 1)]),
        commit(1, &[(1, Expected::Empty, 2)]),
        commit(3, &[(1, Expected::Exact(1), 1)]),
    ];
    let judged = sequencer::judge(&mut state, together.clone(), 7);
    let is_accepted = |id: u128| match &judged.answers.iter().find(|((_, commit), _)| commit.0.as_u128() == id).unwrap().1.verdict {
        Verdict::Accepted(appended) => Some((appended.first_position, appended.last_position)),
        Verdict::Rejected(_) => None,
    };
    assert_eq!([1, 2, 3].map(is_accepted), [Some((0, 1)), None, Some((2, 2))], "the second is too late, the third follows the first");
    assert_eq!(judged.answers.iter().map(|(_, answer)| answer.is_repeat).collect::<Vec<_>>(), [false, false, true, false]);
    let places: Vec<_> = judged.outputs.iter().map(|output| (output.place.commit_offset, output.place.index, output.count)).collect();
    assert_eq!(places, [(7, 0, 4), (7, 1, 4), (7, 2, 4), (7, 3, 4)], "the record is whole or not there, and a repeat leaves nothing");
    assert_eq!(by_commit(&judged.outputs).map(<[Output]>::len).collect::<Vec<_>>(), [2, 1, 1]);

    let mut read_back = PartitionState::default();
    read_back.fold(&judged.outputs);
    assert_eq!(read_back, state, "who reads it knows what who judged it knows");
    let mut alone = PartitionState::default();
    let one_by_one = together.into_iter().zip(0..).map(|(commit, offset)| sequencer::judge(&mut alone, [commit], offset).answers);
    assert_eq!(one_by_one.flatten().collect::<Vec<_>>(), judged.answers, "company changes no verdict");
}

#[test]
fn a_rejected_commit_leaves_one_output_and_no_event() {
    let mut state = PartitionState::default();
    assert_eq!(judge(&mut state, commit(1, &[(1, Expected::Empty, 2)]), 0).len(), 2);
    let said = judge(&mut state, commit(2, &[(2, Expected::Empty, 1), (1, Expected::Empty, 1)]), 1);
    assert_eq!(said.len(), 1);
    assert!(matches!(Output::verdict(&said), Verdict::Rejected(conflict) if conflict.actual == Some(1)));
    assert_eq!(state.next_position(), 2);
    let repeat = commit(2, &[(2, Expected::Empty, 1)]);
    assert!(matches!(validate(&state, &repeat), Decision::Repeat(Verdict::Rejected(_))), "the first verdict stands");
}

#[test]
fn streams_that_left_memory_are_judged_by_their_versions_all_the_same() {
    const STREAMS: u128 = 1_000;
    const KEPT: usize = 10;
    let mut state = PartitionState::default();
    let mut index = std::collections::HashMap::new();
    for id in 0..STREAMS {
        judge(&mut state, commit(id, &[(id, Expected::Empty, 1)]), id as u64);
        index.extend(state.cool(KEPT));
        assert!(state.warm_streams() <= KEPT, "memory is bounded");
    }
    assert_eq!(index.len() + state.warm_streams(), STREAMS as usize, "no stream is lost");
    for id in 0..STREAMS {
        let next = commit(STREAMS + id, &[(id, Expected::Exact(0), 1)]);
        for key in state.cold(&next) {
            let next_version = index[&key];
            state.warm(key, next_version);
        }
        let said = judge(&mut state, next, (STREAMS + id) as u64);
        assert!(matches!(Output::verdict(&said), Verdict::Accepted(_)));
        index.extend(state.cool(KEPT));
    }
}

#[test]
fn a_commit_that_was_cut_short_counts_once_it_is_written_whole() {
    let mut state = PartitionState::default();
    let said = judge(&mut state, commit(1, &[(1, Expected::Empty, 3)]), 0);
    let mut assembler = Assembler::default();
    for torn in &said[..2] {
        assert_eq!(assembler.push(torn.clone()), Ok(None));
    }
    for again in &said[..2] {
        assert_eq!(assembler.push(again.clone()), Ok(None));
    }
    assert_eq!(assembler.push(said[2].clone()), Ok(Some(said)));
}

#[test]
fn a_gap_is_an_alarm_and_not_a_shorter_history() {
    let mut state = PartitionState::default();
    let first = judge(&mut state, commit(1, &[(1, Expected::Empty, 2)]), 0);
    let second = judge(&mut state, commit(2, &[(2, Expected::Empty, 1)]), 1);
    let mut assembler = Assembler::default();
    assembler.push(first[0].clone()).unwrap();
    let skipped = Disorder::Skipped { last: Some(first[0].place), found: second[0].place };
    assert_eq!(assembler.push(second[0].clone()), Err(skipped), "the rest of the first commit is missing");
    let mut assembler = Assembler::default();
    assert_eq!(assembler.push(second[0].clone()), Err(Disorder::Position { expected: 0, found: 2 }));
    assert_eq!(Assembler::after(Some(Place { commit_offset: 0, index: 1 }), 2).push(second[0].clone()), Ok(Some(second)));
}
