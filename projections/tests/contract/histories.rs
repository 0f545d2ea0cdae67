//! Random valid histories: commands that the deciders judge, so that what happens is what may happen.

use domain::artefact::{AudioFacts, CaptionStyle, Contribution, FeatureGroup, FrameRate, MediaFacts, Ratio, Reason, VideoFacts};
use domain::blob::Digest;
use domain::clip::{Command as ClipCommand, Proposal, Rendition};
use domain::id::{ClipId, EventId, ModelId, TranscriptId, VideoId, WorkspaceId};
use domain::job::{Command as JobCommand, Parking};
use domain::model::{Command as ModelCommand, Task};
use domain::transcript::Command as TranscriptCommand;
use domain::video::{Command as VideoCommand, Failure, RenderOutcome, Source, Stage, Wish};
use domain::{BlobRef, MediaTime, Span, Timestamp, clip, job, model, transcript, video};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use runtime::execute::{Context, Transaction};
use runtime::log::Log;
use uuid::Uuid;

/// Few entities, so that things happen to the same ones again and again.
const VIDEOS: u128 = 12;
const CLIPS: u128 = 30;
const MODELS: u128 = 3;
const JOBS: u128 = 5;

pub(crate) struct Histories<L> {
    log: L,
    random: StdRng,
    workspaces: Vec<WorkspaceId>,
    commits: u128,
    /// Position of the last event.
    pub(crate) last: Option<u64>,
}

impl<L: Log> Histories<L> {
    pub(crate) fn new(log: L, seed: u64, workspaces: &[WorkspaceId]) -> Self {
        Self { log, random: StdRng::seed_from_u64(seed), workspaces: workspaces.into(), commits: u128::from(seed) << 64, last: None }
    }

    /// Gives `count` random commands to random aggregates; most are refused.
    pub(crate) async fn happen(&mut self, count: usize) {
        for _ in 0..count {
            let workspace = *self.workspaces.choose(&mut self.random).expect("there is one");
            self.commits += 1;
            let commit = domain::id::CommitId(Uuid::from_u128(self.commits));
            let now = Timestamp(1_700_000_000_000_000 + self.commits as u64 * 1_000);
            let context = Context::request(commit, workspace, "owner", now);
            let log = self.log.clone();
            let transaction = self.command(Transaction::new(&log, context));
            // A refusal is no event.
            if let Ok(receipt) = transaction.commit().await {
                self.last = self.last.max(receipt.token.position);
            }
        }
    }

