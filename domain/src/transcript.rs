//! The words of a video: heard in chunks, or imported.
//!
//! A chunk is a minute or so of speech, cut on silence, so that hearing a long video shows progress, is cheap to retry and spreads over workers.

use crate::id::VideoId;
use crate::{BlobRef, Decider, Span, Timestamp};
use std::collections::BTreeMap;
use thiserror::Error;

/// Most chunks of one transcript: six hours in pieces of 30 s.
pub const CHUNKS_MAX: usize = 720;

/// What somebody wants of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Hear these chunks.
    Begin {
        /// Of which video.
        video: VideoId,
        /// 16 kHz mono audio of the video.
        audio: BlobRef,
        /// Pieces to hear, in order; empty when nobody speaks.
        chunks: Vec<Span>,
        /// ISO 639-1 code.
        language: String,
        /// Model name.
        model: String,
    },
    /// Report a chunk.
    RecordChunk {
        /// Which, from 0.
        index: u32,
        /// Its words.
        words: BlobRef,
    },
    /// Ask again for what was not heard.
    Resume,
    /// Report the whole.
    Complete {
        /// All words.
        words: BlobRef,
        /// How many.
        word_count: u32,
    },
    /// Use words that somebody brought.
    Import {
        /// Of which video.
        video: VideoId,
        /// All words.
        words: BlobRef,
        /// How many.
        word_count: u32,
        /// ISO 639-1 code.
        language: String,
        /// `srt`, `vtt` or `whisper-json`.
        format: String,
    },
}

/// What happened to a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Listening began.
    Begun {
        /// Of which video.
        video: VideoId,
        /// 16 kHz mono audio of the video.
        audio: BlobRef,
        /// Pieces to hear.
        chunks: Vec<Span>,
        /// ISO 639-1 code.
        language: String,
        /// Model name.
        model: String,
    },
    /// A chunk waits to be heard.
    ChunkRequested {
        /// Of which video.
        video: VideoId,
        /// 16 kHz mono audio of the video.
        audio: BlobRef,
        /// Which, from 0.
        index: u32,
        /// Where it is.
        span: Span,
        /// ISO 639-1 code.
        language: String,
        /// Model name.
        model: String,
    },
    /// A chunk was heard.
    ChunkTranscribed {
        /// Which, from 0.
        index: u32,
        /// Its words.
        words: BlobRef,
    },
    /// The last chunk was heard.
    ReadyToAssemble {
        /// Of which video.
        video: VideoId,
        /// The chunks' words, in order.
        chunks: Vec<BlobRef>,
        /// ISO 639-1 code.
        language: String,
        /// Model name.
        model: String,
    },
    /// All words are known.
    Completed {
        /// Of which video.
        video: VideoId,
        /// All words.
        words: BlobRef,
        /// How many.
        word_count: u32,
        /// ISO 639-1 code.
        language: String,
        /// Model name.
        model: String,
    },
    /// Somebody brought the words.
    Imported {
        /// Of which video.
        video: VideoId,
        /// All words.
        words: BlobRef,
        /// How many.
        word_count: u32,
        /// ISO 639-1 code.
        language: String,
        /// `srt`, `vtt` or `whisper-json`.
        format: String,
    },
}

/// A refused rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Nothing was begun.
    #[error("the transcript was not begun")]
    Absent,
    /// It was begun otherwise.
    #[error("the transcript was already begun with other chunks, language or model")]
    AlreadyBegun,
    /// There is no such chunk.
    #[error("there is no chunk {index}, only {count}")]
    NoSuchChunk {
        /// Which was named.
        index: u32,
        /// How many there are.
        count: u32,
    },
    /// Too many chunks.
    #[error("a transcript has at most {CHUNKS_MAX} chunks")]
    TooManyChunks,
    /// Chunks are still to be heard.
    #[error("{missing} chunks are still to be heard")]
    ChunksMissing {
        /// How many.
        missing: u32,
    },
}

/// A transcript.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Transcript {
    /// Before anything happened.
    #[default]
    Absent,
    /// Being heard.
    Listening(Listening),
    /// All words are known.
    Done,
}

