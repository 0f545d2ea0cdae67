//! Stage 2: from sound to words, chunk by chunk; or from a subtitle file.

mod ear;
mod join;

use crate::Tools;
use crate::failure::Fault;
use crate::tools::teller;
use domain::artefact;
use domain::id::{TranscriptId, VideoId};
use domain::transcript::{self, Transcript};
use domain::video::{self, Ingested, Stage, Video, Wish};
use domain::{BlobRef, MediaTime, Span};
use ear::Ear;
use edit::subtitles;
use proto::{Event, Recorded};
use runtime::dispatch::{Failure as GaveUp, JobContext, Processor};
use runtime::log::Log;

/// Longest chunk: full batches for two cores, and a minute of work at the slowest.
pub const CHUNK_MAX: MediaTime = MediaTime::from_millis(400_000);

/// Hears a video, or reads what somebody brought.
pub struct Transcribe {
    tools: Tools,
    ear: Ear,
}

impl Transcribe {
    /// Returns the processor; models are loaded when they are first needed, and kept.
    pub fn new(tools: Tools) -> Self {
        let ear = Ear::new(tools.models.clone(), tools.device);
        Self { tools, ear }
    }
}

/// A step of a transcript.
pub enum Job {
    /// Find the speech and cut it into chunks, or read the subtitles.
    Begin {
        /// Of which video.
        video: VideoId,
        /// What the check found.
        ingested: Box<Ingested>,
        /// Words that were brought along.
        subtitles: Option<BlobRef>,
        /// What is wanted.
        wish: Box<Wish>,
    },
    /// Hear a chunk.
    Hear(Box<Chunk>),
    /// Join the chunks.
    Join {
        /// Of which video.
        video: VideoId,
        /// The chunks' words.
        chunks: Vec<BlobRef>,
        /// What is spoken.
        language: String,
        /// What heard it.
        model: String,
    },
    /// Once more, after a failure.
    Again(VideoId),
}

/// A chunk to hear.
pub struct Chunk {
    video: VideoId,
    audio: BlobRef,
    index: u32,
    span: Span,
    language: String,
    model: String,
}

impl Processor for Transcribe {
    const NAME: &'static str = "transcribe";
    type Job = Job;

    fn job(&self, event: &Recorded) -> Option<Job> {
        let stream = event.stream.id();
        match event.event().ok()?? {
            Event::Video(video::Event::Ingested { original, facts, sound, subtitles, wish }) => Some(Job::Begin {
                video: VideoId(stream),
                ingested: Box::new(Ingested { original, facts, sound }),
                subtitles,
                wish: Box::new(wish),
            }),
            Event::Video(video::Event::StageRetried { stage: Stage::Transcribe }) => Some(Job::Again(VideoId(stream))),
            Event::Transcript(transcript::Event::ChunkRequested { video, audio, index, span, language, model }) => {
                Some(Job::Hear(Box::new(Chunk { video, audio, index, span, language, model })))
            }
            Event::Transcript(transcript::Event::ReadyToAssemble { video, chunks, language, model }) => {
                Some(Job::Join { video, chunks, language, model })
            }
            _ => None,
        }
    }

    async fn run<L: Log>(&self, job: Job, context: &JobContext<L>) -> anyhow::Result<()> {
        let (video, outcome) = match job {
            Job::Begin { video, ingested, subtitles, wish } => (video, self.begin(context, video, &ingested, subtitles, &wish).await),
            Job::Hear(chunk) => (chunk.video, self.hear(context, *chunk).await),
            Job::Join { video, chunks, language, model } => (video, self.join(context, video, &chunks, &language, &model).await),
            Job::Again(video) => (video, self.again(context, video).await),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(fault) => self.tools.settle(context, video, Stage::Transcribe, Err(fault)).await,
        }
    }

    async fn give_up<L: Log>(&self, failure: &GaveUp, context: &JobContext<L>) -> anyhow::Result<()> {
        self.tools.give_up(context, Stage::Transcribe, failure).await
    }
}

impl Transcribe {
    async fn begin<L: Log>(
        &self,
        context: &JobContext<L>,
        video: VideoId,
        ingested: &Ingested,
        subtitles: Option<BlobRef>,
        wish: &Wish,
    ) -> Result<(), Fault> {
        if let Some(file) = subtitles {
            return self.import(context, video, ingested, &file, wish).await;
        }
        let Some(sound) = &ingested.sound else {
            return Err(Fault::permanent("NO_SOUND", "the video has no sound to hear words in"));
        };
        let wav = self.tools.blobs.open_local(&sound.wav).await?;
        let speech = ear::find_speech(wav.path().to_owned(), ingested.facts.duration_us).await?;
        let chunks = speech::vad::chunks(&speech, ingested.facts.duration_us, CHUNK_MAX);
        let language = match (&wish.language, chunks.first()) {
            (Some(language), _) => language.clone(),
            (None, Some(first)) => self.ear.language(&wish.model, wav.path().to_owned(), *first).await?,
            (None, None) => "en".into(),
        };
        let command = transcript::Command::Begin { video, audio: sound.wav.clone(), chunks, language, model: wish.model.clone() };
        let transaction = context.transaction(0).then::<Transcript>(TranscriptId::of(video).0, command);
        Ok(self.tools.commit(video, transaction).await?)
    }

