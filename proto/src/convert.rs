//! Shared values, domain ⇄ wire. To the wire is total; from the wire names what is wrong.

use crate::v1;
use domain::artefact::{CaptionStyle, EncoderSettings, Ratio};
use domain::video::Failure;
use domain::{BlobRef, MediaTime, Span};
use std::fmt::Display;
use std::str::FromStr;

/// What is wrong with a message.
pub(crate) type Problem = String;

/// Returns the value of a field that must be there.
pub(crate) fn need<T>(field: Option<T>, name: &str) -> Result<T, Problem> {
    field.ok_or_else(|| format!("{name} is missing"))
}

/// Parses a text field, such as an id.
pub(crate) fn parse<T: FromStr<Err: Display>>(text: &str, name: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| format!("{name}: {error}"))
}

/// Returns the number of a wire enum as the enum, refusing numbers that this version does not know.
pub(crate) fn known<T: TryFrom<i32>>(number: i32, name: &str) -> Result<T, Problem> {
    T::try_from(number).map_err(|_| format!("{name} has the unknown value {number}"))
}

pub(crate) fn blob(blob: &BlobRef) -> v1::Blob {
    v1::Blob { sha256: blob.sha256.to_string(), bytes: blob.bytes, media_type: blob.media_type.clone() }
}

pub(crate) fn blob_back(blob: Option<v1::Blob>, name: &str) -> Result<BlobRef, Problem> {
    let blob = need(blob, name)?;
    Ok(BlobRef { sha256: parse(&blob.sha256, name)?, bytes: blob.bytes, media_type: blob.media_type })
}

pub(crate) fn blob_back_optional(blob: Option<v1::Blob>, name: &str) -> Result<Option<BlobRef>, Problem> {
    blob.map(|blob| blob_back(Some(blob), name)).transpose()
}

pub(crate) fn span(span: Span) -> v1::Span {
    v1::Span { start_us: span.start().0, end_us: span.end().0 }
}

pub(crate) fn span_back(span: Option<v1::Span>, name: &str) -> Result<Span, Problem> {
    let span = need(span, name)?;
    Span::new(MediaTime(span.start_us), MediaTime(span.end_us)).map_err(|error| format!("{name}: {error}"))
}

pub(crate) fn failure(failure: &Failure) -> v1::Failure {
    v1::Failure { code: failure.code.clone(), reason: failure.reason.clone() }
}

pub(crate) fn failure_back(failure: Option<v1::Failure>) -> Result<Failure, Problem> {
    let failure = need(failure, "failure")?;
    Ok(Failure { code: failure.code, reason: failure.reason })
}

pub(crate) fn encoder(encoder: &EncoderSettings) -> v1::Encoder {
    v1::Encoder {
        video_encoder: encoder.video_encoder.clone(),
        preset: encoder.preset.clone(),
        crf: encoder.crf,
        key_frame_frames: encoder.key_frame_frames,
        audio_bitrate_bps: encoder.audio_bitrate_bps,
    }
}

/// Events of before encoders were recorded get the defaults of then, which must never change here.
pub(crate) fn encoder_back(encoder: Option<v1::Encoder>) -> EncoderSettings {
    let then = || v1::Encoder {
        video_encoder: "x264enc".into(),
        preset: "veryfast".into(),
        crf: 21,
        key_frame_frames: 60,
        audio_bitrate_bps: 160_000,
    };
    let v1::Encoder { video_encoder, preset, crf, key_frame_frames, audio_bitrate_bps } = encoder.unwrap_or_else(then);
    EncoderSettings { video_encoder, preset, crf, key_frame_frames, audio_bitrate_bps }
}

pub(crate) fn ratio(ratio: Ratio) -> i32 {
    match ratio {
        Ratio::Portrait => v1::Ratio::Portrait,
        Ratio::Tall => v1::Ratio::Tall,
        Ratio::Square => v1::Ratio::Square,
        Ratio::Landscape => v1::Ratio::Landscape,
    }
    .into()
}

pub(crate) fn ratio_back(number: i32) -> Result<Ratio, Problem> {
    match known(number, "ratio")? {
        v1::Ratio::Portrait => Ok(Ratio::Portrait),
        v1::Ratio::Tall => Ok(Ratio::Tall),
        v1::Ratio::Square => Ok(Ratio::Square),
        v1::Ratio::Landscape => Ok(Ratio::Landscape),
        v1::Ratio::Unspecified => Err("ratio is missing".into()),
    }
}

pub(crate) fn style(style: CaptionStyle) -> i32 {
    match style {
        CaptionStyle::Karaoke => v1::CaptionStyle::Karaoke,
        CaptionStyle::Block => v1::CaptionStyle::Block,
        CaptionStyle::Clean => v1::CaptionStyle::Clean,
    }
    .into()
}

pub(crate) fn style_back(number: i32) -> Result<CaptionStyle, Problem> {
    match known(number, "style")? {
        v1::CaptionStyle::Karaoke => Ok(CaptionStyle::Karaoke),
        v1::CaptionStyle::Block => Ok(CaptionStyle::Block),
        v1::CaptionStyle::Clean => Ok(CaptionStyle::Clean),
        v1::CaptionStyle::Unspecified => Err("style is missing".into()),
    }
}
