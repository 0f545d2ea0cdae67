//! What clip detection found, with its reasons.

use crate::{MediaTime, Span};
use serde::{Deserialize, Serialize};

/// The outcome of clip detection over one video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Which ranker decided, such as `frozen-1`.
    pub model: String,
    /// Chosen clips, best first.
    pub chosen: Vec<Candidate>,
    /// How many spans were considered.
    pub considered: u32,
    /// Which rules removed how many spans, in the order they were applied.
    pub removals: Vec<Removal>,
    /// What could not be used, such as a missing picture, one sentence each; empty when words, sound and picture all counted.
    #[serde(default)]
    pub degraded: Vec<String>,
}

/// A rule that removed spans, for people who ask why nothing is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Stable code, such as `too_short`.
    pub rule: String,
    /// One sentence.
    pub explanation: String,
    /// How many spans it removed.
    pub removed: u32,
}

/// A span with its score and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Where it is, snapped to speech.
    pub span: Span,
    /// 0 to 100; ranks within this video, it is not a probability of success.
    pub score: f64,
    /// A short title in the video's own words.
    pub title: String,
    /// Up to six, most telling first.
    pub keywords: Vec<String>,
    /// The sentences of the span.
    pub text: String,
    /// Every feature, largest absolute effect first; `effect`s plus the ranker's bias give the raw score.
    pub contributions: Vec<Contribution>,
    /// The strongest contributions in words, with the seconds they speak of; best first.
    pub reasons: Vec<Reason>,
}

/// What one feature added to a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Feature name, such as `hook_question`.
    pub feature: String,
    /// Which question it answers.
    pub group: FeatureGroup,
    /// The value as measured.
    pub value: f64,
    /// Its rank among this video's candidates, 0 to 1.
    pub percentile: f64,
    /// The ranker's weight.
    pub weight: f64,
    /// What it added to the raw score.
    pub effect: f64,
    /// Where in the video it was seen.
    pub at: Span,
}

/// What a feature speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureGroup {
    /// Do the first three seconds make one stay?
    Hook,
    /// Does it move: energy, pitch, laughter, arousal?
    Emotion,
    /// Is it about one thing?
    Coherence,
    /// Is it understood without what came before?
    Standalone,
    /// Does it end on something?
    Payoff,
    /// Is it worth looking at, and easy to listen to?
    Delivery,
}

/// A reason in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// One phrase, such as `opens with a question at 1:02`.
    pub text: String,
    /// The feature behind it.
    pub feature: String,
    /// The moment it names.
    pub at_us: MediaTime,
}
