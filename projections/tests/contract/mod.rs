//! What every store must do: the same events give the same answers, on one file and on a cluster, however and how often they arrive.

pub(crate) mod arrivals;
pub(crate) mod histories;
mod partitions;

use arrivals::deliver_late;
use bytes::Bytes;
use domain::artefact::{CaptionStyle, Ratio};
use domain::clip::Command as ClipCommand;
use domain::id::{ClipId, CommitId, EventId, TranscriptId, VideoId, WorkspaceId};
use domain::video::{Command as VideoCommand, RenderOutcome, Source, Stage, Wish};
use domain::{Timestamp, clip, video};
use futures::StreamExt as _;
use futures::future::join_all;
use histories::{Histories, facts, failure, span};
pub(crate) use partitions::partitions_do_not_disturb_one_another;
use projections::stages::StageState;
use projections::store::Target;
use projections::{ALL, Store, audit, clips, events_by_stream, jobs, models, run, transcripts, videos};
use proto::{Metadata, Recorded, StreamName, Wire as _};
use runtime::clock::Clock;
use runtime::consume::Surroundings;
use runtime::consumers::Consumers;
use runtime::execute::{Context, Transaction};
use runtime::log::simulated::{Faults, SimulatedLog};
use runtime::log::{Filter, Item, Log as _, Partition};
use runtime::progress::ProgressChannel;
use runtime::token::Positions;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const HOME: WorkspaceId = WorkspaceId(Uuid::from_u128(1));
const OTHER: WorkspaceId = WorkspaceId(Uuid::from_u128(2));
const NOW: Timestamp = Timestamp(1_700_000_000_000_000);
pub(crate) const VIDEO: VideoId = VideoId(Uuid::from_u128(77));
pub(crate) const CLIP: ClipId = ClipId(Uuid::from_u128(78));

/// Runs every test that needs one empty store, each by `$run`.
macro_rules! suite {
    ($run:path) => {
        contract::suite!($run:
            a_video_goes_through_its_stages
            a_clip_shows_its_reasons_its_verdict_and_its_files
            pages_of_videos_skip_deleted_ones_and_end
            a_workspace_sees_nothing_of_another
            the_audit_holds_every_event_with_who_when_and_why
            an_event_that_cannot_be_read_stops_nothing
            a_stream_is_read_back_as_it_was_written
            what_is_deleted_is_gone
            partitions_do_not_disturb_one_another
        );
    };
    ($run:path: $($name:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $run(contract::$name).await;
        })*
    };
}
pub(crate) use suite;

pub(crate) struct World {
    pub(crate) log: SimulatedLog,
    pub(crate) store: Store,
    commits: u128,
}

impl World {
    pub(crate) fn new(store: Store) -> Self {
        Self { log: SimulatedLog::new(0, Faults::NONE), store, commits: 0 }
    }

