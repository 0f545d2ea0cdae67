//! Are topics where a reader puts them? Pk and WindowDiff, 0 is perfect.

use crate::made::monologue;
use crate::planted;
use score::{Talk, evaluate};
use std::ops::Range;

fn ranges(starts: &[usize], count: usize) -> Vec<Range<usize>> {
    let ends = starts.iter().skip(1).copied().chain([count]);
    starts.iter().zip(ends).map(|(&start, end)| start..end).collect()
}

/// Pk of one segment for all, and of evenly cut ones: what a segmentation must beat.
fn baselines(truth: &[Range<usize>], count: usize, k: usize) -> (f64, f64) {
    let none = ranges(&[0], count);
    let even: Vec<usize> = (0..truth.len()).map(|part| part * count / truth.len()).collect();
    (evaluate::pk(&none, truth, k), evaluate::pk(&ranges(&even, count), truth, k))
}

#[test]
fn the_parts_of_a_written_talk_are_found() {
    let (transcript, analysis, starts) = monologue();
    let talk = Talk::new(&transcript, &analysis, transcript.duration_us);
    let count = talk.units.sentences.len();
    let truth = ranges(&starts, count);
    let k = evaluate::window(&truth);
    let (pk, diff) = (evaluate::pk(&talk.topics.ranges, &truth, k), evaluate::window_diff(&talk.topics.ranges, &truth, k));
    let (none, even) = baselines(&truth, count, k);
    println!(
        "written talk: {} topics for {}; Pk {pk:.3} (none {none:.3}, even {even:.3}), WindowDiff {diff:.3}",
        talk.topics.ranges.len(),
        truth.len()
    );
    assert!(pk < 0.8 * none.min(even));
}

#[test]
fn planted_topics_are_found() {
    let mut sums = [0.0; 4];
    const SEEDS: u64 = 20;
    for seed in 1..=SEEDS {
        let planted = planted::talk(seed, planted::MEDIUM);
        let talk = Talk::new(&planted.transcript, &planted.analysis, planted.transcript.duration_us);
        let count = talk.units.sentences.len();
        let truth = ranges(&planted.topic_starts, count);
        let k = evaluate::window(&truth);
        let (none, even) = baselines(&truth, count, k);
        let ours = [evaluate::pk(&talk.topics.ranges, &truth, k), evaluate::window_diff(&talk.topics.ranges, &truth, k), none, even];
        sums.iter_mut().zip(ours).for_each(|(sum, value)| *sum += value / SEEDS as f64);
    }
    let [pk, diff, none, even] = sums;
    println!("planted, {SEEDS} seeds: Pk {pk:.3} (none {none:.3}, even {even:.3}), WindowDiff {diff:.3}");
    assert!(pk < 0.5 * none.min(even));
}
