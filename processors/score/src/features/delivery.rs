//! Is it worth looking at, and easy to listen to?

use super::{Run, Seen, in_run, in_sentence};
use crate::Wish;
use crate::talk::Talk;

/// Lengths between these do equally well.
const GOOD_SECONDS: (f64, f64) = (20.0, 45.0);
/// How fast the fit falls with the logarithm of the length beyond them.
const SPREAD: f64 = 0.5;

/// How near its length is to a good one, 0 to 1 (flat in the middle, log-normal beyond).
pub(super) fn length_fit(talk: &Talk, run: &Run, wish: &Wish) -> Seen {
    let (low, high) = (wish.min.seconds().max(1.0), wish.max.seconds().max(1.0));
    let seconds = talk.units.span(run).duration().seconds().max(1.0);
    // A wish for other lengths moves the good ones into it.
    let nearest = seconds.clamp(GOOD_SECONDS.0.max(low).min(high), GOOD_SECONDS.1.min(high).max(low));
    let away = (seconds / nearest).ln() / SPREAD;
    in_run(talk, run, (-away * away / 2.0).exp())
}

/// Seconds of silence beyond what a listener bears, per minute.
pub(super) fn dead_air(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let after: f64 = talk.dead_air_after[run.start..run.end - 1].iter().sum();
    let seconds = talk.units.span(run).duration().seconds().max(1.0);
    in_run(talk, run, (talk.dead_air_inside.of(run) + after) * 60.0 / seconds)
}

/// Greetings, goodbyes, requests and fillers per ten seconds.
pub(super) fn smalltalk(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    const FILLER_SHARE: f64 = 0.25;
    let Some(said) = &talk.said else { return in_run(talk, run, 0.0) };
    let seconds = talk.units.span(run).duration().seconds().max(1.0);
    let amount = said.housekeeping.sums.of(run) + FILLER_SHARE * said.filler.sums.of(run);
    in_sentence(talk, said.housekeeping.strongest.place(run), amount * 10.0 / seconds)
}

/// The part of its key frames that show a face.
pub(super) fn faces(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let Some(picture) = &talk.picture else { return in_run(talk, run, 0.0) };
    let span = talk.units.span(run);
    Seen { value: picture.faces.mean(&picture.frames(span)), at: span }
}
