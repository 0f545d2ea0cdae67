//! Is it understood without what came before?

use super::{Run, Seen, in_sentence};
use crate::Wish;
use crate::talk::Talk;

/// A longer pause says no more than this.
const PAUSE_SECONDS_MAX: f64 = 2.0;

/// How much the first words lean on what came before: `and`, `because`, `he`, `as I said`.
pub(super) fn leaning_opening(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    in_sentence(talk, run.start, talk.said.as_ref().map_or(0.0, |said| said.opening[run.start].leaning))
}

/// 1 if it begins right after a question that it leaves out.
pub(super) fn unasked_answer(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let is_left_out = run.start > 0 && talk.asks(run.start - 1) && !talk.asks(run.start);
    in_sentence(talk, run.start, if is_left_out { 1.0 } else { 0.0 })
}

/// Seconds of silence before it.
pub(super) fn pause_before(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    // The first sentence of a talk has nothing before it: it begins as cleanly as any.
    let pause = if run.start == 0 { PAUSE_SECONDS_MAX } else { talk.units.sentences[run.start].pause_before.seconds() };
    in_sentence(talk, run.start, pause.min(PAUSE_SECONDS_MAX))
}
