//! Clip events on the wire.

use crate::convert::{
    Problem, blob, blob_back, encoder, encoder_back, failure, failure_back, known, need, parse, ratio, ratio_back, span, span_back, style,
    style_back,
};
use crate::v1;
use crate::wire::{DecodeError, Encoded, Wire, decoded, encoded};
use domain::MediaTime;
use domain::artefact::{Contribution, FeatureGroup, Ratio, Reason, RenderSettings};
use domain::clip::{Clip, Event, Proposal, Rendition};

impl Wire for Clip {
    const CATEGORY: &'static str = "clip";

    fn encode(event: &Event) -> Encoded {
        match event {
            Event::Proposed(proposal) => encoded("clip.proposed", &proposed(proposal)),
            Event::Accepted => encoded("clip.accepted", &v1::ClipAccepted {}),
            Event::Rejected { reason } => encoded("clip.rejected", &v1::ClipRejected { reason: reason.clone() }),
            Event::Retrimmed { from, to } => encoded("clip.retrimmed", &v1::ClipRetrimmed { from: Some(span(*from)), to: Some(span(*to)) }),
            Event::Restyled { style: new } => encoded("clip.restyled", &v1::ClipRestyled { style: style(*new) }),
            Event::RenderRequested {
                video,
                revision,
                original,
                words,
                analysis,
                span: wanted,
                ratio: shape,
                style: look,
                settings: how,
            } => encoded(
                "clip.render_requested",
                &v1::ClipRenderRequested {
                    video_id: video.to_string(),
                    revision: *revision,
                    original: Some(blob(original)),
                    words: Some(blob(words)),
                    analysis: Some(blob(analysis)),
                    span: Some(span(*wanted)),
                    ratio: ratio(*shape),
                    style: style(*look),
                    settings: Some(settings(how)),
                },
            ),
            Event::Rendered { revision, rendition: made } => {
                encoded("clip.rendered", &v1::ClipRendered { revision: *revision, rendition: Some(rendition(made)) })
            }
            Event::RenderFailed { revision, ratio: shape, failure: why } => encoded(
                "clip.render_failed",
                &v1::ClipRenderFailed { revision: *revision, ratio: ratio(*shape), failure: Some(failure(why)) },
            ),
            Event::Deleted => encoded("clip.deleted", &v1::ClipDeleted {}),
        }
    }

    fn decode(event_type: &str, schema_version: u32, payload: &[u8]) -> Result<Option<Event>, DecodeError> {
        match event_type {
            "clip.proposed" => decoded(event_type, schema_version, payload, proposed_back),
            "clip.accepted" => decoded(event_type, schema_version, payload, |v1::ClipAccepted {}| Ok(Event::Accepted)),
            "clip.rejected" => {
                decoded(event_type, schema_version, payload, |message: v1::ClipRejected| Ok(Event::Rejected { reason: message.reason }))
            }
            "clip.retrimmed" => decoded(event_type, schema_version, payload, |message: v1::ClipRetrimmed| {
                Ok(Event::Retrimmed { from: span_back(message.from, "from")?, to: span_back(message.to, "to")? })
            }),
            "clip.restyled" => decoded(event_type, schema_version, payload, |message: v1::ClipRestyled| {
                Ok(Event::Restyled { style: style_back(message.style)? })
            }),
            "clip.render_requested" => decoded(event_type, schema_version, payload, render_requested),
            "clip.rendered" => decoded(event_type, schema_version, payload, |message: v1::ClipRendered| {
                Ok(Event::Rendered { revision: message.revision, rendition: rendition_back(need(message.rendition, "rendition")?)? })
            }),
            "clip.render_failed" => decoded(event_type, schema_version, payload, |message: v1::ClipRenderFailed| {
                Ok(Event::RenderFailed {
                    revision: message.revision,
                    ratio: ratio_back(message.ratio)?,
                    failure: failure_back(message.failure)?,
                })
            }),
            "clip.deleted" => decoded(event_type, schema_version, payload, |v1::ClipDeleted {}| Ok(Event::Deleted)),
            _ => Ok(None),
        }
    }
}

fn proposed(proposal: &Proposal) -> v1::ClipProposed {
    v1::ClipProposed {
        video_id: proposal.video.to_string(),
        original: Some(blob(&proposal.original)),
        video_duration_us: proposal.video_duration.0,
        words: Some(blob(&proposal.words)),
        analysis: Some(blob(&proposal.analysis)),
        rank: proposal.rank,
        span: Some(span(proposal.span)),
        score: proposal.score,
        title: proposal.title.clone(),
        keywords: proposal.keywords.clone(),
        contributions: proposal.contributions.iter().map(contribution).collect(),
        reasons: proposal.reasons.iter().map(reason).collect(),
        model: proposal.model.clone(),
        style: style(proposal.style),
    }
}

fn proposed_back(message: v1::ClipProposed) -> Result<Event, Problem> {
    Ok(Event::Proposed(Box::new(Proposal {
        video: parse(&message.video_id, "video_id")?,
        original: blob_back(message.original, "original")?,
        video_duration: MediaTime(message.video_duration_us),
        words: blob_back(message.words, "words")?,
        analysis: blob_back(message.analysis, "analysis")?,
        rank: message.rank,
        span: span_back(message.span, "span")?,
        score: message.score,
        title: message.title,
        keywords: message.keywords,
        contributions: message.contributions.into_iter().map(contribution_back).collect::<Result<_, _>>()?,
        reasons: message.reasons.into_iter().map(reason_back).collect(),
        model: message.model,
        style: style_back(message.style)?,
    })))
}