    fn command<'a>(&mut self, transaction: Transaction<'a, L>) -> Transaction<'a, L> {
        let video = VideoId(Uuid::from_u128(self.random.random_range(0..VIDEOS)));
        match self.random.random_range(0..11) {
            0..=3 => transaction.then::<video::Video>(video.0, self.video_command()),
            4 => self.detection(transaction, video),
            5 | 6 => {
                let clip = Uuid::from_u128(self.random.random_range(0..CLIPS));
                let command = self.clip_command();
                transaction.then::<clip::Clip>(clip, command)
            }
            7 | 8 => transaction.then::<transcript::Transcript>(video.0, self.transcript_command(video)),
            9 => {
                let job = Uuid::from_u128(self.random.random_range(0..JOBS));
                let command = self.job_command(job);
                transaction.then::<job::Job>(job, command)
            }
            _ => {
                let model = ModelId(Uuid::from_u128(self.random.random_range(0..MODELS)));
                let command = match self.random.random_range(0..3) {
                    0 => ModelCommand::Register {
                        name: "tiny.en".into(),
                        task: Task::Transcribe,
                        digest: Digest([7; 32]),
                        origin: "https://example.org".into(),
                    },
                    1 => ModelCommand::Promote,
                    _ => ModelCommand::Retire,
                };
                transaction.then::<model::Model>(model.0, command)
            }
        }
    }

    fn video_command(&mut self) -> VideoCommand {
        let stage = *Stage::ALL.choose(&mut self.random).expect("there are five");
        match self.random.random_range(0..24) {
            0..=4 => VideoCommand::Submit {
                title: "A talk; with 'quotes'\"".into(),
                source: Source::Upload { blob: self.blob("video/mp4") },
                subtitles: None,
                wish: Wish { ratios: vec![Ratio::Portrait, Ratio::Square], ..Wish::default() },
            },
            5..=8 => VideoCommand::Ingest { original: self.blob("video/mp4"), facts: facts(), sound: None },
            9 => VideoCommand::Refuse(failure()),
            10..=12 => VideoCommand::AttachTranscript {
                transcript: TranscriptId(Uuid::from_u128(self.random.random_range(0..VIDEOS))),
                words: self.blob("application/json"),
            },
            13..=15 => VideoCommand::RecordAnalysis { analysis: self.blob("application/json") },
            16..=18 => VideoCommand::SettleRender {
                clip: ClipId(Uuid::from_u128(self.random.random_range(0..CLIPS))),
                ratio: Ratio::Portrait,
                outcome: if self.random.random() { RenderOutcome::Rendered } else { RenderOutcome::Failed },
            },
            19 | 20 => VideoCommand::FailStage { stage, failure: failure() },
            21 | 22 => VideoCommand::RetryStage { stage },
            _ => VideoCommand::Delete,
        }
    }

    fn detection<'a>(&mut self, transaction: Transaction<'a, L>, video: VideoId) -> Transaction<'a, L> {
        let count = self.random.random_range(0..4);
        let first = self.random.random_range(0..CLIPS);
        let clips: Vec<_> = (0..count).map(|index| ClipId(Uuid::from_u128(first + index))).collect();
        let explanation = clips.is_empty().then(|| "too short".to_owned());
        let detection = self.blob("application/json");
        let mut transaction =
            transaction.then::<video::Video>(video.0, VideoCommand::RecordClips { detection, clips: clips.clone(), explanation });
        for (clip, rank) in clips.iter().zip(1..) {
            let proposal = self.proposal(video, rank);
            transaction = transaction.then::<clip::Clip>(clip.0, ClipCommand::Propose(Box::new(proposal)));
        }
        transaction
    }

    pub(crate) fn proposal(&mut self, video: VideoId, rank: u32) -> Proposal {
        let start = self.random.random_range(0..60_000);
        let span = span(start, start + 20_000);
        let at = span;
        Proposal {
            video,
            original: self.blob("video/mp4"),
            video_duration: MediaTime::from_millis(120_000),
            words: self.blob("application/json"),
            analysis: self.blob("application/json"),
            rank,
            span,
            score: self.random.random_range(0.0..100.0),
            title: "Why '; DROP TABLE clips; -- matters".into(),
            keywords: vec!["talk".into(), "wörd".into()],
            contributions: vec![Contribution {
                feature: "hook_question".into(),
                group: FeatureGroup::Hook,
                value: 1.0,
                percentile: 0.9,
                weight: 0.5,
                effect: 0.45,
                at,
            }],
            reasons: vec![Reason { text: "opens with a question".into(), feature: "hook_question".into(), at_us: span.start() }],
            model: "frozen-1".into(),
            style: CaptionStyle::Karaoke,
        }
    }

    fn clip_command(&mut self) -> ClipCommand {
        let start = self.random.random_range(0..90_000);
        let ratio = *Ratio::ALL.choose(&mut self.random).expect("there are four");
        let revision = self.random.random_range(0..3);
        match self.random.random_range(0..14) {
            0 | 1 => ClipCommand::Accept,
            2 => ClipCommand::Reject { reason: "too long".into() },
            3 | 4 => ClipCommand::Retrim { span: span(start, start + 10_000) },
            5 => ClipCommand::Restyle { style: CaptionStyle::Block },
            6..=8 => ClipCommand::RequestRender { ratio, encoder: Default::default() },
            9..=11 => ClipCommand::RecordRender { revision, rendition: Box::new(self.rendition(ratio)) },
            12 => ClipCommand::FailRender { revision, ratio, failure: failure() },
            _ => ClipCommand::Delete,
        }
    }

    pub(crate) fn rendition(&mut self, ratio: Ratio) -> Rendition {
        Rendition {
            ratio,
            video: self.blob("video/mp4"),
            poster: self.blob("image/jpeg"),
            srt: self.blob("application/x-subrip"),
            vtt: self.blob("text/vtt"),
            ass: self.blob("text/x-ssa"),
            decisions: self.blob("application/json"),
            duration: MediaTime::from_millis(10_000),
        }
    }

    fn transcript_command(&mut self, video: VideoId) -> TranscriptCommand {
        match self.random.random_range(0..8) {
            0 | 1 => TranscriptCommand::Begin {
                video,
                audio: self.blob("audio/flac"),
                chunks: vec![span(0, 30_000), span(30_000, 60_000)],
                language: "en".into(),
                model: "tiny.en".into(),
            },
            2..=4 => TranscriptCommand::RecordChunk { index: self.random.random_range(0..2), words: self.blob("application/json") },
            5 | 6 => TranscriptCommand::Complete { words: self.blob("application/json"), word_count: 120 },
            _ => TranscriptCommand::Import {
                video,
                words: self.blob("application/json"),
                word_count: 99,
                language: "de".into(),
                format: "srt".into(),
            },
        }
    }

    /// A job's id says which event it is about.
    fn job_command(&mut self, job: Uuid) -> JobCommand {
        match self.random.random_range(0..4) {
            0 | 1 => JobCommand::Park(Parking {
                processor: "render".into(),
                cause: EventId(job),
                cause_type: "clip.render_requested".into(),
                cause_stream: "clip-1".into(),
                position: job.as_u64_pair().1,
                attempts: self.random.random_range(1..6),
                error: "no 'disk'".into(),
            }),
            2 => JobCommand::Replay,
            _ => JobCommand::Finish,
        }
    }

    pub(crate) fn blob(&mut self, media_type: &str) -> BlobRef {
        BlobRef { sha256: Digest(self.random.random()), bytes: self.random.random_range(1..1 << 30), media_type: media_type.into() }
    }
}

pub(crate) fn span(start_ms: u64, end_ms: u64) -> Span {
    Span::new(MediaTime::from_millis(start_ms), MediaTime::from_millis(end_ms)).expect("it ends after it starts")
}

pub(crate) fn facts() -> MediaFacts {
    MediaFacts {
        container: "mp4".into(),
        duration_us: MediaTime::from_millis(120_000),
        video: Some(VideoFacts {
            codec: "h264".into(),
            width: 1920,
            height: 1080,
            frame_rate: FrameRate { numerator: 30, denominator: 1 },
            is_variable_rate: false,
            rotation_degrees: 0,
        }),
        audio: Some(AudioFacts { codec: "aac".into(), channels: 2, sample_rate_hz: 48_000 }),
    }
}

pub(crate) fn failure() -> Failure {
    Failure { code: "BROKEN".into(), reason: "it broke; try again".into() }
}
