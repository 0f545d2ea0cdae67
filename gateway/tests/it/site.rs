//! A gateway on a free port, and things that happened before the test.

use domain::artefact::{self, CaptionStyle, Contribution, FeatureGroup, MediaFacts, Ratio, Reason};
use domain::blob::Digest;
use domain::clip::{Command as ClipCommand, Proposal, Rendition};
use domain::id::{ClipId, TranscriptId, VideoId, WorkspaceId};
use domain::transcript::Command as TranscriptCommand;
use domain::video::{Command as VideoCommand, Source, Wish};
use domain::{BlobRef, MediaTime, Span, Timestamp, clip, transcript, video};
use gateway::Gateway;
use gateway::analytics::{Answer, Column, NoAnswer, Question};
use gateway::auth::Auth;
use gateway::upload::Uploads;
use projections::Store;
use reqwest::{Client, Method, RequestBuilder};
use runtime::blobs::Blobs;
use runtime::clock::Clock;
use runtime::consume::Surroundings;
use runtime::consumers::Consumers;
use runtime::execute::{Context, Receipt, Transaction};
use runtime::ids;
use runtime::log::any::AnyLog;
use runtime::log::sqlite::SqliteLog;
use runtime::progress::ProgressChannel;
use runtime::token::Positions;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const HOME: WorkspaceId = WorkspaceId(Uuid::from_u128(1));
const START: u64 = 1_700_000_000_000_000;

pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) client: Client,
    pub(crate) gateway: Arc<Gateway>,
    now: Arc<AtomicU64>,
    pub(crate) projecting: CancellationToken,
    pub(crate) folder: Arc<TempDir>,
}

/// Stands in for the lake, which the gateway does not know: answers with what was asked.
fn echo(question: Question) -> Result<Answer, NoAnswer> {
    match question.sql.as_str() {
        "select broken" => Err(NoAnswer::Failed(anyhow::anyhow!("the disk is gone"))),
        "drop table events" => Err(NoAnswer::Refused { code: "LAKE_NOT_A_QUERY".into(), reason: "only one SELECT".into() }),
        _ => Ok(Answer {
            columns: vec![Column { name: "asked".into(), kind: "Utf8".into() }],
            rows: [question.workspace.to_string(), question.sql, question.as_of.unwrap_or_default()].map(|text| vec![text.into()]).to_vec(),
            versions: vec![("events".into(), 3)],
        }),
    }
}

