mod histories;

use crate::sqlite::Target;
use crate::stages::StageState;
use crate::table::Table;
use crate::{ALL, Model, Projection as _, Store, audit, clips, jobs, models, run, transcripts, videos};
use bytes::Bytes;
use domain::artefact::{CaptionStyle, Ratio};
use domain::clip::Command as ClipCommand;
use domain::id::{ClipId, CommitId, EventId, VideoId, WorkspaceId};
use domain::video::{Command as VideoCommand, RenderOutcome, Source, Stage, Wish};
use domain::{Timestamp, clip, video};
use futures::StreamExt as _;
use histories::{Histories, facts, failure, span};
use proto::{Metadata, Recorded, Wire as _};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use runtime::clock::Clock;
use runtime::consume::Surroundings;
use runtime::consumers::Consumers;
use runtime::execute::{Context, Transaction};
use runtime::log::simulated::{Faults, SimulatedLog};
use runtime::log::{Filter, Item, Log as _, Partition};
use runtime::progress::ProgressChannel;
use runtime::token::Positions;
use std::collections::BTreeSet;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const HOME: WorkspaceId = WorkspaceId(Uuid::from_u128(1));
const OTHER: WorkspaceId = WorkspaceId(Uuid::from_u128(2));
const NOW: Timestamp = Timestamp(1_700_000_000_000_000);
const VIDEO: VideoId = VideoId(Uuid::from_u128(77));
const CLIP: ClipId = ClipId(Uuid::from_u128(78));

struct World {
    log: SimulatedLog,
    store: Store,
    commits: u128,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("rows.sqlite"), &ALL).unwrap();
        Self { log: SimulatedLog::new(0, Faults::NONE), store, commits: 0, folder }
    }

    async fn happens(&mut self, add: impl FnOnce(Transaction<'_, SimulatedLog>) -> Transaction<'_, SimulatedLog>) {
        self.commits += 1;
        let commit = CommitId(Uuid::from_u128(self.commits));
        let context = Context::request(commit, HOME, "owner", NOW.plus_seconds(self.commits as u64));
        add(Transaction::new(&self.log, context)).commit().await.unwrap();
        self.catch_up().await;
    }

    async fn video(&mut self, command: VideoCommand) {
        self.happens(|commit| commit.then::<video::Video>(VIDEO.0, command)).await;
    }

    async fn clip(&mut self, command: ClipCommand) {
        self.happens(|commit| commit.then::<clip::Clip>(CLIP.0, command)).await;
    }

    async fn catch_up(&self) {
        for model in ALL {
            run::catch_up(&self.log, &self.store, model, Target::Live).await.unwrap();
        }
    }

    async fn video_row(&self) -> videos::Row {
        videos::by_id(&self.store, HOME, VIDEO).await.unwrap().unwrap()
    }
}

async fn all_events(log: &SimulatedLog) -> Vec<Recorded> {
    let items = log.read(Partition::EMBEDDED, 0, Filter::all());
    let events = items.map(Result::unwrap).take_while(|item| std::future::ready(matches!(item, Item::Event(_))));
    events.map(|item| if let Item::Event(event) = item { event } else { unreachable!() }).collect().await
}

async fn digests(store: &Store) -> Vec<(&'static str, String)> {
    let mut digests = vec![];
    for model in ALL {
        digests.push((model.name, store.digest(model).await.unwrap().to_string()));
    }
    digests
}

fn surroundings() -> Surroundings {
    Surroundings {
        consumers: Consumers::in_memory().unwrap(),
        positions: Positions::default(),
        clock: Clock::from_fn(|| NOW),
        progress: ProgressChannel::default(),
        disk_full: Default::default(),
        shutdown: CancellationToken::new(),
    }
}

fn submit() -> VideoCommand {
    let source = Source::Url { url: "https://example.org/talk.mp4".into() };
    VideoCommand::Submit { title: "Talk".into(), source, subtitles: None, wish: Wish::default() }
}