/// A transcript that is being heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    video: VideoId,
    audio: BlobRef,
    language: String,
    model: String,
    chunks: Vec<Span>,
    heard: BTreeMap<u32, BlobRef>,
}

impl Decider for Transcript {
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(&self, command: Command, _now: Timestamp) -> Result<Vec<Event>, Error> {
        match (command, self) {
            (Command::Begin { chunks, .. }, _) if chunks.len() > CHUNKS_MAX => Err(Error::TooManyChunks),
            (Command::Begin { video, audio, chunks, language, model }, Self::Absent) => Ok(begin(video, audio, chunks, language, model)),
            (Command::Begin { chunks, language, model, .. }, Self::Listening(current)) => {
                let is_same = current.chunks == chunks && current.language == language && current.model == model;
                if is_same { Ok(vec![]) } else { Err(Error::AlreadyBegun) }
            }
            (Command::RecordChunk { index, words }, Self::Listening(current)) => current.record(index, words),
            (Command::Resume, Self::Listening(current)) => Ok(current.resume()),
            (Command::Complete { words, word_count }, Self::Listening(current)) => current.complete(words, word_count),
            (Command::Import { video, words, word_count, language, format }, Self::Absent) => {
                Ok(vec![Event::Imported { video, words, word_count, language, format }])
            }
            (Command::Import { .. }, Self::Listening(_)) => Err(Error::AlreadyBegun),
            (Command::RecordChunk { .. } | Command::Resume | Command::Complete { .. }, Self::Absent) => Err(Error::Absent),
            (
                Command::Begin { .. } | Command::RecordChunk { .. } | Command::Resume | Command::Complete { .. } | Command::Import { .. },
                Self::Done,
            ) => Ok(vec![]),
        }
    }

    fn evolve(self, event: &Event) -> Self {
        match (event, self) {
            (Event::Begun { video, audio, chunks, language, model }, _) => Self::Listening(Listening {
                video: *video,
                audio: audio.clone(),
                language: language.clone(),
                model: model.clone(),
                chunks: chunks.clone(),
                heard: BTreeMap::new(),
            }),
            (Event::ChunkTranscribed { index, words }, Self::Listening(mut current)) => {
                current.heard.insert(*index, words.clone());
                Self::Listening(current)
            }
            (Event::Completed { .. } | Event::Imported { .. }, _) => Self::Done,
            (Event::ChunkRequested { .. } | Event::ChunkTranscribed { .. } | Event::ReadyToAssemble { .. }, state) => state,
        }
    }
}

fn begin(video: VideoId, audio: BlobRef, chunks: Vec<Span>, language: String, model: String) -> Vec<Event> {
    let listening = Listening { video, audio, chunks, language, model, heard: BTreeMap::new() };
    let asked = listening.resume();
    let Listening { video, audio, chunks, language, model, .. } = listening;
    [Event::Begun { video, audio, chunks, language, model }].into_iter().chain(asked).collect()
}

impl Listening {
    /// Asks for every chunk that was not heard. When there is none (silence needs no hearing) it is ready at once.
    fn resume(&self) -> Vec<Event> {
        if self.heard.len() == self.chunks.len() {
            return vec![self.ready(&self.heard)];
        }
        let chunks = self.chunks.iter().zip(0..);
        let missing = chunks.filter(|(_, index)| !self.heard.contains_key(index));
        missing
            .map(|(span, index)| Event::ChunkRequested {
                video: self.video,
                audio: self.audio.clone(),
                index,
                span: *span,
                language: self.language.clone(),
                model: self.model.clone(),
            })
            .collect()
    }

    fn ready(&self, heard: &BTreeMap<u32, BlobRef>) -> Event {
        Event::ReadyToAssemble {
            video: self.video,
            chunks: heard.values().cloned().collect(),
            language: self.language.clone(),
            model: self.model.clone(),
        }
    }

    fn record(&self, index: u32, words: BlobRef) -> Result<Vec<Event>, Error> {
        let count = self.chunks.len() as u32;
        if index >= count {
            return Err(Error::NoSuchChunk { index, count });
        }
        if self.heard.contains_key(&index) {
            return Ok(vec![]);
        }
        let mut heard = self.heard.clone();
        heard.insert(index, words.clone());
        let ready = (heard.len() as u32 == count).then(|| self.ready(&heard));
        Ok([Event::ChunkTranscribed { index, words }].into_iter().chain(ready).collect())
    }