impl Site {
    pub(crate) async fn start() -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
        Self::start_in(folder, blobs, None).await
    }

    /// Ends this one, and starts another in its place.
    pub(crate) async fn restart(self) -> Self {
        self.projecting.cancel();
        self.gateway.shutdown.cancel();
        let again = (self.folder.clone(), self.gateway.blobs.clone(), Some(self.key.clone()));
        drop(self);
        Self::start_in(again.0, again.1, again.2).await
    }

    pub(crate) async fn start_in(folder: Arc<TempDir>, blobs: Blobs, known_key: Option<String>) -> Self {
        let now = Arc::new(AtomicU64::new(START));
        let clock = Clock::from_fn({
            let now = now.clone();
            move || Timestamp(now.fetch_add(1, Ordering::Relaxed))
        });
        let log = AnyLog::Sqlite(SqliteLog::open(folder.path().join("log.sqlite")).unwrap());
        let store = Store::open(&folder.path().join("rows.sqlite"), &projections::ALL).unwrap();
        let positions = Positions::default();
        let projecting = CancellationToken::new();
        let around = Surroundings {
            consumers: Consumers::in_memory().unwrap(),
            positions: positions.clone(),
            clock: clock.clone(),
            progress: ProgressChannel::default(),
            disk_full: Default::default(),
            shutdown: projecting.clone(),
        };
        tokio::spawn(projections::run::run(log.clone(), store.clone(), around));
        let (auth, key) = Auth::open(&folder.path().join("auth"), HOME).unwrap();
        let gateway = Arc::new(Gateway {
            log,
            store,
            positions,
            blobs,
            progress: ProgressChannel::default(),
            clock,
            encoder: Default::default(),
            auth,
            uploads: Uploads::open(&folder.path().join("uploads")).unwrap(),
            analytics: Some(Box::new(|question| Box::pin(std::future::ready(echo(question))))),
            metrics: Box::new(|| "clipflow_up 1\n".into()),
            shutdown: CancellationToken::new(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(gateway::serve(listener, gateway.clone()));
        let key = known_key.unwrap_or_else(|| key.unwrap().expose_secret().to_owned());
        Self { url, key, client: Client::new(), gateway, now, projecting, folder }
    }

    pub(crate) fn pass_seconds(&self, seconds: u64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// Returns a request by the owner.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    pub(crate) async fn graphql(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        self.request("POST", "/graphql").json(&body).send().await.unwrap().json().await.unwrap()
    }

    /// Returns the data of a query that must succeed.
    #[track_caller]
    pub(crate) fn data(&self, query: &str, variables: Value) -> impl Future<Output = Value> {
        let answer = self.graphql(query, variables);
        async move {
            let mut answer = answer.await;
            assert!(answer.get("errors").is_none(), "{answer:#}");
            answer["data"].take()
        }
    }

    /// Returns the code of a query that must fail.
    pub(crate) async fn code(&self, query: &str, variables: Value) -> String {
        let answer = self.graphql(query, variables).await;
        answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{answer:#}")).to_owned()
    }

    /// Decides and appends, as a processor would.
    pub(crate) async fn happens(&self, add: impl FnOnce(Transaction<'_, AnyLog>) -> Transaction<'_, AnyLog>) -> Receipt {
        let context = Context::request(ids::fresh_commit(), HOME, "processor:test", self.gateway.clock.now());
        add(Transaction::new(&self.gateway.log, context)).commit().await.unwrap()
    }

    pub(crate) async fn submitted(&self, title: &str) -> (VideoId, String) {
        let video = VideoId(ids::fresh());
        let source = Source::Url { url: "https://example.org/talk.mp4".into() };
        let command = VideoCommand::Submit { title: title.into(), source, subtitles: None, wish: Wish::default() };
        let receipt = self.happens(|commit| commit.then::<video::Video>(video.0, command)).await;
        (video, receipt.token.to_string())
    }

    /// Returns a video with a transcript and `count` clips, and a token that has seen all of it.
    pub(crate) async fn clipped(&self, count: u32) -> (VideoId, Vec<ClipId>, String) {
        let (video, _) = self.submitted("A talk").await;
        let original = self.gateway.blobs.put_bytes("not really a video", "video/mp4").await.unwrap();
        let words = self.words().await;
        let analysis = self.gateway.blobs.put_bytes("{}", "application/json").await.unwrap();
        let transcript = TranscriptId(video.0);
        let import = TranscriptCommand::Import { video, words: words.clone(), word_count: 2, language: "en".into(), format: "srt".into() };
        let clips: Vec<_> = (0..count).map(|_| ClipId(ids::fresh())).collect();
        let receipt = self
            .happens(|commit| {
                let mut commit = commit
                    .then::<video::Video>(video.0, VideoCommand::Ingest { original: original.clone(), facts: facts(), sound: None })
                    .then::<transcript::Transcript>(transcript.0, import)
                    .then::<video::Video>(video.0, VideoCommand::AttachTranscript { transcript, words: words.clone() })
                    .then::<video::Video>(video.0, VideoCommand::RecordAnalysis { analysis: analysis.clone() })
                    .then::<video::Video>(
                        video.0,
                        VideoCommand::RecordClips { detection: analysis.clone(), clips: clips.clone(), explanation: None },
                    );
                for (clip, rank) in clips.iter().zip(1..) {
                    let proposal = proposal(video, rank, &original, &words, &analysis);
                    commit = commit.then::<clip::Clip>(clip.0, ClipCommand::Propose(Box::new(proposal)));
                }
                commit
            })
            .await;
        (video, clips, receipt.token.to_string())
    }

    async fn words(&self) -> BlobRef {
        let word = |text: &str, start, end| artefact::Word { span: span(start, end), text: text.into(), probability: 0.9 };
        let transcript = artefact::Transcript {
            language: "en".into(),
            model: "srt".into(),
            duration_us: MediaTime::from_millis(120_000),
            segments: vec![artefact::Segment {
                span: span(1_000, 2_000),
                text: "Hello there.".into(),
                words: vec![word("Hello", 1_000, 1_400), word("there.", 1_500, 2_000)],
                mean_logprob: 0.0,
                no_speech_probability: 0.0,
            }],
        };
        self.gateway.blobs.put_bytes(serde_json::to_vec(&transcript).unwrap(), "application/json").await.unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.projecting.cancel();
        self.gateway.shutdown.cancel();
    }
}

pub(crate) fn span(start_ms: u64, end_ms: u64) -> Span {
    Span::new(MediaTime::from_millis(start_ms), MediaTime::from_millis(end_ms)).unwrap()
}

fn facts() -> MediaFacts {
    MediaFacts { container: "mp4".into(), duration_us: MediaTime::from_millis(120_000), video: None, audio: None }
}

fn proposal(video: VideoId, rank: u32, original: &BlobRef, words: &BlobRef, analysis: &BlobRef) -> Proposal {
    let at = span(1_000, 21_000);
    let effect = Contribution {
        feature: "hook_question".into(),
        group: FeatureGroup::Hook,
        value: 1.0,
        percentile: 0.9,
        weight: 0.5,
        effect: 0.45,
        at,
    };
    Proposal {
        video,
        original: original.clone(),
        video_duration: MediaTime::from_millis(120_000),
        words: words.clone(),
        analysis: analysis.clone(),
        rank,
        span: at,
        score: 90.0 - f64::from(rank),
        title: format!("Clip {rank}"),
        keywords: vec!["talk".into()],
        contributions: vec![effect],
        reasons: vec![Reason { text: "opens with a question".into(), feature: "hook_question".into(), at_us: at.start() }],
        model: "frozen-1".into(),
        style: CaptionStyle::Karaoke,
    }
}

pub(crate) fn rendition() -> Rendition {
    let blob = |byte, media_type: &str| BlobRef { sha256: Digest([byte; 32]), bytes: 10, media_type: media_type.into() };
    Rendition {
        ratio: Ratio::Portrait,
        video: blob(1, "video/mp4"),
        poster: blob(2, "image/jpeg"),
        srt: blob(3, "application/x-subrip"),
        vtt: blob(4, "text/vtt"),
        ass: blob(5, "text/x-ssa"),
        decisions: blob(6, "application/json"),
        duration: MediaTime::from_millis(20_000),
    }
}
