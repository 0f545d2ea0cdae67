//! From what is known and what is wished for to a decision list.

use crate::{Timeline, audio, cues, poster, reframe};
use domain::artefact::{
    CaptionStyle, Captions, DecisionList, FaceSample, Loudness, MediaFacts, Picture, Prosody, Ratio, RenderSettings, Shot, Word,
};
use domain::{BlobRef, MediaTime, Span};
use thiserror::Error;

/// Version of the decision list that is written here.
pub const VERSION: u32 = 1;

/// What is known of the original. Times are the original's; only what lies inside the wished span is used.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The original.
    pub blob: BlobRef,
    /// What its container says.
    pub facts: &'a MediaFacts,
    /// Its shots, in order.
    pub shots: &'a [Shot],
    /// Frames sampled inside the span, in time order.
    pub faces: &'a [FaceSample],
    /// Prosody of the whole video; its level says who speaks.
    pub levels: &'a Prosody,
    /// Its words, in order.
    pub words: &'a [Word],
    /// Loudness of the span alone; `None` when it is silent.
    pub loudness: Option<Loudness>,
}

/// What the rendition should be.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Which part of the original.
    pub span: Span,
    /// Shape of the picture.
    pub ratio: Ratio,
    /// How captions look.
    pub style: CaptionStyle,
    /// What else its bytes depend on.
    pub settings: RenderSettings,
}

/// Why there can be no rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Sound alone.
    #[error("the file has no picture, so no clip can be made of it")]
    NoPicture,
    /// Nothing to show.
    #[error("the span {span} lies outside the video, which is {duration} long")]
    SpanOutsideVideo {
        /// What was asked for.
        span: Span,
        /// How long the video is.
        duration: MediaTime,
    },
}

/// Decides everything about a rendition.
///
/// # Errors
/// A [`Refusal`] when the original has no picture or the span lies outside it.
pub fn plan(source: &Source<'_>, wish: &Wish) -> Result<DecisionList, Refusal> {
    let video = source.facts.video.as_ref().ok_or(Refusal::NoPicture)?;
    let timeline = Timeline::of(source.facts, video, wish.span)?;
    let RenderSettings { width, height, target_lufs, .. } = wish.settings;
    let picture = Picture { ratio: wish.ratio, width, height, frame_rate: timeline.rate, frames: timeline.frames };
    let crop = reframe::Crop::of(video, wish.ratio);
    let scene = reframe::Scene { timeline: &timeline, crop, shots: source.shots, faces: source.faces, levels: source.levels };
    let layout = reframe::layout(&scene);
    let poster_frame = poster::frame(&timeline, source.shots, source.faces, &layout, crop);
    let captions = cues::Rules::burnt(wish.style, wish.ratio)
        .map(|rules| Captions { style: wish.style, cues: cues::arrange(source.words, &timeline, &rules) });
    let audio = source.facts.audio.as_ref().map(|_| audio::chain(source.loudness, timeline.range.duration(), target_lufs));
    Ok(DecisionList {
        version: VERSION,
        source: source.blob.clone(),
        ranges: vec![timeline.range],
        picture,
        layout,
        captions,
        audio,
        encoder: wish.settings.encoder.clone(),
        poster_frame,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
pub(crate) mod testing {
    //! Values that the tests of this crate share.
    use super::*;
    use domain::artefact::{AudioFacts, FrameRate, VideoFacts};

    /// A minute of upright film at 30 frames per second with sound.
    pub(crate) fn facts(width: u32, height: u32) -> MediaFacts {
        MediaFacts {
            container: "mp4".into(),
            duration_us: MediaTime::from_seconds(60.0),
            video: Some(VideoFacts {
                codec: "h264".into(),
                width,
                height,
                frame_rate: FrameRate { numerator: 30, denominator: 1 },
                is_variable_rate: false,
                rotation_degrees: 0,
            }),
            audio: Some(AudioFacts { codec: "aac".into(), channels: 2, sample_rate_hz: 48_000 }),
        }
    }

    pub(crate) fn span(start: f64, end: f64) -> Span {
        Span::new(MediaTime::from_seconds(start), MediaTime::from_seconds(end)).unwrap()
    }
}