    fn complete(&self, words: BlobRef, word_count: u32) -> Result<Vec<Event>, Error> {
        let missing = self.chunks.len() - self.heard.len();
        if missing > 0 {
            return Err(Error::ChunksMissing { missing: missing as u32 });
        }
        Ok(vec![Event::Completed { video: self.video, words, word_count, language: self.language.clone(), model: self.model.clone() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MediaTime;
    use crate::blob::Digest;
    use crate::testing::given;
    use uuid::Uuid;

    fn blob(byte: u8) -> BlobRef {
        BlobRef { sha256: Digest([byte; 32]), bytes: 1, media_type: "application/json".into() }
    }

    fn video() -> VideoId {
        VideoId(Uuid::from_u128(1))
    }

    fn spans(count: u64) -> Vec<Span> {
        (0..count).map(|index| Span::new(MediaTime(index * 10), MediaTime(index * 10 + 10)).unwrap()).collect()
    }

    fn begin_command(count: u64) -> Command {
        Command::Begin { video: video(), audio: blob(0), chunks: spans(count), language: "en".into(), model: "tiny.en".into() }
    }

    fn begun(count: u64) -> Vec<Event> {
        Transcript::default().decide(begin_command(count), Timestamp(0)).unwrap()
    }

    fn heard(index: u32) -> Event {
        Event::ChunkTranscribed { index, words: blob(index as u8 + 1) }
    }

    #[test]
    fn beginning_asks_for_every_chunk_and_happens_once() {
        assert_eq!(begun(3).len(), 4);
        given::<Transcript>([]).when(begin_command(3)).then_again(begin_command(3)).then_nothing();
    }

    #[test]
    fn the_last_chunk_makes_it_ready_whatever_the_order() {
        let events = begun(2).into_iter().chain([heard(1)]);
        given::<Transcript>(events).when(Command::RecordChunk { index: 0, words: blob(1) }).then([
            heard(0),
            Event::ReadyToAssemble { video: video(), chunks: vec![blob(1), blob(2)], language: "en".into(), model: "tiny.en".into() },
        ]);
    }

    #[test]
    fn a_chunk_that_is_heard_twice_counts_once() {
        let events = begun(2).into_iter().chain([heard(0)]);
        given::<Transcript>(events).when(Command::RecordChunk { index: 0, words: blob(9) }).then_nothing();
    }

    #[test]
    fn silence_is_ready_at_once() {
        assert!(matches!(begun(0).as_slice(), [Event::Begun { .. }, Event::ReadyToAssemble { .. }]));
    }

    #[test]
    fn a_transcript_with_missing_chunks_cannot_be_completed() {
        given::<Transcript>(begun(2))
            .when(Command::Complete { words: blob(7), word_count: 3 })
            .then_err(Error::ChunksMissing { missing: 2 });
    }

    #[test]
    fn a_chunk_outside_the_plan_is_refused() {
        given::<Transcript>(begun(2))
            .when(Command::RecordChunk { index: 2, words: blob(7) })
            .then_err(Error::NoSuchChunk { index: 2, count: 2 });
    }

    #[test]
    fn another_plan_for_the_same_transcript_is_refused() {
        given::<Transcript>(begun(2)).when(begin_command(3)).then_err(Error::AlreadyBegun);
    }

    #[test]
    fn nothing_is_recorded_before_the_beginning() {
        given::<Transcript>([]).when(Command::RecordChunk { index: 0, words: blob(1) }).then_err(Error::Absent);
    }

    #[test]
    fn resuming_asks_only_for_what_was_not_heard() {
        let events = begun(2).into_iter().chain([heard(1)]);
        given::<Transcript>(events).when(Command::Resume).then([begun(2).swap_remove(1)]);
        given::<Transcript>([]).when(Command::Resume).then_err(Error::Absent);
    }

    #[test]
    fn words_are_imported_once() {
        let import = Command::Import { video: video(), words: blob(1), word_count: 5, language: "en".into(), format: "srt".into() };
        given::<Transcript>([]).when(import.clone()).then_again(import).then_nothing();
    }
}
