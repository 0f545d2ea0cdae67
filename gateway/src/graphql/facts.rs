//! Small types that several entities share.

use async_graphql::{Enum, InputObject, SimpleObject};
use domain::artefact::{self, MediaFacts};
use domain::{Span, video};
use projections::{stages, videos};

/// Aspect ratio of a rendition.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "artefact::Ratio")]
pub(crate) enum Ratio {
    /// 9:16, 1080×1920.
    Portrait,
    /// 4:5, 1080×1350.
    Tall,
    /// 1:1, 1080×1080.
    Square,
    /// 16:9, 1920×1080.
    Landscape,
}

/// How burnt-in captions look.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "artefact::CaptionStyle")]
pub(crate) enum CaptionStyle {
    /// Heavy capitals, a pill behind the word that is spoken.
    Karaoke,
    /// Words on a solid block.
    Block,
    /// No burnt-in captions; the subtitle files are still written.
    Clean,
}

/// A step from a file to clips.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "video::Stage")]
pub(crate) enum Stage {
    /// Fetch, check and take in the file.
    Ingest,
    /// Hear the words.
    Transcribe,
    /// See and hear the rest.
    Analyze,
    /// Find the clips.
    Score,
    /// Make the renditions.
    Render,
}

/// How far a stage is.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "stages::StageState")]
pub(crate) enum StageState {
    /// Its turn has not come.
    Waiting,
    /// It may run.
    Running,
    /// It is finished.
    Done,
    /// It gave up; `retryStage` tries again, unless the video was refused.
    Failed,
    /// It has nothing to do.
    Skipped,
}

/// How far a video is.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "videos::State")]
pub(crate) enum VideoState {
    /// Some stage is running or waiting.
    Processing,
    /// A stage gave up; others may go on.
    Failed,
    /// It cannot be used; `failure` says why.
    Refused,
    /// Everything that was wanted is made or has failed.
    Completed,
}

/// A piece of a video.
#[derive(SimpleObject)]
pub(crate) struct TimeSpan {
    /// Where it starts, in seconds of the video.
    start_seconds: f64,
    /// Where it ends, in seconds of the video.
    end_seconds: f64,
}

impl From<Span> for TimeSpan {
    fn from(span: Span) -> Self {
        Self { start_seconds: span.start().seconds(), end_seconds: span.end().seconds() }
    }
}

/// Why something did not work.
#[derive(SimpleObject)]
pub(crate) struct Failure {
    /// Stable, such as `NOT_A_VIDEO`.
    code: String,
    /// One sentence: what happened and what to do.
    reason: String,
}

impl Failure {
    pub(crate) fn of(code: Option<&String>, reason: Option<&String>) -> Option<Self> {
        Some(Self { code: code?.clone(), reason: reason?.clone() })
    }
}

/// What a file is, checked by decoding it.
#[derive(SimpleObject)]
pub(crate) struct Facts {
    /// Short name, such as `mp4` or `matroska`.
    container: String,
    /// How long it plays, in seconds.
    duration_seconds: f64,
    /// Such as `h264`; null without a picture.
    video_codec: Option<String>,
    /// Pixels across as stored, before rotation; null without a picture.
    width: Option<u32>,
    /// Pixels down as stored, before rotation; null without a picture.
    height: Option<u32>,
    /// Frames per second, the mean when they vary; null without a picture.
    frames_per_second: Option<f64>,
    /// How far a player turns it clockwise, in degrees; null without a picture.
    rotation_degrees: Option<u16>,
    /// Such as `aac`; null without sound.
    audio_codec: Option<String>,
    /// How many channels of sound; null without sound.
    audio_channels: Option<u32>,
    /// Samples per second per channel; null without sound.
    sample_rate_hz: Option<u32>,
}

impl From<&MediaFacts> for Facts {
    fn from(facts: &MediaFacts) -> Self {
        let (video, audio) = (facts.video.as_ref(), facts.audio.as_ref());
        Self {
            container: facts.container.clone(),
            duration_seconds: facts.duration_us.seconds(),
            video_codec: video.map(|video| video.codec.clone()),
            width: video.map(|video| video.width),
            height: video.map(|video| video.height),
            frames_per_second: video.map(|video| video.frame_rate.per_second()),
            rotation_degrees: video.map(|video| video.rotation_degrees),
            audio_codec: audio.map(|audio| audio.codec.clone()),
            audio_channels: audio.map(|audio| audio.channels),
            sample_rate_hz: audio.map(|audio| audio.sample_rate_hz),
        }
    }
}

/// What is wanted of a video. Everything has a sensible default.
#[derive(InputObject, Clone, Debug, Default)]
pub(crate) struct WishInput {
    /// How many clips, 1 to 40; left out, the length of the video decides.
    pub(crate) count: Option<u32>,
    /// Which renditions each clip gets; `[PORTRAIT]` when left out.
    pub(crate) ratios: Option<Vec<Ratio>>,
    /// How captions look; `KARAOKE` when left out.
    pub(crate) style: Option<CaptionStyle>,
    /// Shortest clip in seconds, from 3; 15 when left out.
    pub(crate) length_min_seconds: Option<f64>,
    /// Longest clip in seconds, up to 180; 60 when left out.
    pub(crate) length_max_seconds: Option<f64>,
    /// Name of the model that transcribes, such as `tiny.en`.
    pub(crate) model: Option<String>,
    /// ISO 639-1 code, such as `en`; left out, it is detected.
    pub(crate) language: Option<String>,
}

/// What was wanted of a video.
#[derive(SimpleObject)]
pub(crate) struct Wish {
    /// How many clips; null lets the length of the video decide.
    count: Option<u32>,
    /// Which renditions each clip gets.
    ratios: Vec<Ratio>,
    /// How captions look.
    style: CaptionStyle,
    /// Shortest clip, in seconds.
    length_min_seconds: f64,
    /// Longest clip, in seconds.
    length_max_seconds: f64,
    /// Name of the model that transcribes.
    model: String,
    /// ISO 639-1 code; null when it is detected.
    language: Option<String>,
}

impl From<&videos::Row> for Wish {
    fn from(row: &videos::Row) -> Self {
        Self {
            count: row.wish_count,
            ratios: row.wish_ratios.iter().copied().map(Ratio::from).collect(),
            style: row.wish_style.into(),
            length_min_seconds: row.wish_length_min_us.seconds(),
            length_max_seconds: row.wish_length_max_us.seconds(),
            model: row.wish_model.clone(),
            language: row.wish_language.clone(),
        }
    }
}
