//! The values inside video events, domain ⇄ wire.

use crate::convert::{Problem, blob, blob_back, encoder, encoder_back, need, ratio, ratio_back, style, style_back};
use crate::v1;
use domain::MediaTime;
use domain::artefact::{AudioFacts, FrameRate, MediaFacts, VideoFacts};
use domain::video::{Sound, Source, Wish};

pub(super) fn source(source: &Source) -> v1::Source {
    let source = match source {
        Source::Upload { blob: bytes } => v1::source::Source::Upload(blob(bytes)),
        Source::Url { url } => v1::source::Source::Url(url.clone()),
    };
    v1::Source { source: Some(source) }
}

pub(super) fn source_back(message: Option<v1::Source>) -> Result<Source, Problem> {
    match need(message.and_then(|message| message.source), "source")? {
        v1::source::Source::Upload(bytes) => Ok(Source::Upload { blob: blob_back(Some(bytes), "upload")? }),
        v1::source::Source::Url(url) => Ok(Source::Url { url }),
    }
}

pub(super) fn wish(wish: &Wish) -> v1::Wish {
    v1::Wish {
        count: wish.count,
        ratios: wish.ratios.iter().copied().map(ratio).collect(),
        style: style(wish.style),
        length_min_us: wish.length_min.0,
        length_max_us: wish.length_max.0,
        model: wish.model.clone(),
        language: wish.language.clone(),
        encoder: Some(encoder(&wish.encoder)),
    }
}

pub(super) fn wish_back(message: Option<v1::Wish>) -> Result<Wish, Problem> {
    let message = need(message, "wish")?;
    Ok(Wish {
        count: message.count,
        ratios: message.ratios.into_iter().map(ratio_back).collect::<Result<_, _>>()?,
        style: style_back(message.style)?,
        length_min: MediaTime(message.length_min_us),
        length_max: MediaTime(message.length_max_us),
        model: message.model,
        language: message.language,
        encoder: encoder_back(message.encoder),
    })
}

pub(super) fn facts(facts: &MediaFacts) -> v1::MediaFacts {
    v1::MediaFacts {
        container: facts.container.clone(),
        duration_us: facts.duration_us.0,
        video: facts.video.as_ref().map(|video| v1::VideoFacts {
            codec: video.codec.clone(),
            width: video.width,
            height: video.height,
            frame_rate: Some(v1::FrameRate { numerator: video.frame_rate.numerator, denominator: video.frame_rate.denominator }),
            is_variable_rate: video.is_variable_rate,
            rotation_degrees: u32::from(video.rotation_degrees),
        }),
        audio: facts.audio.as_ref().map(|audio| v1::AudioFacts {
            codec: audio.codec.clone(),
            channels: audio.channels,
            sample_rate_hz: audio.sample_rate_hz,
        }),
    }
}

pub(super) fn facts_back(message: Option<v1::MediaFacts>) -> Result<MediaFacts, Problem> {
    let message = need(message, "facts")?;
    Ok(MediaFacts {
        container: message.container,
        duration_us: MediaTime(message.duration_us),
        video: message.video.map(video_back).transpose()?,
        audio: message.audio.map(|audio| AudioFacts { codec: audio.codec, channels: audio.channels, sample_rate_hz: audio.sample_rate_hz }),
    })
}

pub(super) fn sound(sound: &Sound) -> v1::Sound {
    v1::Sound { wav: Some(blob(&sound.wav)), measures: Some(blob(&sound.measures)) }
}

pub(super) fn sound_back(message: Option<v1::Sound>) -> Result<Option<Sound>, Problem> {
    message.map(|message| Ok(Sound { wav: blob_back(message.wav, "wav")?, measures: blob_back(message.measures, "measures")? })).transpose()
}

fn video_back(message: v1::VideoFacts) -> Result<VideoFacts, Problem> {
    let rate = need(message.frame_rate, "frame_rate")?;
    if rate.numerator == 0 || rate.denominator == 0 {
        return Err("frame_rate has a zero".into());
    }
    Ok(VideoFacts {
        codec: message.codec,
        width: message.width,
        height: message.height,
        frame_rate: FrameRate { numerator: rate.numerator, denominator: rate.denominator },
        is_variable_rate: message.is_variable_rate,
        rotation_degrees: u16::try_from(message.rotation_degrees).map_err(|_| "rotation_degrees is out of range")?,
    })
}
