//! What a container says about itself, checked by decoding.

use crate::MediaTime;
use serde::{Deserialize, Serialize};

/// What is known of a video file after it was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaFacts {
    /// Container, as a short name: `mp4`, `matroska`, `webm`, `quicktime`, `mpegts`, `avi`, `ogg`, `flac`, `wav`, …
    pub container: String,
    /// How long it plays.
    pub duration_us: MediaTime,
    /// The picture, when there is one.
    pub video: Option<VideoFacts>,
    /// The sound, when there is any.
    pub audio: Option<AudioFacts>,
}

/// The picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoFacts {
    /// Codec, as a short name: `h264`, `h265`, `vp9`, `av1`, …
    pub codec: String,
    /// Pixels across as stored, before rotation.
    pub width: u32,
    /// Pixels down as stored, before rotation.
    pub height: u32,
    /// Nominal frames per second; the mean when `is_variable_rate`.
    pub frame_rate: FrameRate,
    /// Whether frame durations differ by more than half a frame.
    pub is_variable_rate: bool,
    /// How far a player turns it clockwise: 0, 90, 180 or 270 degrees.
    pub rotation_degrees: u16,
}

/// The sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFacts {
    /// Codec, as a short name: `aac`, `opus`, `mp3`, `flac`, …
    pub codec: String,
    /// How many channels.
    pub channels: u32,
    /// Samples per second per channel.
    pub sample_rate_hz: u32,
}

/// Frames per second as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRate {
    /// Frames …
    pub numerator: u32,
    /// … per this many seconds; never 0.
    pub denominator: u32,
}

impl FrameRate {
    /// Returns frames per second as a float.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// Returns when frame `index` is shown.
    #[must_use]
    pub fn time_of(self, index: u64) -> MediaTime {
        let scaled = u128::from(index) * 1_000_000 * u128::from(self.denominator) + u128::from(self.numerator) / 2;
        MediaTime((scaled / u128::from(self.numerator)) as u64)
    }

    /// Returns the frame whose time is nearest to `at`.
    #[must_use]
    pub fn nearest_frame(self, at: MediaTime) -> u64 {
        let scaled = u128::from(at.0) * u128::from(self.numerator) + 500_000 * u128::from(self.denominator);
        (scaled / (1_000_000 * u128::from(self.denominator))) as u64
    }
}
