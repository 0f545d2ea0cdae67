//! Does it end on something?

use super::{Run, Seen, in_sentence};
use crate::Wish;
use crate::talk::Talk;
use crate::units::Ending;

/// A longer pause says no more than this.
const PAUSE_SECONDS_MAX: f64 = 2.0;
/// An answer needs at least this many sentences.
const ANSWER_SENTENCES: usize = 2;

/// The strongest conclusion cue in the last sentence, or a little less in the one before.
pub(super) fn conclusion(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    const BEFORE_LAST: f64 = 0.7;
    let last = run.end - 1;
    let Some(said) = &talk.said else { return in_sentence(talk, last, 0.0) };
    let marks = &said.conclusion;
    let (latest, earlier) = (marks.strongest.value(last), if run.len() > 2 { marks.strongest.value(last - 1) * BEFORE_LAST } else { 0.0 });
    let sentence = if earlier > latest { last - 1 } else { last };
    Seen { value: latest.max(earlier), at: marks.at(talk, sentence) }
}

/// 1 if its first third asks something and at least two sentences follow.
pub(super) fn answered(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let first_third = run.start..run.start + run.len().div_ceil(3);
    match first_third.into_iter().find(|&sentence| talk.asks(sentence) && sentence + ANSWER_SENTENCES < run.end) {
        Some(sentence) => in_sentence(talk, sentence, 1.0),
        None => in_sentence(talk, run.start, 0.0),
    }
}

/// How far the voice falls at the end, as it does when a thought is finished.
pub(super) fn falling_voice(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let last = run.end - 1;
    in_sentence(talk, last, talk.sound.as_ref().map_or(0.0, |sound| sound.fall[last]))
}

/// 1 if the last sentence is closed, a half without a mark, 0 if it leaves a question open.
pub(super) fn closed_end(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let last = run.end - 1;
    let value = match talk.units.sentences[last].ending {
        Ending::Closed => 1.0,
        Ending::Open => 0.5,
        Ending::Question => 0.0,
    };
    in_sentence(talk, last, value)
}

/// Seconds of silence after it.
pub(super) fn pause_after(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let last = run.end - 1;
    // Nothing follows the last sentence of a talk: it ends as cleanly as any.
    let is_last = run.end == talk.units.sentences.len();
    let pause = if is_last { PAUSE_SECONDS_MAX } else { talk.units.sentences[last].pause_after.seconds() };
    in_sentence(talk, last, pause.min(PAUSE_SECONDS_MAX))
}

/// How much the sentence after it leans on it: an ending that the talk goes on from is no ending.
pub(super) fn unfinished(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let next = talk.said.as_ref().and_then(|said| said.opening.get(run.end));
    in_sentence(talk, run.end - 1, next.map_or(0.0, |opening| opening.leaning))
}

/// 1 if it ends where its topic ends.
pub(super) fn ends_topic(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let last = run.end - 1;
    let topic = &talk.topics.ranges[talk.topics.of_sentence[last]];
    in_sentence(talk, last, if topic.end == run.end { 1.0 } else { 0.0 })
}
