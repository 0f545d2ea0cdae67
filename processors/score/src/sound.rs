//! Prosody per sentence, relative to the talk's own middle: a louder recording or a deeper voice changes nothing.

use crate::measure::{Peaks, Sums, percentiles, quantile};
use crate::units::Units;
use domain::artefact::Prosody;
use domain::{MediaTime, Span};

/// Fewer voiced frames than this say nothing about pitch.
const VOICED_FRAMES_MIN: usize = 5;
/// Sound in a gap counts as a reaction (laughter, applause) when it comes this near to the level of speech.
const REACTION_BELOW_SPEECH_DB: f64 = 8.0;
/// A shorter gap is breath, not reaction.
const REACTION_GAP_MIN: MediaTime = MediaTime::from_millis(1_000);
/// Word times are this unsure: so much of a gap's ends may be speech.
const WORD_EDGE: MediaTime = MediaTime::from_millis(200);
/// How much of a sentence's end tells whether the voice falls.
const CLOSING: MediaTime = MediaTime::from_millis(600);
/// How much of a span's opening is its hook.
pub(crate) const HOOK: MediaTime = MediaTime::from_millis(3_000);

/// What is heard, sentence by sentence.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sound {
    /// Level above the talk's middle sentence, in dB.
    pub(crate) level: Peaks,
    pub(crate) level_sums: Sums,
    /// How far each sentence and the next lie below the middle, in dB: a stretch without energy.
    pub(crate) slack: Peaks,
    /// Rank of each sentence's level among all, 0 to 1.
    pub(crate) level_rank: Vec<f64>,
    /// Level of the three seconds from each sentence's start, above the middle, in dB.
    pub(crate) opening_level: Vec<f64>,
    /// Pitch range (15th to 85th percentile, so that octave errors do not count) in semitones.
    pub(crate) pitch_range: Peaks,
    /// Pitch of the three seconds from each sentence's start above the talk's middle, in semitones.
    pub(crate) opening_pitch: Vec<f64>,
    /// How far pitch and level drop at each sentence's end, in semitones plus tenths of a dB.
    pub(crate) fall: Vec<f64>,
    /// Seconds of reaction in and after each sentence.
    pub(crate) reaction: Sums,
    pub(crate) reaction_peak: Peaks,
}

/// Frames of one grid.
struct Frames<'a>(&'a Prosody);

impl Frames<'_> {
    fn range(&self, span: Span, of: usize) -> std::ops::Range<usize> {
        let step = u64::from(self.0.step_ms.max(1)) * 1_000;
        let place = |at: MediaTime| usize::try_from(at.0 / step).unwrap_or(usize::MAX).min(of);
        place(span.start())..place(MediaTime(span.end().0 + step - 1))
    }

    fn levels(&self, span: Span) -> Vec<f64> {
        let track = &self.0.level_db;
        track[self.range(span, track.len())].iter().map(|&db| f64::from(db)).filter(|db| db.is_finite()).collect()
    }

    /// Voiced pitches in semitones above 1 Hz.
    fn pitches(&self, span: Span) -> Vec<f64> {
        let track = &self.0.pitch_hz;
        let voiced = track[self.range(span, track.len())].iter().filter(|hz| hz.is_finite() && **hz > 0.0);
        voiced.map(|&hz| 12.0 * f64::from(hz).log2()).collect()
    }

    /// The middle zero-crossing rate: laughter and applause have more than speech.
    fn noisiness(&self, span: Span) -> Option<f64> {
        let track = &self.0.zero_crossing_rate;
        let rates: Vec<f64> = track[self.range(span, track.len())].iter().map(|&rate| f64::from(rate)).collect();
        quantile(&rates, 0.5)
    }

    /// The upper quartile: the level of the vowels, whatever the pauses between.
    fn loudness(&self, span: Span) -> Option<f64> {
        quantile(&self.levels(span), 0.75)
    }

    fn pitch(&self, span: Span, share: f64) -> Option<f64> {
        let pitches = self.pitches(span);
        if pitches.len() < VOICED_FRAMES_MIN { None } else { quantile(&pitches, share) }
    }
}