    async fn import<L: Log>(
        &self,
        context: &JobContext<L>,
        video: VideoId,
        ingested: &Ingested,
        file: &BlobRef,
        wish: &Wish,
    ) -> Result<(), Fault> {
        let bytes = self.tools.blobs.get_bytes(file).await?;
        let language = wish.language.clone().unwrap_or_else(|| "en".into());
        let imported = subtitles::read(&bytes, &language, ingested.facts.duration_us)
            .map_err(|unreadable| Fault::permanent("UNREADABLE_SUBTITLES", format!("{unreadable}; save it as SRT or WebVTT in UTF-8")))?;
        let mut transcript = imported.transcript;
        if let (false, Some(sound)) = (imported.has_word_times, &ingested.sound) {
            let wav = self.tools.blobs.open_local(&sound.wav).await?;
            transcript = self.ear.align(&wish.model, wav.path().to_owned(), transcript).await?;
        }
        let words = self.tools.put_json(&transcript).await?;
        let command = transcript::Command::Import {
            video,
            words: words.clone(),
            word_count: count(&transcript),
            language: transcript.language.clone(),
            format: transcript.model.clone(),
        };
        self.attach(context, video, command, words).await
    }

    async fn hear<L: Log>(&self, context: &JobContext<L>, chunk: Chunk) -> Result<(), Fault> {
        let audio = self.tools.blobs.open_local(&chunk.audio).await?;
        let progress = teller(context, chunk.video, Self::NAME, chunk.index.to_string(), chunk.span.duration());
        let heard = self.ear.hear(&chunk.model, audio.path().to_owned(), chunk.span, &chunk.language, progress).await?;
        let words = self.tools.put_json(&heard).await?;
        let command = transcript::Command::RecordChunk { index: chunk.index, words };
        let transaction = context.transaction(0).then::<Transcript>(TranscriptId::of(chunk.video).0, command);
        Ok(self.tools.commit(chunk.video, transaction).await?)
    }

    async fn join<L: Log>(
        &self,
        context: &JobContext<L>,
        video: VideoId,
        chunks: &[BlobRef],
        language: &str,
        model: &str,
    ) -> Result<(), Fault> {
        let mut heard = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            heard.push(self.tools.get_json::<artefact::Transcript>(chunk).await?);
        }
        let transcript = join::join(heard, language, model);
        let words = self.tools.put_json(&transcript).await?;
        let command = transcript::Command::Complete { words: words.clone(), word_count: count(&transcript) };
        self.attach(context, video, command, words).await
    }

    /// Ends the transcript and gives the words to the video, in one commit.
    async fn attach<L: Log>(
        &self,
        context: &JobContext<L>,
        video: VideoId,
        command: transcript::Command,
        words: BlobRef,
    ) -> Result<(), Fault> {
        let transcript = TranscriptId::of(video);
        let transaction = context
            .transaction(0)
            .then::<Transcript>(transcript.0, command)
            .then::<Video>(video.0, video::Command::AttachTranscript { transcript, words });
        Ok(self.tools.commit(video, transaction).await?)
    }

    async fn again<L: Log>(&self, context: &JobContext<L>, video: VideoId) -> Result<(), Fault> {
        let Some(known) = self.tools.known(context, video).await? else { return Ok(()) };
        let Some(ingested) = known.ingested else { return Ok(()) };
        let workspace = context.cause.workspace;
        let transcript = TranscriptId::of(video).0;
        match runtime::execute::load::<Transcript>(&context.log, workspace, transcript).await? {
            Transcript::Absent => self.begin(context, video, &ingested, known.subtitles, &known.wish).await,
            Transcript::Listening(_) | Transcript::Done => {
                let transaction = context.transaction(0).then::<Transcript>(transcript, transcript::Command::Resume);
                Ok(self.tools.commit(video, transaction).await?)
            }
        }
    }
}

fn count(transcript: &artefact::Transcript) -> u32 {
    u32::try_from(transcript.words().count()).unwrap_or(u32::MAX)
}
