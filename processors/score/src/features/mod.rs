//! What is measured of a run of sentences: six groups of questions, each feature one small function.
//!
//! A feature returns a number and the moment it was seen at. Numbers are only ever compared within one video, as percentiles.

mod coherence;
mod delivery;
mod emotion;
mod hook;
mod payoff;
mod standalone;

use crate::Wish;
use crate::measure::percentiles;
use crate::talk::Talk;
use domain::Span;
use domain::artefact::FeatureGroup;
use std::ops::Range;

/// A run of sentences, by index.
pub type Run = Range<usize>;

/// A measured value and where it was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// The value as measured.
    pub value: f64,
    /// Where in the video.
    pub at: Span,
}

/// What a feature cannot be measured without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Word times alone.
    Words,
    /// A lexicon for the language.
    Lexicon,
    /// Sound tracks.
    Sound,
    /// Key frames.
    Picture,
}

/// A number that can be measured of every span.
#[derive(Clone, Copy)]
pub struct Feature {
    /// Stable name, such as `hook_question`.
    pub name: &'static str,
    /// Which question it answers.
    pub group: FeatureGroup,
    /// What it cannot be measured without.
    pub needs: Needs,
    measure: fn(&Talk, &Run, &Wish) -> Seen,
}

impl Feature {
    /// Measures a run of sentences.
    #[must_use]
    pub fn measure(&self, talk: &Talk, run: &Run, wish: &Wish) -> Seen {
        (self.measure)(talk, run, wish)
    }
}

const fn feature(name: &'static str, group: FeatureGroup, needs: Needs, measure: fn(&Talk, &Run, &Wish) -> Seen) -> Feature {
    Feature { name, group, needs, measure }
}

/// How many features there are.
pub const COUNT: usize = 30;

/// Every feature; rankers name them, so a name is never given a new meaning.
pub const FEATURES: [Feature; COUNT] = {
    use FeatureGroup::{Coherence, Delivery, Emotion, Hook, Payoff, Standalone};
    use Needs::{Lexicon, Picture, Sound, Words};
    [
        feature("hook_question", Hook, Words, hook::question),
        feature("hook_words", Hook, Lexicon, hook::words),
        feature("hook_number", Hook, Lexicon, hook::number),
        feature("hook_address", Hook, Lexicon, hook::address),
        feature("hook_energy", Hook, Sound, hook::energy),
        feature("hook_pitch", Hook, Sound, hook::pitch),
        feature("energy_peak", Emotion, Sound, emotion::energy_peak),
        feature("energy_mean", Emotion, Sound, emotion::energy_mean),
        feature("slack", Emotion, Sound, emotion::slack),
        feature("pitch_range", Emotion, Sound, emotion::pitch_range),
        feature("reaction", Emotion, Sound, emotion::reaction),
        feature("arousal", Emotion, Lexicon, emotion::arousal),
        feature("focus", Coherence, Words, coherence::focus),
        feature("contrast_to_rest", Coherence, Words, coherence::contrast_to_rest),
        feature("one_topic", Coherence, Words, coherence::one_topic),
        feature("information", Coherence, Words, coherence::information),
        feature("leaning_opening", Standalone, Lexicon, standalone::leaning_opening),
        feature("unasked_answer", Standalone, Words, standalone::unasked_answer),
        feature("pause_before", Standalone, Words, standalone::pause_before),
        feature("conclusion", Payoff, Lexicon, payoff::conclusion),
        feature("answered", Payoff, Words, payoff::answered),
        feature("falling_voice", Payoff, Sound, payoff::falling_voice),
        feature("closed_end", Payoff, Words, payoff::closed_end),
        feature("pause_after", Payoff, Words, payoff::pause_after),
        feature("unfinished", Payoff, Lexicon, payoff::unfinished),
        feature("ends_topic", Payoff, Words, payoff::ends_topic),
        feature("length_fit", Delivery, Words, delivery::length_fit),
        feature("dead_air", Delivery, Words, delivery::dead_air),
        feature("smalltalk", Delivery, Lexicon, delivery::smalltalk),
        feature("faces", Delivery, Picture, delivery::faces),
    ]
};

/// Every feature of every span of one video.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Indexes of [`FEATURES`] that could be measured, in order.
    pub measured: Vec<usize>,
    /// Per span, the measured values in the order of `measured`.
    pub values: Vec<Vec<f64>>,
    /// Per span, their ranks among all spans, 0 to 1.
    pub percentiles: Vec<Vec<f64>>,
}

impl Table {
    /// Measures all spans. What the video lacks is left out, so that it neither helps nor hurts any span.
    #[must_use]
    pub fn new(talk: &Talk, runs: &[Run], wish: &Wish) -> Self {
        let can_measure = |feature: &Feature| match feature.needs {
            Needs::Words => true,
            Needs::Lexicon => talk.said.is_some(),
            Needs::Sound => talk.sound.is_some(),
            Needs::Picture => talk.picture.is_some(),
        };
        let measured: Vec<usize> = (0..COUNT).filter(|&at| can_measure(&FEATURES[at])).collect();
        let columns: Vec<Vec<f64>> =
            measured.iter().map(|&at| runs.iter().map(|run| FEATURES[at].measure(talk, run, wish).value).collect()).collect();
        let ranks: Vec<Vec<f64>> = columns.iter().map(|column| percentiles(column)).collect();
        let rows = |columns: &[Vec<f64>]| (0..runs.len()).map(|row| columns.iter().map(|column| column[row]).collect()).collect();
        Self { values: rows(&columns), percentiles: rows(&ranks), measured }
    }
}

/// Returns what was seen over a whole sentence.
fn in_sentence(talk: &Talk, sentence: usize, value: f64) -> Seen {
    Seen { value, at: talk.units.sentences[sentence].span }
}

/// Returns what was seen over a whole run.
fn in_run(talk: &Talk, run: &Run, value: f64) -> Seen {
    Seen { value, at: talk.units.span(run) }
}