/// The seed of a failing run is in its message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilt_rows_are_the_live_rows_and_those_of_events_delivered_twice() {
    let mut seen = BTreeSet::new();
    for seed in 0..20 {
        let folder = TempDir::new().unwrap();
        let live = Store::open(&folder.path().join("live.sqlite"), &ALL).unwrap();
        let log = SimulatedLog::new(seed, Faults { visible_after_ms_max: 3, ..Faults::NONE });
        let around = surroundings();
        // Two projectors over one file: one of them is a zombie, nobody knows which.
        let projectors = [(); 2].map(|()| tokio::spawn(run::run(log.clone(), live.clone(), around.clone())));
        let mut histories = Histories::new(log.clone(), seed, &[HOME, OTHER]);
        histories.happen(2_000).await;
        while log.head(Partition::EMBEDDED).await.unwrap() <= histories.last.unwrap() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let events = all_events(&log).await;
        assert!(events.len() > 200, "seed {seed}: only {} events", events.len());
        seen.extend(events.iter().map(|event| event.event_type.to_string()));
        for model in ALL {
            let last = events.last().map(|event| event.position);
            around.positions.wait(model.name, last, Duration::from_secs(20)).await.unwrap();
        }
        let expected = digests(&live).await;

        let twice = Store::open(&folder.path().join("twice.sqlite"), &ALL).unwrap();
        for model in ALL {
            deliver_again_and_again(&twice, model, &events, seed).await;
        }
        assert_eq!(digests(&twice).await, expected, "seed {seed}: delivered twice");
        for model in ALL {
            let rebuilt = live.rebuild(&log, model.name).await.unwrap();
            assert!(rebuilt.is_same(), "seed {seed}: {rebuilt:?}");
        }
        assert_eq!(digests(&live).await, expected, "seed {seed}: rebuilt");
        around.shutdown.cancel();
        for projector in projectors {
            projector.await.unwrap().unwrap();
        }
    }
    assert!(seen.len() >= 25, "too few kinds of events happened: {seen:?}");
}