    pub(crate) async fn happens(&mut self, add: impl FnOnce(Transaction<'_, SimulatedLog>) -> Transaction<'_, SimulatedLog>) {
        self.commits += 1;
        let commit = CommitId(Uuid::from_u128(self.commits));
        let context = Context::request(commit, HOME, "owner", NOW.plus_seconds(self.commits as u64));
        add(Transaction::new(&self.log, context)).commit().await.unwrap();
    }

    pub(crate) async fn video(&mut self, command: VideoCommand) {
        self.happens(|commit| commit.then::<video::Video>(VIDEO.0, command)).await;
        self.catch_up().await;
    }

    async fn clip(&mut self, command: ClipCommand) {
        self.happens(|commit| commit.then::<clip::Clip>(CLIP.0, command)).await;
        self.catch_up().await;
    }

    async fn catch_up(&self) {
        join_all(ALL.map(async |model| run::catch_up(&self.log, &self.store, model, Target::Live).await.unwrap())).await;
    }

    pub(crate) async fn video_row(&self) -> videos::Row {
        videos::by_id(&self.store, HOME, VIDEO).await.unwrap().unwrap()
    }
}

pub(crate) async fn all_events(log: &SimulatedLog) -> Vec<Recorded> {
    let items = log.read(Partition::EMBEDDED, 0, Filter::all());
    let events = items.map(Result::unwrap).take_while(|item| std::future::ready(matches!(item, Item::Event(_))));
    events.map(|item| if let Item::Event(event) = item { event } else { unreachable!() }).collect().await
}

pub(crate) async fn digests(store: &Store) -> Vec<(&'static str, String)> {
    join_all(ALL.map(async |model| (model.name, store.digest(model).await.unwrap().to_string()))).await
}

/// Everything that can be asked, as text.
pub(crate) async fn answers(store: &Store, events: &[Recorded]) -> Vec<String> {
    let mut answers = vec![];
    for workspace in [HOME, OTHER] {
        let newest = videos::newest(store, workspace, None, 7).await.unwrap();
        let after = newest.last().map(|row| videos::Place { submitted_us: row.submitted_us, video: row.video });
        answers.push(format!("{newest:?} then {:?}", videos::newest(store, workspace, after, 100).await.unwrap()));
        answers.push(format!("{:?}", models::all(store, workspace).await.unwrap()));
    }
    let streams: BTreeSet<_> = events.iter().map(|event| (event.workspace.0, event.stream.clone())).collect();
    for (workspace, stream) in streams {
        let (workspace, id) = (WorkspaceId(workspace), stream.id());
        answers.push(match stream.category() {
            "video" => format!(
                "{:?} {:?} {:?} {:?} {:?}",
                videos::by_id(store, workspace, VideoId(id)).await.unwrap(),
                videos::renders(store, workspace, VideoId(id)).await.unwrap(),
                jobs::by_video(store, workspace, VideoId(id)).await.unwrap(),
                transcripts::by_video(store, workspace, VideoId(id)).await.unwrap(),
                clips::by_video(store, workspace, VideoId(id), None, 100).await.unwrap(),
            ),
            "clip" => format!(
                "{:?} {:?}",
                clips::by_id(store, workspace, ClipId(id)).await.unwrap(),
                clips::renditions(store, workspace, ClipId(id)).await.unwrap()
            ),
            "transcript" => format!("{:?}", transcripts::chunks(store, workspace, TranscriptId(id)).await.unwrap()),
            _ => String::new(),
        });
        answers.push(format!("{:?}", audit::history(store, workspace, &stream, None, 1_000).await.unwrap()));
        let expected: Vec<_> = events.iter().filter(|event| (event.workspace, &event.stream) == (workspace, &stream)).cloned().collect();
        assert!(whole(store, workspace, &stream).await == expected, "{stream} is not what was written");
    }
    answers
}

async fn whole(store: &Store, workspace: WorkspaceId, stream: &StreamName) -> Vec<Recorded> {
    let mut events = vec![];
    loop {
        let page = events_by_stream::read(store, workspace, stream, events.len() as u64, 100).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

pub(crate) fn surroundings() -> Surroundings {
    Surroundings {
        consumers: Consumers::in_memory().unwrap(),
        positions: Positions::default(),
        clock: Clock::from_fn(|| NOW),
        progress: ProgressChannel::default(),
        disk_full: Default::default(),
        shutdown: CancellationToken::new(),
    }
}

pub(crate) fn submit() -> VideoCommand {
    let source = Source::Url { url: "https://example.org/talk.mp4".into() };
    VideoCommand::Submit { title: "Talk".into(), source, subtitles: None, wish: Wish::default() }
}

pub(crate) async fn a_video_goes_through_its_stages(store: Store) {
    let mut world = World::new(store);
    let mut made = Histories::new(world.log.clone(), 1, &[HOME]);
    world.video(submit()).await;
    assert_eq!(world.video_row().await.state(), videos::State::Processing);
    assert_eq!(world.video_row().await.ingest, Some(StageState::Running));
    world.video(VideoCommand::Ingest { original: made.blob("video/mp4"), facts: facts(), sound: None }).await;
    world.video(VideoCommand::FailStage { stage: Stage::Analyze, failure: failure() }).await;
    let row = world.video_row().await;
    assert_eq!((row.state(), row.failure_code.as_deref()), (videos::State::Failed, Some("BROKEN")));
    assert_eq!(row.facts, Some(facts()));
    let jobs = jobs::by_video(&world.store, HOME, VIDEO).await.unwrap();
    let failed = jobs.iter().find(|job| job.stage == "analyze").unwrap();
    assert_eq!((failed.state, failed.failure_code.as_deref()), (StageState::Failed, Some("BROKEN")));
    world.video(VideoCommand::RetryStage { stage: Stage::Analyze }).await;
    let row = world.video_row().await;
    assert_eq!((row.state(), row.failure_code), (videos::State::Processing, None));
    world.video(VideoCommand::Delete).await;
    assert_eq!(videos::by_id(&world.store, HOME, VIDEO).await.unwrap(), None);
    assert_eq!(videos::newest(&world.store, HOME, None, 10).await.unwrap(), []);
    assert_eq!(jobs::by_video(&world.store, HOME, VIDEO).await.unwrap(), []);
}

pub(crate) async fn proposed(world: &mut World) {
    let mut made = Histories::new(world.log.clone(), 1, &[HOME]);
    world.video(submit()).await;
    world.video(VideoCommand::Ingest { original: made.blob("video/mp4"), facts: facts(), sound: None }).await;
    let transcript = domain::id::TranscriptId(VIDEO.0);
    world.video(VideoCommand::AttachTranscript { transcript, words: made.blob("application/json") }).await;
    world.video(VideoCommand::RecordAnalysis { analysis: made.blob("application/json") }).await;
    let record = VideoCommand::RecordClips { detection: made.blob("application/json"), clips: vec![CLIP], explanation: None };
    let propose = ClipCommand::Propose(Box::new(made.proposal(VIDEO, 1)));
    world.happens(|commit| commit.then::<video::Video>(VIDEO.0, record).then::<clip::Clip>(CLIP.0, propose)).await;
    world.catch_up().await;
}

pub(crate) async fn a_clip_shows_its_reasons_its_verdict_and_its_files(store: Store) {
    let mut world = World::new(store);
    proposed(&mut world).await;
    let mut made = Histories::new(world.log.clone(), 2, &[HOME]);
    world.clip(ClipCommand::RequestRender { ratio: Ratio::Portrait, encoder: Default::default() }).await;
    world.clip(ClipCommand::RecordRender { revision: 0, rendition: Box::new(made.rendition(Ratio::Portrait)) }).await;
    let find = async |world: &World| clips::by_id(&world.store, HOME, CLIP).await.unwrap().unwrap();
    let clip = find(&world).await;
    assert_eq!((clip.verdict, clip.rank, clip.reasons.len()), (clips::Verdict::Open, 1, 1));
    assert_eq!(clip.title, "Why '; DROP TABLE clips; -- matters");
    let rendition = clips::renditions(&world.store, HOME, CLIP).await.unwrap().remove(0);
    assert_eq!((rendition.state, rendition.is_current(&clip)), (clips::RenditionState::Rendered, true));

    world.clip(ClipCommand::Retrim { span: span(1_000, 9_000) }).await;
    world.clip(ClipCommand::Restyle { style: CaptionStyle::Block }).await;
    world.clip(ClipCommand::Accept).await;
    let clip = find(&world).await;
    assert_eq!((clip.span, clip.style, clip.verdict), (span(1_000, 9_000), CaptionStyle::Block, clips::Verdict::Accepted));
    assert_eq!((clip.judged_by.as_deref(), clip.proposed_span == clip.span), (Some("owner"), false));
    assert!(!clips::renditions(&world.store, HOME, CLIP).await.unwrap()[0].is_current(&clip), "it shows the clip before the edits");

    world.clip(ClipCommand::RequestRender { ratio: Ratio::Portrait, encoder: Default::default() }).await;
    world.clip(ClipCommand::FailRender { revision: 2, ratio: Ratio::Portrait, failure: failure() }).await;
    let rendition = clips::renditions(&world.store, HOME, CLIP).await.unwrap().remove(0);
    assert_eq!((rendition.state, rendition.revision), (clips::RenditionState::Failed, Some(0)));
    assert_eq!(clips::by_video(&world.store, HOME, VIDEO, None, 10).await.unwrap(), [find(&world).await]);
    assert_eq!(videos::renders(&world.store, HOME, VIDEO).await.unwrap().len(), 1);
    let settle = VideoCommand::SettleRender { clip: CLIP, ratio: Ratio::Portrait, outcome: RenderOutcome::Rendered };
    world.video(settle).await;
    assert_eq!(world.video_row().await.state(), videos::State::Completed);

    world.clip(ClipCommand::Delete).await;
    assert_eq!(clips::by_video(&world.store, HOME, VIDEO, None, 10).await.unwrap(), []);
    assert_eq!(clips::renditions(&world.store, HOME, CLIP).await.unwrap(), []);
}

pub(crate) async fn pages_of_videos_skip_deleted_ones_and_end(store: Store) {
    let mut world = World::new(store);
    for id in 0..25 {
        world.happens(|commit| commit.then::<video::Video>(Uuid::from_u128(id), submit())).await;
    }
    for id in (0..25).filter(|id| id % 3 == 0) {
        world.happens(|commit| commit.then::<video::Video>(Uuid::from_u128(id), VideoCommand::Delete)).await;
    }
    world.catch_up().await;
    let (mut seen, mut after) = (vec![], None);
    loop {
        let page = videos::newest(&world.store, HOME, after, 4).await.unwrap();
        seen.extend(page.iter().map(|row| row.video.0.as_u128()));
        let Some(last) = page.last() else { break };
        after = Some(videos::Place { submitted_us: last.submitted_us, video: last.video });
    }
    let expected: Vec<_> = (0..25).rev().filter(|id| id % 3 != 0).collect();
    assert_eq!(seen, expected);
}

pub(crate) async fn a_workspace_sees_nothing_of_another(store: Store) {
    let mut world = World::new(store);
    proposed(&mut world).await;
    let (store, stream) = (&world.store, video::Video::stream(VIDEO.0));
    assert_eq!(videos::by_id(store, OTHER, VIDEO).await.unwrap(), None);
    assert_eq!(videos::newest(store, OTHER, None, 10).await.unwrap(), []);
    assert_eq!(clips::by_id(store, OTHER, CLIP).await.unwrap(), None);
    assert_eq!(clips::by_video(store, OTHER, VIDEO, None, 10).await.unwrap(), []);
    assert_eq!(audit::history(store, OTHER, &stream, None, 10).await.unwrap(), []);
    assert_eq!(transcripts::by_video(store, OTHER, VIDEO).await.unwrap(), None);
    assert_eq!(events_by_stream::read(store, OTHER, &stream, 0, 10).await.unwrap(), []);
    assert_eq!(models::all(store, OTHER).await.unwrap(), []);
}

pub(crate) async fn the_audit_holds_every_event_with_who_when_and_why(store: Store) {
    let mut world = World::new(store);
    proposed(&mut world).await;
    let events = all_events(&world.log).await;
    let stream = video::Video::stream(VIDEO.0);
    let history = audit::history(&world.store, HOME, &stream, None, 100).await.unwrap();
    let expected: Vec<_> = events.iter().filter(|event| event.stream == stream).collect();
    assert_eq!(history.len(), expected.len());
    for (row, event) in history.iter().zip(expected) {
        assert_eq!((row.event, &*row.event_type, row.position), (event.id, &*event.event_type, event.position));
        assert_eq!((row.at_us, row.actor.as_str()), (event.metadata.at, "owner"));
        assert_eq!(audit::by_event(&world.store, HOME, event.id).await.unwrap().as_ref(), Some(row));
    }
    let rest = audit::history(&world.store, HOME, &stream, Some(history[0].version), 2).await.unwrap();
    assert_eq!(rest, history[1..3]);
}

pub(crate) async fn an_event_that_cannot_be_read_stops_nothing(store: Store) {
    let world = World::new(store);
    let event = |position, event_type: &str, payload: &'static [u8]| Recorded {
        id: EventId(Uuid::from_u128(position)),
        workspace: HOME,
        stream: video::Video::stream(VIDEO.0),
        version: position as u64,
        position: position as u64,
        event_type: event_type.into(),
        schema_version: 1,
        payload: Bytes::from_static(payload),
        metadata: Metadata { at: NOW, actor: "owner".into(), correlation: Uuid::nil(), causation: None, traceparent: None },
    };
    let events = vec![event(0, "video.submitted", b"\xff\xff\xff"), event(1, "video.of_the_future", b"anything")];
    for model in ALL {
        world.store.apply(model, Target::Live, Partition::EMBEDDED, events.clone(), 2).await.unwrap();
    }
    assert_eq!(videos::by_id(&world.store, HOME, VIDEO).await.unwrap(), None);
    let history = audit::history(&world.store, HOME, &video::Video::stream(VIDEO.0), None, 10).await.unwrap();
    assert_eq!(history.iter().map(|row| row.event_type.as_str()).collect::<Vec<_>>(), ["video.submitted", "video.of_the_future"]);
}

pub(crate) async fn a_stream_is_read_back_as_it_was_written(store: Store) {
    let mut world = World::new(store);
    proposed(&mut world).await;
    let stream = video::Video::stream(VIDEO.0);
    let events: Vec<_> = all_events(&world.log).await.into_iter().filter(|event| event.stream == stream).collect();
    let read = async |from, limit| events_by_stream::read(&world.store, HOME, &stream, from, limit).await.unwrap();
    assert_eq!(read(0, 100).await, events);
    assert_eq!(read(2, 2).await, events[2..4]);
    assert_eq!(read(events.len() as u64, 100).await, []);
}

/// As `deleteVideo` does: the video and its clips in one commit.
pub(crate) async fn what_is_deleted_is_gone(store: Store) {
    let mut world = World::new(store);
    proposed(&mut world).await;
    let mut made = Histories::new(world.log.clone(), 3, &[HOME]);
    let transcript = TranscriptId::of(VIDEO);
    let import = domain::transcript::Command::Import {
        video: VIDEO,
        words: made.blob("application/json"),
        word_count: 9,
        language: "en".into(),
        format: "srt".into(),
    };
    world.happens(|commit| commit.then::<domain::transcript::Transcript>(transcript.0, import)).await;
    world.clip(ClipCommand::RequestRender { ratio: Ratio::Portrait, encoder: Default::default() }).await;
    let store = world.store.clone();
    assert!(transcripts::by_video(&store, HOME, VIDEO).await.unwrap().is_some());
    assert_eq!(clips::renditions(&store, HOME, CLIP).await.unwrap().len(), 1);
    let events = all_events(&world.log).await;

    world
        .happens(|commit| commit.then::<video::Video>(VIDEO.0, VideoCommand::Delete).then::<clip::Clip>(CLIP.0, ClipCommand::Delete))
        .await;
    world.catch_up().await;
    let check = async || {
        assert_eq!(videos::by_id(&store, HOME, VIDEO).await.unwrap(), None);
        assert_eq!(videos::newest(&store, HOME, None, 10).await.unwrap(), []);
        assert_eq!(videos::renders(&store, HOME, VIDEO).await.unwrap(), []);
        assert_eq!(jobs::by_video(&store, HOME, VIDEO).await.unwrap(), []);
        assert_eq!(transcripts::by_video(&store, HOME, VIDEO).await.unwrap(), None);
        assert_eq!(transcripts::by_id(&store, HOME, transcript).await.unwrap(), None);
        assert_eq!(clips::by_video(&store, HOME, VIDEO, None, 10).await.unwrap(), []);
        assert_eq!(clips::by_id(&store, HOME, CLIP).await.unwrap(), None);
        assert_eq!(clips::renditions(&store, HOME, CLIP).await.unwrap(), []);
    };
    check().await;
    // What was written before the deletion and arrives after it brings nothing back.
    for model in ALL {
        deliver_late(&store, model, &events).await;
    }
    check().await;
}
