//! Parked jobs on the command line.

use crate::film;
use crate::room::{Room, kind};
use domain::Timestamp;
use domain::id::{CommitId, EventId, JobId, WorkspaceId};
use domain::job::{Command, Job, Parking};
use runtime::execute::{Context, execute};
use runtime::log::sqlite::SqliteLog;
use serde_json::Value;
use uuid::Uuid;

/// Parks the job that a refused file had with `ingest`, as a processor would.
async fn park(log: &SqliteLog, event: &Value) -> JobId {
    let cause: EventId = event["id"].as_str().unwrap().parse().unwrap();
    let workspace: WorkspaceId = event["source"].as_str().unwrap().strip_prefix("/workspaces/").unwrap().parse().unwrap();
    let job = JobId::of(cause, "ingest");
    let parking = Parking {
        processor: "ingest".into(),
        cause,
        cause_type: kind(event).to_owned(),
        cause_stream: event["subject"].as_str().unwrap().to_owned(),
        position: event["position"].as_str().unwrap().parse().unwrap(),
        attempts: 5,
        error: "checking the file: no disk\nand more".into(),
    };
    let context = Context::request(CommitId(Uuid::from_u128(1)), workspace, "test", Timestamp(7));
    execute::<Job>(log, context, job.0, Command::Park(parking)).await.unwrap();
    job
}

#[tokio::test]
async fn a_parked_job_is_listed_shown_and_asked_for_and_done_at_the_next_start() {
    let room = Room::new();
    let video = film::of_bytes("empty.mp4", b"");
    room.clip(video, "").refused("EMPTY", "choose the video again");
    let submitted = room.events().into_iter().find(|event| kind(event) == "video.submitted").unwrap();
    let log = SqliteLog::open(room.data().join("log.sqlite")).unwrap();
    let job = park(&log, &submitted).await.to_string();

    let listed = room.run(&["jobs", "list"]);
    assert!(listed.out.contains(&job) && listed.out.contains("ingest") && listed.out.contains("no disk"), "{}", listed.out);
    assert_eq!(listed.out.lines().count(), 1, "one line each: {}", listed.out);
    let shown: Value = serde_json::from_str(&room.run(&["jobs", "show", &job]).out).unwrap();
    assert_eq!((&shown["error"], &shown["isReplaying"]), (&"checking the file: no disk\nand more".into(), &false.into()));
    room.run(&["jobs", "show", &format!("job_{:032}", 7)]).refused("NOT_PARKED", "clipflow jobs list");

    room.run(&["jobs", "replay", &job]).succeeded();
    let listed: Value = serde_json::from_str(&room.run(&["jobs", "list", "--json"]).out).unwrap();
    assert_eq!(listed[0]["isReplaying"], true);
    // Whoever works there next does it, unless it ends before; the refusal that it ended in the first time is not said again.
    let mut starts = (0..20).map(|_| {
        room.clip(film::of_bytes("empty.mp4", b""), "").refused("EMPTY", "choose the video again");
        room.run(&["jobs", "list"])
    });
    let ran = starts.find(|ran| ran.out.is_empty()).expect("twenty starts do it");
    assert_eq!((ran.out.as_str(), ran.err.trim()), ("", "no job is parked"));
    room.run(&["jobs", "replay", &job]).refused("NOT_PARKED", "is not parked");
    room.run(&["jobs", "replay", "--all"]).succeeded();
}
