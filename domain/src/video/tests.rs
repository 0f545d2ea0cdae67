use super::*;
use crate::blob::Digest;
use crate::testing::given;
use proptest::prelude::*;
use uuid::Uuid;

fn blob(byte: u8) -> BlobRef {
    BlobRef { sha256: Digest([byte; 32]), bytes: 1, media_type: "video/mp4".into() }
}

fn clip(number: u128) -> ClipId {
    ClipId(Uuid::from_u128(number))
}

fn submit() -> Command {
    Command::Submit { title: "talk".into(), source: Source::Upload { blob: blob(1) }, subtitles: None, wish: Wish::default() }
}

fn submitted() -> Event {
    Event::Submitted { title: "talk".into(), source: Source::Upload { blob: blob(1) }, subtitles: None, wish: Wish::default() }
}

fn facts() -> MediaFacts {
    MediaFacts { container: "mp4".into(), duration_us: MediaTime::from_millis(60_000), video: None, audio: None }
}

fn ingested() -> Event {
    Event::Ingested { original: blob(1), facts: facts(), sound: None, subtitles: None, wish: Wish::default() }
}

fn transcript() -> TranscriptId {
    TranscriptId(Uuid::from_u128(9))
}

fn attached() -> Event {
    Event::TranscriptAttached { transcript: transcript(), words: blob(2) }
}

fn analyzed() -> Event {
    Event::Analyzed { analysis: blob(3) }
}

fn ready() -> Event {
    Event::ReadyToScore {
        original: blob(1),
        words: blob(2),
        analysis: blob(3),
        duration: MediaTime::from_millis(60_000),
        wish: Wish::default(),
    }
}

fn proposed() -> Event {
    Event::ClipsProposed { detection: blob(4), clips: vec![clip(1), clip(2)], ratios: vec![Ratio::Portrait] }
}

fn settled(number: u128, outcome: RenderOutcome) -> Event {
    Event::RenderSettled { clip: clip(number), ratio: Ratio::Portrait, outcome }
}

fn settle(number: u128, outcome: RenderOutcome) -> Command {
    Command::SettleRender { clip: clip(number), ratio: Ratio::Portrait, outcome }
}

fn failure() -> Failure {
    Failure { code: "NOT_A_VIDEO".into(), reason: "it is a text file".into() }
}

fn scored() -> Vec<Event> {
    vec![submitted(), ingested(), attached(), analyzed(), ready(), proposed()]
}

#[test]
fn submitting_twice_happens_once() {
    given::<Video>([]).when(submit()).then_again(submit()).then_nothing();
}

#[test]
fn another_submission_under_the_same_id_is_refused() {
    let other = Command::Submit { title: "talk".into(), source: Source::Upload { blob: blob(7) }, subtitles: None, wish: Wish::default() };
    given::<Video>([submitted()]).when(other).then_err(Error::AlreadySubmitted);
}

#[test]
fn an_impossible_wish_is_refused() {
    let bad = |change: fn(&mut Wish)| {
        let mut wish = Wish::default();
        change(&mut wish);
        let command = Command::Submit { title: "talk".into(), source: Source::Upload { blob: blob(1) }, subtitles: None, wish };
        assert!(matches!(Video::default().decide(command, crate::testing::NOW), Err(Error::BadWish(_))));
    };
    bad(|wish| wish.ratios = vec![]);
    bad(|wish| wish.ratios = vec![Ratio::Square, Ratio::Square]);
    bad(|wish| wish.count = Some(0));
    bad(|wish| wish.count = Some(CLIP_COUNT_MAX + 1));
    bad(|wish| wish.length_min = MediaTime::from_millis(1_000));
    bad(|wish| wish.length_max = MediaTime::from_millis(181_000));
    bad(|wish| wish.length_max = wish.length_min);
}

#[test]
fn ingesting_carries_what_later_stages_need() {
    given::<Video>([submitted()]).when(Command::Ingest { original: blob(1), facts: facts(), sound: None }).then([ingested()]);
}

#[test]
fn a_refused_video_takes_no_further_step() {
    given::<Video>([submitted()]).when(Command::Refuse(failure())).then([Event::Refused(failure())]);
    given::<Video>([submitted(), Event::Refused(failure())]).when(Command::Refuse(failure())).then_nothing();
    given::<Video>([submitted(), Event::Refused(failure())])
        .when(Command::Ingest { original: blob(1), facts: facts(), sound: None })
        .then_err(Error::Refused { reason: "it is a text file".into() });
}

#[test]
fn the_second_of_transcript_and_analysis_makes_it_ready_to_score() {
    let attach = Command::AttachTranscript { transcript: transcript(), words: blob(2) };
    let record = Command::RecordAnalysis { analysis: blob(3) };
    given::<Video>([submitted(), ingested()]).when(attach.clone()).then([attached()]);
    given::<Video>([submitted(), ingested(), analyzed()]).when(attach.clone()).then([attached(), ready()]);
    given::<Video>([submitted(), ingested()]).when(record.clone()).then([analyzed()]);
    given::<Video>([submitted(), ingested(), attached()]).when(record.clone()).then([analyzed(), ready()]);
    given::<Video>([submitted(), ingested(), attached(), analyzed(), ready()]).when(attach).then_nothing();
    given::<Video>([submitted(), ingested(), attached(), analyzed(), ready()]).when(record).then_nothing();
}

