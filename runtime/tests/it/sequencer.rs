//! The rule and the assembler, case by case.

use crate::sequencer_model::commit;
use runtime::log::sequencer::rule::outputs;
use runtime::log::sequencer::{Assembler, Decision, Disorder, Output, PartitionState, Place, validate};
use runtime::log::{Commit, Expected, Verdict};

fn judge(state: &mut PartitionState, commit: Commit, offset: u64) -> Vec<Output> {
    let decision = validate(state, &commit);
    let said = outputs(commit, offset, decision);
    state.fold(&said);
    said
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
