//! Video events on the wire.

mod values;

use crate::convert::{Problem, blob, blob_back, blob_back_optional, failure, failure_back, known, parse, ratio, ratio_back};
use crate::v1;
use crate::wire::{DecodeError, Encoded, Wire, decoded, encoded};
use domain::MediaTime;
use domain::video::{Event, RenderOutcome, Stage, Video};
use values::{facts, facts_back, sound, sound_back, source, source_back, wish, wish_back};

impl Wire for Video {
    const CATEGORY: &'static str = "video";

    fn encode(event: &Event) -> Encoded {
        match event {
            Event::Submitted { title, source: from, subtitles, wish: wanted } => encoded(
                "video.submitted",
                &v1::VideoSubmitted {
                    title: title.clone(),
                    source: Some(source(from)),
                    subtitles: subtitles.as_ref().map(blob),
                    wish: Some(wish(wanted)),
                },
            ),
            Event::Ingested { original, facts: known, sound: heard, subtitles, wish: wanted } => encoded(
                "video.ingested",
                &v1::VideoIngested {
                    original: Some(blob(original)),
                    facts: Some(facts(known)),
                    sound: heard.as_ref().map(sound),
                    subtitles: subtitles.as_ref().map(blob),
                    wish: Some(wish(wanted)),
                },
            ),
            Event::Refused(why) => encoded("video.refused", &v1::VideoRefused { failure: Some(failure(why)) }),
            Event::TranscriptAttached { transcript, words } => encoded(
                "video.transcript_attached",
                &v1::VideoTranscriptAttached { transcript_id: transcript.to_string(), words: Some(blob(words)) },
            ),
            Event::Analyzed { analysis } => encoded("video.analyzed", &v1::VideoAnalyzed { analysis: Some(blob(analysis)) }),
            Event::ReadyToScore { original, words, analysis, duration, wish: wanted } => encoded(
                "video.ready_to_score",
                &v1::VideoReadyToScore {
                    original: Some(blob(original)),
                    words: Some(blob(words)),
                    analysis: Some(blob(analysis)),
                    duration_us: duration.0,
                    wish: Some(wish(wanted)),
                },
            ),
            Event::ClipsProposed { detection, clips, ratios } => encoded(
                "video.clips_proposed",
                &v1::VideoClipsProposed {
                    detection: Some(blob(detection)),
                    clip_ids: clips.iter().map(ToString::to_string).collect(),
                    ratios: ratios.iter().copied().map(ratio).collect(),
                },
            ),
            Event::NothingFound { detection, explanation } => encoded(
                "video.nothing_found",
                &v1::VideoNothingFound { detection: Some(blob(detection)), explanation: explanation.clone() },
            ),
            Event::RenderSettled { clip, ratio: shape, outcome } => encoded(
                "video.render_settled",
                &v1::VideoRenderSettled {
                    clip_id: clip.to_string(),
                    ratio: ratio(*shape),
                    outcome: match outcome {
                        RenderOutcome::Rendered => v1::RenderOutcome::Rendered,
                        RenderOutcome::Failed => v1::RenderOutcome::Failed,
                    }
                    .into(),
                },
            ),
            Event::Completed { rendered, failed } => {
                encoded("video.completed", &v1::VideoCompleted { rendered: *rendered, failed: *failed })
            }
            Event::StageFailed { stage: which, failure: why } => {
                encoded("video.stage_failed", &v1::VideoStageFailed { stage: stage(*which), failure: Some(failure(why)) })
            }
            Event::StageRetried { stage: which } => encoded("video.stage_retried", &v1::VideoStageRetried { stage: stage(*which) }),
            Event::Deleted => encoded("video.deleted", &v1::VideoDeleted {}),
        }
    }

