//! Does it move: energy, pitch, laughter, arousal?

use super::{Run, Seen, in_run, in_sentence};
use crate::Wish;
use crate::measure::Peaks;
use crate::talk::Talk;

fn peak(talk: &Talk, run: &Run, peaks: &Peaks) -> Seen {
    let place = peaks.place(run);
    in_sentence(talk, place, peaks.value(place))
}

/// Level of the loudest sentence above the talk's middle, in dB.
pub(super) fn energy_peak(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    talk.sound.as_ref().map_or_else(|| in_run(talk, run, 0.0), |sound| peak(talk, run, &sound.level))
}

/// Mean level of the sentences above the talk's middle, in dB.
pub(super) fn energy_mean(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    in_run(talk, run, talk.sound.as_ref().map_or(0.0, |sound| sound.level_sums.mean(run)))
}

/// How far its two quietest neighbouring sentences lie below the talk's middle, in dB: a part where nothing happens.
pub(super) fn slack(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let Some(sound) = &talk.sound else { return in_run(talk, run, 0.0) };
    // Pairs begin at every sentence but the last.
    peak(talk, &(run.start..run.end.max(run.start + 2) - 1), &sound.slack)
}

/// The widest pitch range of any sentence, in semitones.
pub(super) fn pitch_range(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    talk.sound.as_ref().map_or_else(|| in_run(talk, run, 0.0), |sound| peak(talk, run, &sound.pitch_range))
}

/// Seconds of loud sound without words: laughter, applause.
pub(super) fn reaction(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let Some(sound) = &talk.sound else { return in_run(talk, run, 0.0) };
    in_sentence(talk, sound.reaction_peak.place(run), sound.reaction.of(run))
}

/// Weights of words with feeling per ten seconds.
pub(super) fn arousal(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let Some(said) = &talk.said else { return in_run(talk, run, 0.0) };
    let seconds = talk.units.span(run).duration().seconds().max(1.0);
    let at = said.arousal.at(talk, said.arousal.strongest.place(run));
    Seen { value: said.arousal.sums.of(run) * 10.0 / seconds, at }
}
