//! From probabilities to spans: hysteresis, short pauses bridged, padding, and cuts at the best pause where a span is too long.

use super::Piece;
use domain::{MediaTime, Span};
use std::ops::Range;

/// Samples per probability.
pub(super) const FRAME: usize = 512;
/// Speech starts above this …
const SPEECH_STARTS: f32 = 0.5;
/// … and ends below this.
const SPEECH_ENDS: f32 = 0.35;
/// A pause shorter than this does not end speech: 160 ms.
const PAUSE_SAMPLES_MIN: usize = 2_560;
/// Where speech is too long, it may be cut at a pause longer than this: 98 ms.
const CUT_SAMPLES_MIN: usize = 1_568;
/// Added on both sides, as far as the neighbour allows: 400 ms.
const PADDING_SAMPLES: usize = 6_400;

/// Returns padded pieces of speech in `length` samples, none longer than `samples_max`.
pub(super) fn pieces(probabilities: &[f32], length: usize, samples_max: usize) -> Vec<Piece> {
    let bare_max = samples_max.saturating_sub(FRAME + 2 * PADDING_SAMPLES);
    let mut ranges = bare_ranges(probabilities, length, bare_max);
    let ends = ranges.iter().map(|range| range.end);
    let resumes = ranges.iter().skip(1).map(|range| range.start).chain([length]);
    let pauses: Vec<usize> = ends.zip(resumes).map(|(end, start)| start.saturating_sub(end)).collect();
    pad(&mut ranges, length);
    ranges.into_iter().zip(pauses).map(|(samples, pause_after)| Piece { samples, pause_after }).collect()
}

/// What the walk over the frames remembers.
#[derive(Default)]
struct Walk {
    /// Where the current speech started.
    start: Option<usize>,
    /// Where the current pause started.
    pause: Option<usize>,
    /// The last pause that is long enough to cut at, and where speech went on after it.
    cut: Option<(usize, Option<usize>)>,
}

fn bare_ranges(probabilities: &[f32], length: usize, samples_max: usize) -> Vec<Range<usize>> {
    let mut found = vec![];
    let mut walk = Walk::default();
    for (frame, &probability) in probabilities.iter().enumerate() {
        let at = frame * FRAME;
        if probability >= SPEECH_STARTS {
            let ended_pause = walk.pause.take().is_some();
            if let (true, Some((_, resumed @ None))) = (ended_pause, &mut walk.cut) {
                *resumed = Some(at);
            }
            if walk.start.is_none() {
                walk = Walk { start: Some(at), ..Walk::default() };
                continue;
            }
        }
        let Some(start) = walk.start else { continue };
        if at - start > samples_max {
            let (end, resumed) = walk.cut.unwrap_or((at, None));
            found.push(start..end);
            walk = Walk { start: resumed, ..Walk::default() };
            if walk.start.is_none() {
                continue;
            }
        }
        if probability < SPEECH_ENDS {
            let pause = *walk.pause.get_or_insert(at);
            if at - pause > CUT_SAMPLES_MIN {
                walk.cut = Some((pause, None));
            }
            if at - pause >= PAUSE_SAMPLES_MIN {
                found.push(walk.start.unwrap_or(start)..pause);
                walk = Walk::default();
            }
        }
    }
    if let Some(start) = walk.start.filter(|&start| start < length) {
        found.push(start..length);
    }
    found
}

fn pad(ranges: &mut [Range<usize>], length: usize) {
    let count = ranges.len();
    for index in 0..count {
        if index == 0 {
            ranges[0].start = ranges[0].start.saturating_sub(PADDING_SAMPLES);
        }
        let next = ranges.get(index + 1).map(|next| next.start);
        match next {
            Some(next) => {
                let share = ((next - ranges[index].end) / 2).min(PADDING_SAMPLES);
                ranges[index].end += share;
                ranges[index + 1].start -= share;
            }
            None => ranges[index].end = (ranges[index].end + PADDING_SAMPLES).min(length),
        }
    }
}

/// How far a chunk may be from the even share: a longer pause is worth it, because a sentence that is cut in two is often lost.
const UNEVEN_MAX: u64 = 4;

