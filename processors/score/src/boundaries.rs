//! Where a clip is cut: in silence around speech, never inside a word, on a shot's cut where one is near.

use crate::units::Units;
use domain::{MediaTime, Span};
use std::ops::Range;

/// The most breath before the first word.
const LEAD_MAX: MediaTime = MediaTime::from_millis(350);
/// The breath after the last word that is always wanted where there is room.
const TAIL: MediaTime = MediaTime::from_millis(450);
/// The breath after the last word where half the gap allows it: a thought may ring out.
const TAIL_MAX: MediaTime = MediaTime::from_millis(700);
/// A cut of the picture this near to a boundary is better than the boundary.
const SHOT_REACH: MediaTime = MediaTime::from_millis(250);

/// Returns where a run of sentences is cut.
///
/// The in point lies at most [`LEAD_MAX`] before speech, the out point at most [`TAIL_MAX`] after it, each in its own half of the gap,
/// so that neighbouring clips never overlap. `cuts` are the starts of shots in order; one within reach and outside of speech is taken.
/// A span that breath would make longer than `max` gets less breath.
#[must_use]
pub fn snap(units: &Units, sentences: &Range<usize>, cuts: &[MediaTime], max: MediaTime) -> Span {
    let speech = units.span(sentences);
    let (first, last) = (&units.sentences[sentences.start], &units.sentences[sentences.end - 1]);
    let earliest = speech.start().minus(half(first.pause_before, sentences.start == 0));
    let latest = speech.end().plus(half(last.pause_after, sentences.end == units.sentences.len()));

    let start = speech.start().minus(LEAD_MAX).max(earliest);
    let end = speech.end().plus(if latest.minus(speech.end()) < TAIL_MAX { TAIL } else { TAIL_MAX }).min(latest);
    let start = nearest(cuts, start, earliest, speech.start()).unwrap_or(start);
    // The last frame before a cut is the last frame of the clip: the out point is exclusive.
    let end = nearest(cuts, end, speech.end(), latest).unwrap_or(end);

    let breath = max.minus(speech.duration());
    let lead = speech.start().minus(start).min(MediaTime(breath.0 / 2));
    let tail = end.minus(speech.end()).min(breath.minus(lead));
    Span::new(speech.start().minus(lead), speech.end().plus(tail)).unwrap_or(speech)
}

/// A gap is shared with the neighbour; the gap before the first and after the last word is shared with nobody.
fn half(gap: MediaTime, is_outermost: bool) -> MediaTime {
    if is_outermost { gap } else { MediaTime(gap.0 / 2) }
}

fn nearest(cuts: &[MediaTime], wanted: MediaTime, from: MediaTime, to: MediaTime) -> Option<MediaTime> {
    let place = cuts.partition_point(|&cut| cut < wanted);
    let around = cuts[place.saturating_sub(1)..cuts.len().min(place + 1)].iter().copied();
    let distance = |cut: MediaTime| MediaTime(cut.0.abs_diff(wanted.0));
    around.filter(|&cut| cut >= from && cut <= to && distance(cut) <= SHOT_REACH).min_by_key(|&cut| distance(cut))
}
