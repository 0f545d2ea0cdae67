//! What was said, and when.

use crate::{MediaTime, Span};
use serde::{Deserialize, Serialize};

/// Everything that was said in a video, in time order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// ISO 639-1 code, such as `en`.
    pub language: String,
    /// Which model heard it (`tiny.en`), or the format it was imported from (`srt`, `vtt`, `whisper-json`).
    pub model: String,
    /// How long the audio was.
    pub duration_us: MediaTime,
    /// Phrases in time order; they do not overlap.
    pub segments: Vec<Segment>,
}

/// A phrase as the model emitted it; not necessarily a sentence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Where it is.
    pub span: Span,
    /// The text without leading or trailing white space.
    pub text: String,
    /// Its words, in order and inside `span`; punctuation belongs to the word before it.
    pub words: Vec<Word>,
    /// Mean log-probability of its tokens; 0 for imported text.
    pub mean_logprob: f32,
    /// Probability that nobody speaks here, 0 to 1; 0 for imported text.
    pub no_speech_probability: f32,
}

/// One spoken word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// When it is spoken.
    pub span: Span,
    /// The word with its punctuation, without white space around it.
    pub text: String,
    /// Mean probability of its tokens, 0 to 1; 1 for imported text.
    pub probability: f32,
}

impl Transcript {
    /// Returns every word in time order.
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        self.segments.iter().flat_map(|segment| &segment.words)
    }
}