/// Delivers in random batches, and now and then goes back to an earlier one.
async fn deliver_again_and_again(store: &Store, model: Model, events: &[Recorded], seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut done = 0;
    while done < events.len() {
        let from = random.random_range(0..=done);
        let to = (done + random.random_range(1..40)).min(events.len());
        let next = events[to - 1].position + 1;
        for _ in 0..2 {
            store.apply(model, Target::Live, events[from..to].to_vec(), next).await.unwrap();
        }
        done = to;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_goes_on_while_others_write_and_read() {
    let mut world = World::new();
    world.video(submit()).await;
    let log = world.log.clone();
    let writing = tokio::spawn(async move { Histories::new(log, 5, &[HOME]).happen(1_500).await });
    for _ in 0..3 {
        for model in ALL {
            assert!(world.store.rebuild(&world.log, model.name).await.unwrap().is_same());
            assert_eq!(world.video_row().await.title, "Talk");
        }
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn a_rebuild_mends_rows_that_are_wrong_and_says_so() {
    let mut world = World::new();
    world.video(submit()).await;
    let file = rusqlite::Connection::open(world.folder.path().join("rows.sqlite")).unwrap();
    file.execute("UPDATE \"videos@1.1\" SET title = 'wrong'", []).unwrap();
    let rebuilt = world.store.rebuild(&world.log, "videos").await.unwrap();
    assert!(!rebuilt.is_same());
    assert_eq!(world.video_row().await.title, "Talk");
    assert_eq!(world.store.status(&world.log, &ALL).await.unwrap()[0].build, 2);
    world.store.rebuild(&world.log, "nothing").await.unwrap_err();
}

#[tokio::test]
async fn an_opened_file_goes_on_where_it_was() {
    let mut world = World::new();
    world.video(submit()).await;
    let again = Store::open(&world.folder.path().join("rows.sqlite"), &ALL).unwrap();
    let status = again.status(&world.log, &ALL).await.unwrap();
    assert!(status.iter().all(|status| status.lag == 0 && status.next == 1), "{status:?}");
}

#[tokio::test]
async fn a_video_goes_through_its_stages() {
    let mut world = World::new();
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

async fn proposed(world: &mut World) {
    let mut made = Histories::new(world.log.clone(), 1, &[HOME]);
    world.video(submit()).await;
    world.video(VideoCommand::Ingest { original: made.blob("video/mp4"), facts: facts(), sound: None }).await;
    let transcript = domain::id::TranscriptId(VIDEO.0);
    world.video(VideoCommand::AttachTranscript { transcript, words: made.blob("application/json") }).await;
    world.video(VideoCommand::RecordAnalysis { analysis: made.blob("application/json") }).await;
    let record = VideoCommand::RecordClips { detection: made.blob("application/json"), clips: vec![CLIP], explanation: None };
    let propose = ClipCommand::Propose(Box::new(made.proposal(VIDEO, 1)));
    world.happens(|commit| commit.then::<video::Video>(VIDEO.0, record).then::<clip::Clip>(CLIP.0, propose)).await;
}

#[tokio::test]
async fn a_clip_shows_its_reasons_its_verdict_and_its_files() {
    let mut world = World::new();
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

#[tokio::test]
async fn pages_of_videos_skip_deleted_ones_and_end() {
    let mut world = World::new();
    for id in 0..25 {
        world.happens(|commit| commit.then::<video::Video>(Uuid::from_u128(id), submit())).await;
    }
    for id in (0..25).filter(|id| id % 3 == 0) {
        world.happens(|commit| commit.then::<video::Video>(Uuid::from_u128(id), VideoCommand::Delete)).await;
    }
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

#[tokio::test]
async fn a_workspace_sees_nothing_of_another() {
    let mut world = World::new();
    proposed(&mut world).await;
    let (store, stream) = (&world.store, video::Video::stream(VIDEO.0));
    assert_eq!(videos::by_id(store, OTHER, VIDEO).await.unwrap(), None);
    assert_eq!(videos::newest(store, OTHER, None, 10).await.unwrap(), []);
    assert_eq!(clips::by_id(store, OTHER, CLIP).await.unwrap(), None);
    assert_eq!(clips::by_video(store, OTHER, VIDEO, None, 10).await.unwrap(), []);
    assert_eq!(audit::history(store, OTHER, &stream, None, 10).await.unwrap(), []);
    assert_eq!(transcripts::by_video(store, OTHER, VIDEO).await.unwrap(), None);
    assert_eq!(models::all(store, OTHER).await.unwrap(), []);
}

#[tokio::test]
async fn the_audit_holds_every_event_with_who_when_and_why() {
    let mut world = World::new();
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

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_nothing() {
    let world = World::new();
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
        world.store.apply(model, Target::Live, events.clone(), 2).await.unwrap();
    }
    assert_eq!(videos::by_id(&world.store, HOME, VIDEO).await.unwrap(), None);
    let history = audit::history(&world.store, HOME, &video::Video::stream(VIDEO.0), None, 10).await.unwrap();
    assert_eq!(history.iter().map(|row| row.event_type.as_str()).collect::<Vec<_>>(), ["video.submitted", "video.of_the_future"]);
}

#[test]
fn names_of_tables_and_columns_are_plain_and_tables_are_unique() {
    let mut names = vec![];
    let is_plain = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    for table in ALL.iter().flat_map(|model| model.tables) {
        let table: &Table = table;
        assert!(is_plain(table.name) && table.all_columns().all(|column| is_plain(column.name)), "{table:?}");
        names.push(table.name);
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert_eq!(ALL[0].name, videos::Videos::NAME);
}
