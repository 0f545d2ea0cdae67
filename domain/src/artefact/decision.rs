//! The decision list: everything that makes a rendition, and nothing else.

use super::FrameRate;
use crate::{BlobRef, MediaTime, Span};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Everything that makes one rendition from the original. The same list gives the same picture and sound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionList {
    /// Version of this shape.
    pub version: u32,
    /// The original; a rendition is never made from a rendition.
    pub source: BlobRef,
    /// What is taken from it, in order; times of the original, on frame boundaries.
    pub ranges: Vec<Span>,
    /// Size and rate of the rendition.
    pub picture: Picture,
    /// How the picture is arranged; segments follow one another from frame 0 and cover every frame.
    pub layout: Vec<LayoutSegment>,
    /// Burnt-in captions; `None` for a clean picture.
    pub captions: Option<Captions>,
    /// What happens to the sound; `None` when the original has none.
    pub audio: Option<AudioChain>,
    /// Encoder settings.
    pub encoder: EncoderSettings,
    /// The frame of the rendition that becomes the poster.
    pub poster_frame: u64,
}

/// Size and rate of a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Aspect ratio.
    pub ratio: Ratio,
    /// Pixels across, even.
    pub width: u32,
    /// Pixels down, even.
    pub height: u32,
    /// Constant frame rate.
    pub frame_rate: FrameRate,
    /// How many frames there are.
    pub frames: u64,
}

/// Aspect ratios of renditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ratio {
    /// 9:16, 1080×1920.
    #[serde(rename = "9:16")]
    Portrait,
    /// 4:5, 1080×1350.
    #[serde(rename = "4:5")]
    Tall,
    /// 1:1, 1080×1080.
    #[serde(rename = "1:1")]
    Square,
    /// 16:9, 1920×1080.
    #[serde(rename = "16:9")]
    Landscape,
}

impl Ratio {
    /// Every ratio.
    pub const ALL: [Self; 4] = [Self::Portrait, Self::Tall, Self::Square, Self::Landscape];

    /// Returns pixels across and down of a full-size rendition.
    #[must_use]
    pub const fn pixels(self) -> (u32, u32) {
        match self {
            Self::Portrait => (1080, 1920),
            Self::Tall => (1080, 1350),
            Self::Square => (1080, 1080),
            Self::Landscape => (1920, 1080),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portrait => "9:16",
            Self::Tall => "4:5",
            Self::Square => "1:1",
            Self::Landscape => "16:9",
        })
    }
}

impl FromStr for Ratio {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|ratio| ratio.to_string() == text)
            .ok_or_else(|| format!("unknown aspect ratio {text:?}; use 9:16, 4:5, 1:1 or 16:9"))
    }
}

/// A run of frames with one arrangement. The camera never moves across two segments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayoutSegment {
    /// First frame of the rendition.
    pub first_frame: u64,
    /// How many frames.
    pub frames: u64,
    /// The arrangement.
    pub layout: Layout,
}

/// How a segment's picture is arranged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Layout {
    /// One moving crop that fills the picture.
    Single {
        /// Camera keys, the first at frame 0 of the segment; positions between keys are linear.
        camera: Vec<CameraKey>,
    },
    /// The whole picture, over a blurred copy of itself that fills the rest.
    FitBlur,
}

/// Where a crop's middle is, in parts of the upright original's width and height.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CameraKey {
    /// Frame within the segment.
    pub frame: u64,
    /// Middle of the crop across, 0 to 1.
    pub x: f64,
    /// Middle of the crop down, 0 to 1.
    pub y: f64,
    /// Height of the crop as a part of the original's height, above 0 up to 1.
    pub height: f64,
}

/// Burnt-in captions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Captions {
    /// How they look.
    pub style: CaptionStyle,
    /// Cues in order, times of the rendition; they do not overlap.
    pub cues: Vec<Cue>,
}

/// A style template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionStyle {
    /// Heavy capitals, a pill behind the word that is spoken.
    #[default]
    Karaoke,
    /// Words on a solid block.
    Block,
    /// No burnt-in captions; the subtitle files are still written.
    Clean,
}

impl FromStr for CaptionStyle {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "karaoke" => Ok(Self::Karaoke),
            "block" => Ok(Self::Block),
            "clean" => Ok(Self::Clean),
            other => Err(format!("unknown caption style {other:?}; use karaoke, block or clean")),
        }
    }
}

impl fmt::Display for CaptionStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Karaoke => "karaoke",
            Self::Block => "block",
            Self::Clean => "clean",
        })
    }
}

/// Words that are shown together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cue {
    /// When, in the rendition.
    pub span: Span,
    /// One or two lines of words.
    pub lines: Vec<Vec<CueWord>>,
}

/// A word of a cue and when it lights up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CueWord {
    /// As it is drawn.
    pub text: String,
    /// When it is spoken, in the rendition; inside the cue's span.
    pub span: Span,
}

/// What happens to the sound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioChain {
    /// Linear gain in dB before the limiter.
    pub gain_db: f64,
    /// Ceiling of the true-peak limiter in dBTP.
    pub ceiling_dbtp: f64,
    /// What the gain aims at, in LUFS.
    pub target_lufs: f64,
    /// Fade at each end, in milliseconds, so that no cut clicks.
    pub fade_ms: u32,
}

/// What speech is brought to, in LUFS: what the large networks play at.
pub const TARGET_LUFS: f64 = -14.0;

/// Version of how captions are drawn. It goes up when the same style and words give another picture.
pub const CAPTIONS_VERSION: u32 = 1;

/// What the bytes of a rendition depend on beside the edit itself. It is fixed when the rendition is asked for, so that it does not
/// matter which process makes it, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderSettings {
    /// How it is encoded.
    pub encoder: EncoderSettings,
    /// Pixels across, even.
    pub width: u32,
    /// Pixels down, even.
    pub height: u32,
    /// What speech is brought to, in LUFS.
    pub target_lufs: f64,
    /// See [`CAPTIONS_VERSION`].
    pub captions_version: u32,
}

impl RenderSettings {
    /// Returns what this version gives to a full-size rendition.
    #[must_use]
    pub fn full_size(ratio: Ratio, encoder: EncoderSettings) -> Self {
        let (width, height) = ratio.pixels();
        Self { encoder, width, height, target_lufs: TARGET_LUFS, captions_version: CAPTIONS_VERSION }
    }
}

/// Encoder settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderSettings {
    /// GStreamer element that encodes video, such as `x264enc`.
    pub video_encoder: String,
    /// x264 preset name.
    pub preset: String,
    /// Constant rate factor, 0 to 51.
    pub crf: u32,
    /// Largest distance of key frames, in frames.
    pub key_frame_frames: u32,
    /// AAC bit rate in bit/s.
    pub audio_bitrate_bps: u32,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self {
            video_encoder: "x264enc".into(),
            preset: "veryfast".into(),
            crf: 21,
            // Two seconds at 30 frames per second: platforms cut and seek at key frames.
            key_frame_frames: 60,
            audio_bitrate_bps: 160_000,
        }
    }
}

impl DecisionList {
    /// How long the rendition plays.
    #[must_use]
    pub fn duration(&self) -> MediaTime {
        self.picture.frame_rate.time_of(self.picture.frames)
    }
}