    fn decode(event_type: &str, schema_version: u32, payload: &[u8]) -> Result<Option<Event>, DecodeError> {
        match event_type {
            "video.submitted" => decoded(event_type, schema_version, payload, submitted),
            "video.ingested" => decoded(event_type, schema_version, payload, ingested),
            "video.refused" => {
                decoded(event_type, schema_version, payload, |message: v1::VideoRefused| Ok(Event::Refused(failure_back(message.failure)?)))
            }
            "video.transcript_attached" => decoded(event_type, schema_version, payload, |message: v1::VideoTranscriptAttached| {
                Ok(Event::TranscriptAttached {
                    transcript: parse(&message.transcript_id, "transcript_id")?,
                    words: blob_back(message.words, "words")?,
                })
            }),
            "video.analyzed" => decoded(event_type, schema_version, payload, |message: v1::VideoAnalyzed| {
                Ok(Event::Analyzed { analysis: blob_back(message.analysis, "analysis")? })
            }),
            "video.ready_to_score" => decoded(event_type, schema_version, payload, ready_to_score),
            "video.clips_proposed" => decoded(event_type, schema_version, payload, clips_proposed),
            "video.nothing_found" => decoded(event_type, schema_version, payload, |message: v1::VideoNothingFound| {
                Ok(Event::NothingFound { detection: blob_back(message.detection, "detection")?, explanation: message.explanation })
            }),
            "video.render_settled" => decoded(event_type, schema_version, payload, render_settled),
            "video.completed" => decoded(event_type, schema_version, payload, |message: v1::VideoCompleted| {
                Ok(Event::Completed { rendered: message.rendered, failed: message.failed })
            }),
            "video.stage_failed" => decoded(event_type, schema_version, payload, |message: v1::VideoStageFailed| {
                Ok(Event::StageFailed { stage: stage_back(message.stage)?, failure: failure_back(message.failure)? })
            }),
            "video.stage_retried" => decoded(event_type, schema_version, payload, |message: v1::VideoStageRetried| {
                Ok(Event::StageRetried { stage: stage_back(message.stage)? })
            }),
            "video.deleted" => decoded(event_type, schema_version, payload, |v1::VideoDeleted {}| Ok(Event::Deleted)),
            _ => Ok(None),
        }
    }
}

fn submitted(message: v1::VideoSubmitted) -> Result<Event, Problem> {
    Ok(Event::Submitted {
        title: message.title,
        source: source_back(message.source)?,
        subtitles: blob_back_optional(message.subtitles, "subtitles")?,
        wish: wish_back(message.wish)?,
    })
}

fn ingested(message: v1::VideoIngested) -> Result<Event, Problem> {
    Ok(Event::Ingested {
        original: blob_back(message.original, "original")?,
        facts: facts_back(message.facts)?,
        sound: sound_back(message.sound)?,
        subtitles: blob_back_optional(message.subtitles, "subtitles")?,
        wish: wish_back(message.wish)?,
    })
}

fn ready_to_score(message: v1::VideoReadyToScore) -> Result<Event, Problem> {
    Ok(Event::ReadyToScore {
        original: blob_back(message.original, "original")?,
        words: blob_back(message.words, "words")?,
        analysis: blob_back(message.analysis, "analysis")?,
        duration: MediaTime(message.duration_us),
        wish: wish_back(message.wish)?,
    })
}

fn clips_proposed(message: v1::VideoClipsProposed) -> Result<Event, Problem> {
    Ok(Event::ClipsProposed {
        detection: blob_back(message.detection, "detection")?,
        clips: message.clip_ids.iter().map(|id| parse(id, "clip_ids")).collect::<Result<_, _>>()?,
        ratios: message.ratios.into_iter().map(ratio_back).collect::<Result<_, _>>()?,
    })
}

fn render_settled(message: v1::VideoRenderSettled) -> Result<Event, Problem> {
    let outcome = match known(message.outcome, "outcome")? {
        v1::RenderOutcome::Rendered => RenderOutcome::Rendered,
        v1::RenderOutcome::Failed => RenderOutcome::Failed,
        v1::RenderOutcome::Unspecified => return Err("outcome is missing".into()),
    };
    Ok(Event::RenderSettled { clip: parse(&message.clip_id, "clip_id")?, ratio: ratio_back(message.ratio)?, outcome })
}

fn stage(stage: Stage) -> i32 {
    match stage {
        Stage::Ingest => v1::Stage::Ingest,
        Stage::Transcribe => v1::Stage::Transcribe,
        Stage::Analyze => v1::Stage::Analyze,
        Stage::Score => v1::Stage::Score,
        Stage::Render => v1::Stage::Render,
    }
    .into()
}

fn stage_back(number: i32) -> Result<Stage, Problem> {
    match known(number, "stage")? {
        v1::Stage::Ingest => Ok(Stage::Ingest),
        v1::Stage::Transcribe => Ok(Stage::Transcribe),
        v1::Stage::Analyze => Ok(Stage::Analyze),
        v1::Stage::Score => Ok(Stage::Score),
        v1::Stage::Render => Ok(Stage::Render),
        v1::Stage::Unspecified => Err("stage is missing".into()),
    }
}
