//! What is seen and heard, apart from words.

use crate::{MediaTime, Span};
use serde::{Deserialize, Serialize};

/// Shots, key frames with their faces, loudness and prosody of a whole video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Shots in order; together they cover the video. Empty without a picture.
    pub shots: Vec<Shot>,
    /// Decoded key frames in time order. Empty without a picture.
    pub key_frames: Vec<KeyFrame>,
    /// Of the whole sound; `None` when there is none or it is silent.
    pub loudness: Option<Loudness>,
    /// Frame-level prosody; empty tracks without sound.
    pub prosody: Prosody,
}

/// A piece between two cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shot {
    /// Where it is.
    pub span: Span,
}

/// One decoded key frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyFrame {
    /// When it is shown.
    pub at_us: MediaTime,
    /// Mean luma, 0 (black) to 1 (white).
    pub luma: f32,
    /// Variance of the Laplacian of luma on the downscaled frame, ≥ 0: higher is sharper.
    pub sharpness: f32,
    /// Mean absolute luma change against the key frame before it, 0 to 1.
    pub motion: f32,
    /// Frontal faces.
    pub faces: Vec<Face>,
}

/// A detected face.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// Where it is in the picture.
    pub rect: Rect,
    /// Detector score, higher is surer; only comparable within one detector.
    pub confidence: f32,
}

/// A box in parts of the upright picture's width and height: 0 to 1 from the top left.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

impl Rect {
    /// Returns the middle.
    #[must_use]
    pub fn centre(self) -> (f32, f32) {
        (self.x + self.width / 2.0, self.y + self.height / 2.0)
    }

    /// Returns intersection over union, 0 to 1.
    #[must_use]
    pub fn iou(self, other: Self) -> f32 {
        let across = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let down = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        let shared = across.max(0.0) * down.max(0.0);
        let union = self.width * self.height + other.width * other.height - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }
}

/// Loudness by EBU R128 / ITU-R BS.1770-4.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loudness {
    /// Integrated loudness in LUFS.
    pub integrated_lufs: f64,
    /// Loudness range in LU.
    pub range_lu: f64,
    /// True peak in dBTP.
    pub true_peak_dbtp: f64,
}

/// Prosody on an even grid: entry `i` of each track describes `[i·step, (i+1)·step)`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prosody {
    /// Grid step in milliseconds.
    pub step_ms: u32,
    /// Level in dBFS, floored at −90.
    pub level_db: Vec<f32>,
    /// Fundamental frequency in Hz by normalised autocorrelation, 60 to 500; 0 where unvoiced.
    pub pitch_hz: Vec<f32>,
    /// Zero crossings as a part of the samples, 0 to 1: noise and sibilants are high.
    pub zero_crossing_rate: Vec<f32>,
}
