//! Faces sampled densely inside a span, for reframing and posters.

use super::Rect;
use crate::MediaTime;
use serde::{Deserialize, Serialize};

/// What one sampled frame shows; about five a second are taken inside a span that is rendered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceSample {
    /// When it is shown, in the original.
    pub at_us: MediaTime,
    /// Every face that was found, in any order.
    pub faces: Vec<TrackedFace>,
    /// Variance of the Laplacian of luma on the downscaled frame, ≥ 0: higher is sharper.
    pub sharpness: f32,
    /// Mean luma, 0 (black) to 1 (white).
    pub luma: f32,
}

/// A face in a sampled frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackedFace {
    /// Where it is in the picture.
    pub rect: Rect,
    /// Detector score, higher is surer; only comparable within one detector.
    pub confidence: f32,
    /// Mean absolute luma change in the mouth region against the sample before, 0 to 1; 0 where there is none to compare with.
    pub mouth_motion: f32,
}
