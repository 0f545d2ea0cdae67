//! The shapes of what processors compute and keep as blobs: too large for events, read by later stages and by people.
//!
//! Plain data. Field names are the JSON names of the blobs, so they are a contract: add fields, never rename them.

mod analysis;
mod candidate;
mod decision;
mod faces;
mod facts;
pub mod safe_area;
mod transcript;

pub use analysis::{Analysis, Face, KeyFrame, Loudness, Prosody, Rect, Shot};
pub use candidate::{Candidate, Contribution, Detection, FeatureGroup, Reason, Removal};
pub use decision::{
    AudioChain, CAPTIONS_VERSION, CameraKey, CaptionStyle, Captions, Cue, CueWord, DecisionList, EncoderSettings, Layout, LayoutSegment,
    Picture, Ratio, RenderSettings, TARGET_LUFS,
};
pub use faces::{FaceSample, TrackedFace};
pub use facts::{AudioFacts, FrameRate, MediaFacts, VideoFacts};
pub use transcript::{Segment, Transcript, Word};
