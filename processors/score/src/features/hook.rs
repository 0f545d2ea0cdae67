//! Do the first three seconds make one stay?

use super::{Run, Seen, in_sentence};
use crate::Wish;
use crate::sound::HOOK;
use crate::talk::{Opening, Talk};
use domain::Span;

fn opening<'a>(talk: &'a Talk, run: &Run) -> Option<&'a Opening> {
    talk.said.as_ref().map(|said| &said.opening[run.start])
}

fn first_seconds(talk: &Talk, run: &Run, value: f64) -> Seen {
    let start = talk.units.sentences[run.start].span.start();
    let end = start.plus(HOOK).min(talk.units.span(run).end());
    Seen { value, at: Span::new(start, end).unwrap_or(talk.units.sentences[run.start].span) }
}

/// 1 if the first sentence asks something; a half if the second does within the hook.
pub(super) fn question(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    let second = run.start + 1;
    let hook_end = talk.units.sentences[run.start].span.start().plus(HOOK);
    let asks = |sentence: usize| talk.asks(sentence);
    if asks(run.start) {
        in_sentence(talk, run.start, 1.0)
    } else if run.contains(&second) && asks(second) && talk.units.sentences[second].span.start() < hook_end {
        in_sentence(talk, second, 0.5)
    } else {
        in_sentence(talk, run.start, 0.0)
    }
}

/// Weights of the hook phrases in the opening, added up; a third one adds nothing.
pub(super) fn words(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    const ENOUGH: f64 = 2.0;
    match opening(talk, run) {
        Some(opening) => {
            let (first, last) = opening.hook_words;
            Seen { value: opening.hook.min(ENOUGH), at: talk.words_span(first, last) }
        }
        None => in_sentence(talk, run.start, 0.0),
    }
}

/// 1 if the opening names a number.
pub(super) fn number(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    match opening(talk, run).and_then(|opening| opening.number) {
        Some(word) => Seen { value: 1.0, at: talk.words_span(word, word) },
        None => in_sentence(talk, run.start, 0.0),
    }
}

/// 1 if the opening speaks to the viewer.
pub(super) fn address(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    match opening(talk, run).and_then(|opening| opening.address) {
        Some(word) => Seen { value: 1.0, at: talk.words_span(word, word) },
        None => in_sentence(talk, run.start, 0.0),
    }
}

/// Level of the first three seconds above the talk's middle, in dB.
pub(super) fn energy(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    first_seconds(talk, run, talk.sound.as_ref().map_or(0.0, |sound| sound.opening_level[run.start]))
}

/// Pitch of the first three seconds above the talk's middle, in semitones.
pub(super) fn pitch(talk: &Talk, run: &Run, _: &Wish) -> Seen {
    first_seconds(talk, run, talk.sound.as_ref().map_or(0.0, |sound| sound.opening_pitch[run.start]))
}