fn contribution(contribution: &Contribution) -> v1::Contribution {
    v1::Contribution {
        feature: contribution.feature.clone(),
        group: group(contribution.group).into(),
        value: contribution.value,
        percentile: contribution.percentile,
        weight: contribution.weight,
        effect: contribution.effect,
        at: Some(span(contribution.at)),
    }
}

fn contribution_back(message: v1::Contribution) -> Result<Contribution, Problem> {
    Ok(Contribution {
        feature: message.feature,
        group: group_back(known(message.group, "group")?)?,
        value: message.value,
        percentile: message.percentile,
        weight: message.weight,
        effect: message.effect,
        at: span_back(message.at, "at")?,
    })
}

fn group(group: FeatureGroup) -> v1::FeatureGroup {
    match group {
        FeatureGroup::Hook => v1::FeatureGroup::Hook,
        FeatureGroup::Emotion => v1::FeatureGroup::Emotion,
        FeatureGroup::Coherence => v1::FeatureGroup::Coherence,
        FeatureGroup::Standalone => v1::FeatureGroup::Standalone,
        FeatureGroup::Payoff => v1::FeatureGroup::Payoff,
        FeatureGroup::Delivery => v1::FeatureGroup::Delivery,
    }
}

fn group_back(group: v1::FeatureGroup) -> Result<FeatureGroup, Problem> {
    match group {
        v1::FeatureGroup::Hook => Ok(FeatureGroup::Hook),
        v1::FeatureGroup::Emotion => Ok(FeatureGroup::Emotion),
        v1::FeatureGroup::Coherence => Ok(FeatureGroup::Coherence),
        v1::FeatureGroup::Standalone => Ok(FeatureGroup::Standalone),
        v1::FeatureGroup::Payoff => Ok(FeatureGroup::Payoff),
        v1::FeatureGroup::Delivery => Ok(FeatureGroup::Delivery),
        v1::FeatureGroup::Unspecified => Err("group is missing".into()),
    }
}

fn reason(reason: &Reason) -> v1::Reason {
    v1::Reason { text: reason.text.clone(), feature: reason.feature.clone(), at_us: reason.at_us.0 }
}

fn reason_back(message: v1::Reason) -> Reason {
    Reason { text: message.text, feature: message.feature, at_us: MediaTime(message.at_us) }
}

fn settings(settings: &RenderSettings) -> v1::RenderSettings {
    v1::RenderSettings {
        encoder: Some(encoder(&settings.encoder)),
        width: settings.width,
        height: settings.height,
        target_lufs: settings.target_lufs,
        captions_version: settings.captions_version,
    }
}

/// Events of before settings were recorded get the defaults of then, which must never change here.
fn settings_back(message: Option<v1::RenderSettings>, ratio: Ratio) -> RenderSettings {
    let (width, height) = match ratio {
        Ratio::Portrait => (1080, 1920),
        Ratio::Tall => (1080, 1350),
        Ratio::Square => (1080, 1080),
        Ratio::Landscape => (1920, 1080),
    };
    let then = v1::RenderSettings { encoder: None, width, height, target_lufs: -14.0, captions_version: 1 };
    let v1::RenderSettings { encoder, width, height, target_lufs, captions_version } = message.unwrap_or(then);
    RenderSettings { encoder: encoder_back(encoder), width, height, target_lufs, captions_version }
}

fn render_requested(message: v1::ClipRenderRequested) -> Result<Event, Problem> {
    let ratio = ratio_back(message.ratio)?;
    Ok(Event::RenderRequested {
        video: parse(&message.video_id, "video_id")?,
        revision: message.revision,
        original: blob_back(message.original, "original")?,
        words: blob_back(message.words, "words")?,
        analysis: blob_back(message.analysis, "analysis")?,
        span: span_back(message.span, "span")?,
        ratio,
        style: style_back(message.style)?,
        settings: settings_back(message.settings, ratio),
    })
}

fn rendition(rendition: &Rendition) -> v1::Rendition {
    v1::Rendition {
        ratio: ratio(rendition.ratio),
        video: Some(blob(&rendition.video)),
        poster: Some(blob(&rendition.poster)),
        srt: Some(blob(&rendition.srt)),
        vtt: Some(blob(&rendition.vtt)),
        ass: Some(blob(&rendition.ass)),
        decisions: Some(blob(&rendition.decisions)),
        duration_us: rendition.duration.0,
    }
}

fn rendition_back(message: v1::Rendition) -> Result<Rendition, Problem> {
    Ok(Rendition {
        ratio: ratio_back(message.ratio)?,
        video: blob_back(message.video, "video")?,
        poster: blob_back(message.poster, "poster")?,
        srt: blob_back(message.srt, "srt")?,
        vtt: blob_back(message.vtt, "vtt")?,
        ass: blob_back(message.ass, "ass")?,
        decisions: blob_back(message.decisions, "decisions")?,
        duration: MediaTime(message.duration_us),
    })
}
