//! Transcript events on the wire.

use crate::convert::{Problem, blob, blob_back, parse, span, span_back};
use crate::v1;
use crate::wire::{DecodeError, Encoded, Wire, decoded, encoded};
use domain::transcript::{Event, Transcript};

impl Wire for Transcript {
    const CATEGORY: &'static str = "transcript";

    fn encode(event: &Event) -> Encoded {
        match event {
            Event::Begun { video, audio, chunks, language, model } => encoded(
                "transcript.begun",
                &v1::TranscriptBegun {
                    video_id: video.to_string(),
                    audio: Some(blob(audio)),
                    chunks: chunks.iter().copied().map(span).collect(),
                    language: language.clone(),
                    model: model.clone(),
                },
            ),
            Event::ChunkRequested { video, audio, index, span: chunk, language, model } => encoded(
                "transcript.chunk_requested",
                &v1::TranscriptChunkRequested {
                    video_id: video.to_string(),
                    audio: Some(blob(audio)),
                    index: *index,
                    span: Some(span(*chunk)),
                    language: language.clone(),
                    model: model.clone(),
                },
            ),
            Event::ChunkTranscribed { index, words } => {
                encoded("transcript.chunk_transcribed", &v1::TranscriptChunkTranscribed { index: *index, words: Some(blob(words)) })
            }
            Event::ReadyToAssemble { video, chunks, language, model } => encoded(
                "transcript.ready_to_assemble",
                &v1::TranscriptReadyToAssemble {
                    video_id: video.to_string(),
                    chunks: chunks.iter().map(blob).collect(),
                    language: language.clone(),
                    model: model.clone(),
                },
            ),
            Event::Completed { video, words, word_count, language, model } => encoded(
                "transcript.completed",
                &v1::TranscriptCompleted {
                    video_id: video.to_string(),
                    words: Some(blob(words)),
                    word_count: *word_count,
                    language: language.clone(),
                    model: model.clone(),
                },
            ),
            Event::Imported { video, words, word_count, language, format } => encoded(
                "transcript.imported",
                &v1::TranscriptImported {
                    video_id: video.to_string(),
                    words: Some(blob(words)),
                    word_count: *word_count,
                    language: language.clone(),
                    format: format.clone(),
                },
            ),
        }
    }

    fn decode(event_type: &str, schema_version: u32, payload: &[u8]) -> Result<Option<Event>, DecodeError> {
        match event_type {
            "transcript.begun" => decoded(event_type, schema_version, payload, begun),
            "transcript.chunk_requested" => decoded(event_type, schema_version, payload, chunk_requested),
            "transcript.chunk_transcribed" => decoded(event_type, schema_version, payload, |message: v1::TranscriptChunkTranscribed| {
                Ok(Event::ChunkTranscribed { index: message.index, words: blob_back(message.words, "words")? })
            }),
            "transcript.ready_to_assemble" => decoded(event_type, schema_version, payload, ready_to_assemble),
            "transcript.completed" => decoded(event_type, schema_version, payload, completed),
            "transcript.imported" => decoded(event_type, schema_version, payload, imported),
            _ => Ok(None),
        }
    }
}

fn begun(message: v1::TranscriptBegun) -> Result<Event, Problem> {
    Ok(Event::Begun {
        video: parse(&message.video_id, "video_id")?,
        audio: blob_back(message.audio, "audio")?,
        chunks: message.chunks.into_iter().map(|chunk| span_back(Some(chunk), "chunks")).collect::<Result<_, _>>()?,
        language: message.language,
        model: message.model,
    })
}

fn chunk_requested(message: v1::TranscriptChunkRequested) -> Result<Event, Problem> {
    Ok(Event::ChunkRequested {
        video: parse(&message.video_id, "video_id")?,
        audio: blob_back(message.audio, "audio")?,
        index: message.index,
        span: span_back(message.span, "span")?,
        language: message.language,
        model: message.model,
    })
}

fn ready_to_assemble(message: v1::TranscriptReadyToAssemble) -> Result<Event, Problem> {
    Ok(Event::ReadyToAssemble {
        video: parse(&message.video_id, "video_id")?,
        chunks: message.chunks.into_iter().map(|chunk| blob_back(Some(chunk), "chunks")).collect::<Result<_, _>>()?,
        language: message.language,
        model: message.model,
    })
}

fn completed(message: v1::TranscriptCompleted) -> Result<Event, Problem> {
    Ok(Event::Completed {
        video: parse(&message.video_id, "video_id")?,
        words: blob_back(message.words, "words")?,
        word_count: message.word_count,
        language: message.language,
        model: message.model,
    })
}

fn imported(message: v1::TranscriptImported) -> Result<Event, Problem> {
    Ok(Event::Imported {
        video: parse(&message.video_id, "video_id")?,
        words: blob_back(message.words, "words")?,
        word_count: message.word_count,
        language: message.language,
        format: message.format,
    })
}
