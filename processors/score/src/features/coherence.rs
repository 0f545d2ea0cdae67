//! Is it about one thing?

use super::{Run, Seen, in_run};
use crate::Wish;
use crate::talk::Talk;

/// Sentences on each side that a span is held against.
const NEIGHBOURHOOD: usize = 6;

/// Mean cosine between its sentences.
pub(super) fn focus(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    in_run(talk, run, talk.similarity.within(run))
}

/// How much more its sentences are like each other than like their neighbours outside.
pub(super) fn contrast_to_rest(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let before = run.start.saturating_sub(NEIGHBOURHOOD)..run.start;
    let after = run.end..(run.end + NEIGHBOURHOOD).min(talk.units.sentences.len());
    let outside = [(talk.similarity.between(&before, run), before.len()), (talk.similarity.between(run, &after), after.len())];
    let weight: usize = outside.iter().map(|(_, count)| count).sum();
    let mean = outside.iter().map(|(cosine, count)| cosine * *count as f64).sum::<f64>() / weight.max(1) as f64;
    in_run(talk, run, talk.similarity.within(run) - mean)
}

/// The part of its sentences that belong to the topic it is mostly about.
pub(super) fn one_topic(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let topics = &talk.topics;
    let (first, last) = (topics.of_sentence[run.start], topics.of_sentence[run.end - 1]);
    let shared = |topic: usize| {
        let range = &topics.ranges[topic];
        range.end.min(run.end) - range.start.max(run.start)
    };
    let most = (first..=last).map(shared).max().unwrap_or(0);
    in_run(talk, run, most as f64 / run.len() as f64)
}

/// Rarity of the new terms per second: how much is said.
pub(super) fn information(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    in_run(talk, run, talk.information.of(run) / talk.units.span(run).duration().seconds().max(1.0))
}
