//! What the processors report of a clip: why detection proposes it, and which files rendering made. No rule is here.

use crate::artefact::{CaptionStyle, Contribution, Ratio, Reason};
use crate::id::VideoId;
use crate::{BlobRef, MediaTime, Span};

/// What detection says of a clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Of which video.
    pub video: VideoId,
    /// The original that it is cut from.
    pub original: BlobRef,
    /// How long that is.
    pub video_duration: MediaTime,
    /// Its words.
    pub words: BlobRef,
    /// What is seen and heard in it.
    pub analysis: BlobRef,
    /// Its place among the proposed clips, from 1.
    pub rank: u32,
    /// Where it is.
    pub span: Span,
    /// 0 to 100 within this video.
    pub score: f64,
    /// A short title in the video's own words.
    pub title: String,
    /// Most telling first.
    pub keywords: Vec<String>,
    /// Every feature with what it added.
    pub contributions: Vec<Contribution>,
    /// The strongest in words.
    pub reasons: Vec<Reason>,
    /// Which ranker scored it.
    pub model: String,
    /// How captions look.
    pub style: CaptionStyle,
}

/// One file of a clip, with its companions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// Aspect ratio.
    pub ratio: Ratio,
    /// MP4.
    pub video: BlobRef,
    /// JPEG.
    pub poster: BlobRef,
    /// SubRip subtitles.
    pub srt: BlobRef,
    /// WebVTT subtitles.
    pub vtt: BlobRef,
    /// Advanced SubStation Alpha subtitles.
    pub ass: BlobRef,
    /// The decision list that reproduces the file.
    pub decisions: BlobRef,
    /// How long it plays.
    pub duration: MediaTime,
}
