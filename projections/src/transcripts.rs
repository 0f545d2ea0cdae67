//! Transcripts: where the words of a video come from, and how many of their chunks are heard. The words themselves are a blob.

use crate::table::{Column, Order, Table, Value, Writes};
use crate::{Projection, Store};
use anyhow::Result;
use domain::id::{TranscriptId, VideoId, WorkspaceId};
use domain::transcript::Event;
use domain::{BlobRef, MediaTime, Timestamp};
use proto::{DecodeError, Recorded};
use serde::Deserialize;

/// The read model.
#[derive(Debug)]
pub struct Transcripts;

/// A transcript.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// Its id.
    pub transcript: TranscriptId,
    /// Of which video.
    pub video: VideoId,
    /// ISO 639-1 code.
    pub language: String,
    /// Which model hears it; `None` when it was imported.
    pub model: Option<String>,
    /// What it was imported from; `None` when it is heard.
    pub format: Option<String>,
    /// How many pieces there are to hear; `None` when it was imported.
    pub chunks: Option<u32>,
    /// The words, once they are known.
    pub words: Option<BlobRef>,
    /// How many.
    pub word_count: Option<u32>,
    /// When it was begun or imported.
    pub begun_us: Timestamp,
    /// When all words were known.
    pub completed_us: Option<Timestamp>,
}

/// A piece of a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Chunk {
    /// Which, from 0.
    pub index: u32,
    /// Where it starts.
    pub start_us: MediaTime,
    /// Where it ends.
    pub end_us: MediaTime,
    /// Its words, once they are heard.
    pub words: Option<BlobRef>,
}

/// Which transcript is a video's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct OfVideo {
    transcript: TranscriptId,
}

static TRANSCRIPTS: Table = Table {
    name: "transcripts",
    partition: &["transcript"],
    clustering: &[],
    order: Order::Ascending,
    columns: &[
        Column::text("video"),
        Column::text("language"),
        Column::text("model"),
        Column::text("format"),
        Column::integer("chunks"),
        Column::json("words"),
        Column::integer("word_count"),
        Column::integer("begun_us"),
        Column::integer("completed_us"),
    ],
};

static TRANSCRIPT_CHUNKS: Table = Table {
    name: "transcript_chunks",
    partition: &["transcript"],
    clustering: &[Column::integer("index")],
    order: Order::Ascending,
    columns: &[Column::integer("start_us"), Column::integer("end_us"), Column::json("words")],
};

static TRANSCRIPTS_BY_VIDEO: Table = Table {
    name: "transcripts_by_video",
    partition: &["video"],
    clustering: &[],
    order: Order::Ascending,
    columns: &[Column::text("transcript")],
};

impl crate::Row for Row {
    type Of = Transcripts;
    const TABLE: &'static Table = &TRANSCRIPTS;
}

impl crate::Row for Chunk {
    type Of = Transcripts;
    const TABLE: &'static Table = &TRANSCRIPT_CHUNKS;
}

impl crate::Row for OfVideo {
    type Of = Transcripts;
    const TABLE: &'static Table = &TRANSCRIPTS_BY_VIDEO;
}

impl Projection for Transcripts {
    const NAME: &'static str = "transcripts";
    const VERSION: u32 = 2;
    const TABLES: &'static [&'static Table] = &[&TRANSCRIPTS, &TRANSCRIPT_CHUNKS, &TRANSCRIPTS_BY_VIDEO];

    fn project(event: &Recorded, writes: &mut Writes) -> Result<(), DecodeError> {
        match event.event()? {
            Some(proto::Event::Transcript(happened)) => project(event, TranscriptId(event.stream.id()), happened, writes),
            // A deleted video has no transcript any more.
            Some(proto::Event::Video(domain::video::Event::Deleted)) => {
                let video = VideoId(event.stream.id());
                let transcript = Value::shown(&TranscriptId::of(video));
                writes.delete(&TRANSCRIPTS_BY_VIDEO, [Value::shown(&video)]);
                writes.delete(&TRANSCRIPT_CHUNKS, [transcript.clone()]);
                writes.delete(&TRANSCRIPTS, [transcript]);
            }
            _ => {}
        }
        Ok(())
    }
}

fn project(recorded: &Recorded, transcript: TranscriptId, event: Event, writes: &mut Writes) {
    let key = Value::shown(&transcript);
    let at = Value::from(recorded.metadata.at.0);
    match event {
        Event::Begun { video, chunks, language, model, .. } => {
            writes.upsert(&TRANSCRIPTS_BY_VIDEO, [Value::shown(&video)], vec![("transcript", key.clone())]);
            let cells = vec![
                ("video", Value::shown(&video)),
                ("language", language.into()),
                ("model", model.into()),
                ("chunks", (chunks.len() as u64).into()),
                ("begun_us", at),
            ];
            writes.upsert(&TRANSCRIPTS, [key], cells);
        }
        Event::ChunkRequested { index, span, .. } => {
            let cells = vec![("start_us", span.start().0.into()), ("end_us", span.end().0.into())];
            writes.upsert(&TRANSCRIPT_CHUNKS, [key, index.into()], cells);
        }
        Event::ChunkTranscribed { index, words } => {
            writes.upsert(&TRANSCRIPT_CHUNKS, [key, index.into()], vec![("words", Value::json(&words))]);
        }
        Event::ReadyToAssemble { .. } => {}
        Event::Completed { words, word_count, language, .. } => {
            let cells = vec![
                ("language", language.into()),
                ("words", Value::json(&words)),
                ("word_count", word_count.into()),
                ("completed_us", at),
            ];
            writes.upsert(&TRANSCRIPTS, [key], cells);
        }
        Event::Imported { video, words, word_count, language, format } => {
            writes.upsert(&TRANSCRIPTS_BY_VIDEO, [Value::shown(&video)], vec![("transcript", key.clone())]);
            let cells = vec![
                ("video", Value::shown(&video)),
                ("language", language.into()),
                ("format", format.into()),
                ("words", Value::json(&words)),
                ("word_count", word_count.into()),
                ("begun_us", at.clone()),
                ("completed_us", at),
            ];
            writes.upsert(&TRANSCRIPTS, [key], cells);
        }
    }
}

/// Returns a transcript.
///
/// # Errors
/// The store fails.
pub async fn by_id(store: &Store, workspace: WorkspaceId, transcript: TranscriptId) -> Result<Option<Row>> {
    store.get(workspace, [Value::shown(&transcript)]).await
}

/// Returns the transcript of a video, also while it is heard.
///
/// # Errors
/// The store fails.
pub async fn by_video(store: &Store, workspace: WorkspaceId, video: VideoId) -> Result<Option<Row>> {
    match store.get::<OfVideo>(workspace, [Value::shown(&video)]).await? {
        Some(found) => by_id(store, workspace, found.transcript).await,
        None => Ok(None),
    }
}

/// Returns the pieces of a transcript, in order.
///
/// # Errors
/// The store fails.
pub async fn chunks(store: &Store, workspace: WorkspaceId, transcript: TranscriptId) -> Result<Vec<Chunk>> {
    store.range(workspace, [Value::shown(&transcript)], None, crate::store::ROWS_MAX).await
}