impl Sound {
    /// Returns the prosody of every sentence, or nothing for a video without sound tracks.
    pub(crate) fn new(prosody: &Prosody, units: &Units) -> Option<Self> {
        if prosody.level_db.is_empty() || prosody.step_ms == 0 || units.sentences.is_empty() {
            return None;
        }
        let frames = Frames(prosody);
        let spans: Vec<Span> = units.sentences.iter().map(|sentence| sentence.span).collect();
        let loudness: Vec<Option<f64>> = spans.iter().map(|&span| frames.loudness(span)).collect();
        let middle = quantile(&loudness.iter().flatten().copied().collect::<Vec<_>>(), 0.5)?;
        let pitches: Vec<Option<f64>> = spans.iter().map(|&span| frames.pitch(span, 0.5)).collect();
        let middle_pitch = quantile(&pitches.iter().flatten().copied().collect::<Vec<_>>(), 0.5).unwrap_or(0.0);
        let rates: Vec<f64> = spans.iter().filter_map(|&span| frames.noisiness(span)).collect();
        let noisiness = quantile(&rates, 0.5).unwrap_or(1.0);

        let level: Vec<f64> = loudness.iter().map(|level| relative(*level, middle)).collect();
        let opening = |span: Span| Span::new(span.start(), span.start().plus(HOOK)).unwrap_or(span);
        let range = |span: Span| Some(frames.pitch(span, 0.85)? - frames.pitch(span, 0.15)?);
        let reaction: Vec<f64> = (0..spans.len()).map(|at| reaction_after(&frames, units, at, middle, noisiness)).collect();
        Some(Self {
            level_sums: Sums::new(level.iter().copied()),
            slack: Peaks::new((0..level.len()).map(|at| -(level[at] + level[(at + 1).min(level.len() - 1)]) / 2.0).collect()),
            level_rank: percentiles(&level),
            level: Peaks::new(level),
            opening_level: spans.iter().map(|&span| relative(frames.loudness(opening(span)), middle)).collect(),
            opening_pitch: spans.iter().map(|&span| relative(frames.pitch(opening(span), 0.75), middle_pitch)).collect(),
            pitch_range: Peaks::new(spans.iter().map(|&span| hundredths(range(span).unwrap_or(0.0))).collect()),
            fall: spans.iter().map(|&span| fall(&frames, span)).collect(),
            reaction: Sums::new(reaction.iter().copied()),
            reaction_peak: Peaks::new(reaction),
        })
    }
}

/// Hundredths are finer than anyone hears, and coarse enough that a gain in the recording does not turn ties into ranks.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn relative(value: Option<f64>, middle: f64) -> f64 {
    hundredths(value.unwrap_or(middle) - middle)
}

fn fall(frames: &Frames<'_>, span: Span) -> f64 {
    let closing = Span::new(span.end().minus(CLOSING).max(span.start()), span.end()).unwrap_or(span);
    let pitch = frames.pitch(span, 0.5).zip(frames.pitch(closing, 0.25)).map_or(0.0, |(whole, end)| whole - end);
    let level = frames.loudness(span).zip(frames.loudness(closing)).map_or(0.0, |(whole, end)| whole - end);
    hundredths(pitch.clamp(-6.0, 6.0) + level.clamp(-12.0, 12.0) / 10.0)
}

/// Seconds of sound in a sentence's gaps and in the gap after it that is loud all along and noisier than speech.
fn reaction_after(frames: &Frames<'_>, units: &Units, sentence: usize, middle: f64, noisiness: f64) -> f64 {
    let words = &units.words;
    let gaps = units.sentences[sentence].words.clone().filter_map(|at| {
        let (from, to) = (words[at].span.end(), words.get(at + 1)?.span.start());
        if to.minus(from) < REACTION_GAP_MIN {
            return None;
        }
        Span::new(from.plus(WORD_EDGE), to.minus(WORD_EDGE)).ok()
    });
    let is_reaction = |gap: &Span| {
        let floor = quantile(&frames.levels(*gap), 0.25);
        let is_loud = floor.is_some_and(|level| hundredths(middle - level) <= REACTION_BELOW_SPEECH_DB);
        is_loud && frames.noisiness(*gap).is_some_and(|rate| rate > noisiness)
    };
    gaps.filter(is_reaction).map(|gap| gap.duration().seconds()).sum()
}
