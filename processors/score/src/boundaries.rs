//! Where a clip is cut: in silence around speech, never inside a word, on a shot's cut where one is near.

use crate::units::Units;
use domain::{MediaTime, Span};
use std::ops::Range;

/// The most breath before the first word.
pub const LEAD_MAX: MediaTime = MediaTime::from_millis(350);
/// The breath after the last word that is always wanted where there is room.
const TAIL: MediaTime = MediaTime::from_millis(450);
/// The breath after the last word where half the gap allows it: a thought may ring out.
pub const TAIL_MAX: MediaTime = MediaTime::from_millis(700);
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::artefact::{Segment, Transcript, Word};

    const MAX: MediaTime = MediaTime::from_millis(90_000);

    fn ms(at: u64) -> MediaTime {
        MediaTime::from_millis(at)
    }

    /// One-word sentences at these times, in a video of 20 s.
    fn units(words: &[(u64, u64)]) -> Units {
        let word =
            |&(start, end): &(u64, u64)| Word { span: Span::new(ms(start), ms(end)).unwrap(), text: "Yes.".to_owned(), probability: 1.0 };
        let segments = words.iter().map(word).map(|word| Segment {
            span: word.span,
            text: word.text.clone(),
            words: vec![word],
            mean_logprob: 0.0,
            no_speech_probability: 0.0,
        });
        let segments = segments.collect();
        Units::new(&Transcript { language: "en".to_owned(), model: "srt".to_owned(), duration_us: ms(20_000), segments }, ms(20_000))
    }

    fn check(words: &[(u64, u64)], sentences: Range<usize>, cuts: &[u64], expected: (u64, u64)) {
        let cuts: Vec<MediaTime> = cuts.iter().copied().map(ms).collect();
        let span = snap(&units(words), &sentences, &cuts, MAX);
        assert_eq!((span.start(), span.end()), (ms(expected.0), ms(expected.1)));
    }

    const TALK: [(u64, u64); 3] = [(1_000, 2_000), (3_000, 5_000), (5_200, 9_000)];

    #[test]
    fn breath_is_left_on_both_sides_but_never_more_than_half_the_gap() {
        // Half of a 1 s gap is 0.5 s: all of the lead and the shorter tail fit.
        check(&TALK, 0..1, &[], (650, 2_450));
        // A gap of 0.2 s gives 0.1 s.
        check(&TALK, 1..2, &[], (2_650, 5_100));
        check(&TALK, 2..3, &[], (5_100, 9_700));
    }

    #[test]
    fn neighbouring_clips_do_not_overlap() {
        let units = units(&TALK);
        let (first, second) = (snap(&units, &(0..2), &[], MAX), snap(&units, &(2..3), &[], MAX));
        assert!(first.intersection(second).is_none());
    }

    #[test]
    fn a_near_cut_of_the_picture_is_taken_unless_it_is_in_speech() {
        check(&TALK, 0..1, &[500], (500, 2_450));
        check(&TALK, 0..1, &[300], (650, 2_450));
        check(&TALK, 0..1, &[2_300], (650, 2_300));
        check(&TALK, 1..2, &[4_950], (2_650, 5_100));
    }

    #[test]
    fn breath_never_makes_a_clip_too_long() {
        let span = snap(&units(&TALK), &(0..1), &[], ms(1_200));
        assert_eq!(span.duration(), ms(1_200));
        assert!(span.start() < ms(1_000) && span.end() > ms(2_000));
    }

    #[test]
    fn a_clip_stays_inside_the_video() {
        check(&[(100, 19_900)], 0..1, &[], (0, 20_000));
    }
}
