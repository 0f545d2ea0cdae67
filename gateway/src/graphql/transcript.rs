//! Transcripts: what is said in a video, and when.

use super::error::{id, internal, refusal};
use super::link::MediaLink;
use super::token::{Token, wait};
use super::{Caller, facts::TimeSpan};
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use domain::{artefact, id::VideoId};
use projections::transcripts;

/// Most phrases in one answer: an hour of talk has about a thousand.
const SEGMENTS_MAX: usize = 2_000;

pub(crate) struct Transcript(pub(crate) transcripts::Row);

/// What is said in a video.
#[Object]
impl Transcript {
    /// Such as `transcript_018f3c0a…`.
    pub(crate) async fn id(&self) -> ID {
        self.0.transcript.to_string().into()
    }

    /// Id of the video.
    async fn video_id(&self) -> ID {
        self.0.video.to_string().into()
    }

    /// ISO 639-1 code, such as `en`.
    async fn language(&self) -> &str {
        &self.0.language
    }

    /// Which model heard it; null when it was imported.
    async fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// What it was imported from (`srt`, `vtt`, `whisper-json`); null when it was heard.
    async fn imported_from(&self) -> Option<&str> {
        self.0.format.as_deref()
    }

    /// Whether all words are known.
    async fn is_complete(&self) -> bool {
        self.0.words.is_some()
    }

    /// How many words; null until all are known.
    async fn word_count(&self) -> Option<u32> {
        self.0.word_count
    }

    /// How many pieces there are to hear, and how many were heard; null when it was imported.
    async fn chunks(&self, context: &Context<'_>) -> Result<Option<Chunks>> {
        let Some(total) = self.0.chunks else { return Ok(None) };
        let caller = Caller::of(context)?;
        let chunks = transcripts::chunks(&caller.gateway.store, caller.workspace(), self.0.transcript).await.map_err(internal)?;
        let heard = chunks.iter().filter(|chunk| chunk.words.is_some()).count() as u32;
        Ok(Some(Chunks { total, heard }))
    }

    /// All words as a JSON file; null until they are known.
    async fn file(&self, context: &Context<'_>) -> Result<Option<MediaLink>> {
        let caller = Caller::of(context)?;
        Ok(self.0.words.as_ref().map(|blob| MediaLink::to(caller, blob)))
    }

    /// Phrases in time order, at most 2,000; empty until all words are known.
    #[graphql(complexity = "100 * child_complexity")]
    async fn segments(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only phrases that end after this, in seconds of the video.")] from_seconds: Option<f64>,
        #[graphql(desc = "Only phrases that start before this, in seconds of the video.")] to_seconds: Option<f64>,
    ) -> Result<Vec<Segment>> {
        let Some(blob) = &self.0.words else { return Ok(vec![]) };
        let bytes = Caller::of(context)?.gateway.blobs.get_bytes(blob).await.map_err(internal)?;
        let transcript: artefact::Transcript = serde_json::from_slice(&bytes).map_err(internal)?;
        let (from, to) = (from_seconds.unwrap_or(0.0), to_seconds.unwrap_or(f64::INFINITY));
        let is_wanted = |segment: &artefact::Segment| segment.span.end().seconds() > from && segment.span.start().seconds() < to;
        let segments: Vec<_> = transcript.segments.into_iter().filter(is_wanted).map(Segment).take(SEGMENTS_MAX + 1).collect();
        if segments.len() > SEGMENTS_MAX {
            return Err(refusal("TOO_MANY_SEGMENTS", format!("ask for at most {SEGMENTS_MAX} phrases with fromSeconds and toSeconds")));
        }
        Ok(segments)
    }
}

/// How much of a transcript was heard.
#[derive(SimpleObject)]
pub(crate) struct Chunks {
    /// Pieces there are to hear.
    total: u32,
    /// Pieces that were heard.
    heard: u32,
}

pub(crate) struct Segment(artefact::Segment);

/// A phrase.
#[Object]
impl Segment {
    /// When it is said.
    async fn span(&self) -> TimeSpan {
        self.0.span.into()
    }

    /// What is said.
    async fn text(&self) -> &str {
        &self.0.text
    }

    /// Its words in order.
    #[graphql(complexity = "10 * child_complexity")]
    async fn words(&self) -> Vec<Word> {
        self.0.words.iter().map(Word::from).collect()
    }
}

/// A spoken word.
#[derive(SimpleObject)]
pub(crate) struct Word {
    /// With its punctuation.
    text: String,
    /// When it starts, in seconds of the video.
    start_seconds: f64,
    /// When it ends, in seconds of the video.
    end_seconds: f64,
    /// How sure the model is, 0 to 1; 1 when it was imported.
    probability: f64,
}

impl From<&artefact::Word> for Word {
    fn from(word: &artefact::Word) -> Self {
        Self {
            text: word.text.clone(),
            start_seconds: word.span.start().seconds(),
            end_seconds: word.span.end().seconds(),
            probability: word.probability.into(),
        }
    }
}

/// Questions about transcripts.
#[derive(Default)]
pub(super) struct TranscriptQuery;

#[Object]
impl TranscriptQuery {
    /// What is said in a video; null until listening began.
    async fn transcript(
        &self,
        context: &Context<'_>,
        video_id: ID,
        #[graphql(desc = "Answer with at least what this token has seen.")] after: Option<Token>,
    ) -> Result<Option<Transcript>> {
        let caller = Caller::of(context)?;
        let video: VideoId = id(&video_id)?;
        wait(caller, after.as_ref()).await?;
        let row = transcripts::by_video(&caller.gateway.store, caller.workspace(), video).await.map_err(internal)?;
        Ok(row.map(Transcript))
    }
}