/// Cuts `[0, duration)` into chunks of at most `max`, about alike, that follow one another without a gap.
///
/// Every cut is in the middle of the longest pause near the even share; only where somebody speaks for longer than `max`
/// without a pause is the cut a hard one. A chunk without speech costs next to nothing to transcribe.
#[must_use]
pub fn chunks(speech: &[Span], duration: MediaTime, max: MediaTime) -> Vec<Span> {
    let edges = std::iter::once(MediaTime::ZERO).chain(speech.iter().map(|span| span.end()));
    let resumes = speech.iter().map(|span| span.start()).chain([duration]);
    let pauses: Vec<Pause> = edges
        .zip(resumes)
        .filter(|(end, start)| end <= start)
        .map(|(end, start)| Pause { middle: (end.0 + start.0) / 2, length: start.0 - end.0 })
        .collect();
    let mut chunks = vec![];
    let mut start = MediaTime::ZERO;
    while max > MediaTime::ZERO && start < duration {
        let latest = start.plus(max);
        let end = if latest >= duration { duration } else { cut(&pauses, start, duration, max).unwrap_or(latest) };
        chunks.extend(Span::new(start, end));
        start = end;
    }
    chunks
}

/// Silence between speech, in microseconds.
struct Pause {
    middle: u64,
    length: u64,
}

/// Returns where the chunk from `start` ends: in the longest pause near the even share, else in the last that `max` allows.
fn cut(pauses: &[Pause], start: MediaTime, duration: MediaTime, max: MediaTime) -> Option<MediaTime> {
    let left = duration.minus(start).0;
    let even = left / left.div_ceil(max.0);
    let between = |from: u64, to: u64| pauses.iter().filter(move |pause| from < pause.middle && pause.middle <= start.0 + to.min(max.0));
    let near = between(start.0 + even - even / UNEVEN_MAX, even + even / UNEVEN_MAX).max_by_key(|pause| pause.length);
    near.or_else(|| between(start.0, max.0).next_back()).map(|pause| MediaTime(pause.middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(start: f64, end: f64) -> Span {
        Span::new(MediaTime::from_seconds(start), MediaTime::from_seconds(end)).expect("it is not empty")
    }

    #[test]
    fn chunks_are_cut_in_a_pause() {
        let speech = [seconds(1.0, 20.0), seconds(22.0, 41.0), seconds(42.0, 70.0)];
        let chunks = chunks(&speech, MediaTime::from_seconds(75.0), MediaTime::from_seconds(45.0));
        assert_eq!(chunks, [seconds(0.0, 41.5), seconds(41.5, 75.0)]);
    }

    #[test]
    fn chunks_are_about_alike_and_end_in_long_pauses() {
        let speech = [seconds(0.0, 38.0), seconds(40.0, 50.0), seconds(51.0, 59.0), seconds(59.5, 100.0)];
        let chunks = chunks(&speech, MediaTime::from_seconds(100.0), MediaTime::from_seconds(90.0));
        assert_eq!(chunks, [seconds(0.0, 39.0), seconds(39.0, 100.0)]);
    }

    #[test]
    fn speech_without_a_pause_is_cut_hard() {
        let chunks = chunks(&[seconds(0.0, 100.0)], MediaTime::from_seconds(100.0), MediaTime::from_seconds(40.0));
        assert_eq!(chunks, [seconds(0.0, 40.0), seconds(40.0, 80.0), seconds(80.0, 100.0)]);
    }

    #[test]
    fn silence_is_covered_too() {
        let chunks = chunks(&[], MediaTime::from_seconds(5.0), MediaTime::from_seconds(40.0));
        assert_eq!(chunks, [seconds(0.0, 5.0)]);
        assert!(super::chunks(&[], MediaTime::ZERO, MediaTime::from_seconds(1.0)).is_empty());
    }

    /// Returns probabilities from pieces of (frames, probability).
    fn frames(pieces: &[(usize, f32)]) -> Vec<f32> {
        pieces.iter().flat_map(|&(count, probability)| std::iter::repeat_n(probability, count)).collect()
    }

    #[test]
    fn a_short_pause_is_bridged_and_a_long_one_is_not() {
        let probabilities = frames(&[(10, 0.0), (20, 0.9), (3, 0.1), (20, 0.9), (40, 0.0), (10, 0.9), (30, 0.0)]);
        let bare = bare_ranges(&probabilities, 133 * FRAME, usize::MAX);
        assert_eq!(bare, [10 * FRAME..53 * FRAME, 93 * FRAME..103 * FRAME]);
    }

    #[test]
    fn long_speech_is_cut_at_a_pause_and_never_too_long() {
        let probabilities = frames(&[(50, 0.9), (5, 0.1), (100, 0.9)]);
        let bare = bare_ranges(&probabilities, 155 * FRAME, 80 * FRAME);
        assert_eq!(bare[0], 0..50 * FRAME);
        assert_eq!(bare[1].start, 55 * FRAME);
        assert!(pieces(&probabilities, 155 * FRAME, 80 * FRAME).iter().all(|piece| piece.samples.len() <= 80 * FRAME));
    }
}