#[test]
fn words_of_an_unchecked_file_are_refused() {
    given::<Video>([submitted()])
        .when(Command::AttachTranscript { transcript: transcript(), words: blob(2) })
        .then_err(Error::NotReady { missing: "the checked file" });
}

#[test]
fn clips_are_proposed_once() {
    let record = Command::RecordClips { detection: blob(4), clips: vec![clip(1), clip(2)], explanation: None };
    given::<Video>(scored().into_iter().take(5)).when(record.clone()).then([proposed()]);
    given::<Video>(scored()).when(record).then_nothing();
}

#[test]
fn finding_nothing_completes_the_video_and_says_why() {
    given::<Video>(scored().into_iter().take(5))
        .when(Command::RecordClips { detection: blob(4), clips: vec![], explanation: Some("nobody speaks".into()) })
        .then([
            Event::NothingFound { detection: blob(4), explanation: "nobody speaks".into() },
            Event::Completed { rendered: 0, failed: 0 },
        ]);
}

#[test]
fn the_last_render_completes_the_video() {
    given::<Video>(scored()).when(settle(1, RenderOutcome::Rendered)).then([settled(1, RenderOutcome::Rendered)]);
    let events = scored().into_iter().chain([settled(1, RenderOutcome::Failed)]);
    given::<Video>(events)
        .when(settle(2, RenderOutcome::Rendered))
        .then([settled(2, RenderOutcome::Rendered), Event::Completed { rendered: 1, failed: 1 }]);
}

#[test]
fn a_render_settles_once_but_a_failed_one_may_still_succeed() {
    let events: Vec<_> = scored().into_iter().chain([settled(1, RenderOutcome::Failed), settled(2, RenderOutcome::Rendered)]).collect();
    given::<Video>(events.clone()).when(settle(2, RenderOutcome::Rendered)).then_nothing();
    given::<Video>(events.clone()).when(settle(1, RenderOutcome::Failed)).then_nothing();
    given::<Video>(events)
        .when(settle(1, RenderOutcome::Rendered))
        .then([settled(1, RenderOutcome::Rendered), Event::Completed { rendered: 2, failed: 0 }]);
}

#[test]
fn a_render_that_the_video_does_not_wait_for_changes_nothing() {
    given::<Video>(scored()).when(settle(3, RenderOutcome::Rendered)).then_nothing();
}

#[test]
fn only_a_failed_stage_is_tried_again() {
    let failed = Event::StageFailed { stage: Stage::Transcribe, failure: failure() };
    let retry = Command::RetryStage { stage: Stage::Transcribe };
    given::<Video>([submitted(), ingested()]).when(retry.clone()).then_err(Error::StageNotFailed { stage: Stage::Transcribe });
    given::<Video>([submitted(), ingested(), failed]).when(retry).then([Event::StageRetried { stage: Stage::Transcribe }]);
}

#[test]
fn a_stage_fails_once_until_it_is_tried_again() {
    let fail = Command::FailStage { stage: Stage::Analyze, failure: failure() };
    given::<Video>([submitted(), ingested()]).when(fail.clone()).then_again(fail).then_nothing();
}

#[test]
fn a_stage_that_is_done_cannot_fail() {
    for stage in [Stage::Ingest, Stage::Transcribe, Stage::Analyze, Stage::Score] {
        given::<Video>(scored()).when(Command::FailStage { stage, failure: failure() }).then_nothing();
    }
}

#[test]
fn a_deleted_video_takes_no_command_but_delete() {
    given::<Video>([submitted(), Event::Deleted]).when(Command::Delete).then_nothing();
    given::<Video>([submitted(), Event::Deleted]).when(submit()).then_err(Error::Deleted);
    given::<Video>([]).when(Command::Delete).then_err(Error::Absent);
}

fn any_command() -> impl Strategy<Value = Command> {
    let outcome = prop_oneof![Just(RenderOutcome::Rendered), Just(RenderOutcome::Failed)];
    prop_oneof![
        Just(submit()),
        Just(Command::Ingest { original: blob(1), facts: facts(), sound: None }),
        Just(Command::Refuse(failure())),
        Just(Command::AttachTranscript { transcript: transcript(), words: blob(2) }),
        Just(Command::RecordAnalysis { analysis: blob(3) }),
        Just(Command::RecordClips { detection: blob(4), clips: vec![clip(1), clip(2)], explanation: None }),
        (1..4_u128, outcome).prop_map(|(number, outcome)| settle(number, outcome)),
        Just(Command::FailStage { stage: Stage::Score, failure: failure() }),
        Just(Command::RetryStage { stage: Stage::Score }),
        Just(Command::Delete),
    ]
}

proptest! {
    #[test]
    fn a_repeated_command_decides_nothing_and_folding_is_incremental(commands in prop::collection::vec(any_command(), 0..40)) {
        let mut state = Video::default();
        let mut history = vec![];
        for command in commands {
            let Ok(events) = state.decide(command.clone(), crate::testing::NOW) else { continue };
            state = events.iter().fold(state, Video::evolve);
            history.extend(events);
            let is_toggle = matches!(command, Command::RetryStage { .. });
            if !is_toggle {
                prop_assert_eq!(state.decide(command, crate::testing::NOW), Ok(vec![]));
            }
            prop_assert_eq!(&Video::fold(&history), &state);
        }
        let completed = history.iter().filter(|event| matches!(event, Event::ReadyToScore { .. })).count();
        prop_assert!(completed <= 1);
    }
}
