//! A run that is killed goes on where it stopped, and a run that was done is not done again.

use crate::film::{self, TWO_CLIPS};
use crate::room::{Following, Room, kind};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for the next event: a stage of the short talk takes seconds.
const EVENT_WAIT: Duration = Duration::from_secs(90);

/// Longest wait for an orphan to end: the kernel kills it with its parent.
const ORPHAN_WAIT: Duration = Duration::from_secs(5);

/// When the run is killed: at the beginning of each stage, and between two renditions.
const MOMENTS: [(&str, &str); 5] = [
    ("video.submitted", "ingest"),
    ("video.ingested", "transcribe and analyze"),
    ("transcript.chunk_requested", "hearing a chunk"),
    ("video.clips_proposed", "the first render"),
    ("clip.rendered", "the second render"),
];

#[test]
fn a_run_killed_in_every_stage_ends_with_the_clips_of_an_undisturbed_one() {
    let undisturbed = Room::new();
    undisturbed.clip(film::talk(), TWO_CLIPS).succeeded();

    let room = Room::new();
    // A refused file first, so that there is a log to follow.
    room.clip(film::of_bytes("empty.mp4", b""), "").refused("EMPTY", "choose the video again");
    let before = room.events().len();
    for (moment, stage) in MOMENTS {
        if room.events()[before..].iter().any(|event| kind(event) == moment) {
            eprintln!("{stage}: it had begun when the run was killed before");
            continue;
        }
        let mut follower = room.follow();
        let lines = lines(&mut follower);
        let mut run = start(&room);
        wait_for(&lines, moment, &mut run);
        kill_and_see_its_children_die(&mut run, stage);
    }
    room.clip(film::talk(), &format!("{TWO_CLIPS} --renders 1")).succeeded();

    happened_once(&room.events());
    let (expected, actual) = (files(&undisturbed.path("clips")), files(&room.path("clips")));
    assert_eq!(expected.keys().collect::<Vec<_>>(), actual.keys().collect::<Vec<_>>());
    for (name, bytes) in &expected {
        assert!(bytes == &actual[name], "{name} differs from the undisturbed run's");
    }
    assert_eq!(expected.keys().filter(|name| name.ends_with(".mp4")).count(), 2);
}

fn start(room: &Room) -> Child {
    let mut command = room.clip_command(film::talk(), &format!("{TWO_CLIPS} --renders 1"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Returns the lines that a follower prints.
pub(crate) fn lines(follower: &mut Following) -> Receiver<String> {
    let out = BufReader::new(follower.0.stdout.take().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in out.lines() {
            if sender.send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Waits until the log has an event of type `moment`, whose video is not the refused one.
pub(crate) fn wait_for(lines: &Receiver<String>, moment: &str, run: &mut Child) {
    let mut submissions = 0;
    loop {
        let line = lines.recv_timeout(EVENT_WAIT).unwrap_or_else(|error| panic!("waiting for {moment}: {error}, {:?}", run.try_wait()));
        let event: Value = serde_json::from_str(&line).unwrap();
        if kind(&event) == "video.submitted" {
            submissions += 1;
        }
        if kind(&event) == moment && submissions == 2 {
            return;
        }
    }
}

fn kill_and_see_its_children_die(run: &mut Child, stage: &str) {
    // A moment into the stage, so that its media process has started.
    std::thread::sleep(Duration::from_millis(150));
    let children = children_of(run.id());
    assert!(run.try_wait().unwrap().is_none(), "{stage}: the run ended before it could be killed");
    run.kill().unwrap();
    run.wait().unwrap();
    let deadline = Instant::now() + ORPHAN_WAIT;
    while children.iter().any(|child| is_alive(*child)) {
        assert!(Instant::now() < deadline, "{stage}: processes {children:?} outlive their parent");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn children_of(process: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok());
    children.flat_map(|list| list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<u32>>()).collect()
}

/// Tells whether a process still runs; one that waits to be reaped does not.
fn is_alive(process: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
    let state = status.rsplit_once(") ").map(|(_, rest)| rest.starts_with(['Z', 'X']));
    state == Some(false)
}

/// Asserts that nothing happened twice to anything.
#[track_caller]
fn happened_once(events: &[Value]) {
    let mut seen = HashSet::new();
    for event in events {
        let data = &event["data"];
        let key =
            (kind(event), event["subject"].to_string(), data["index"].to_string(), data["clipId"].to_string(), data["ratio"].to_string());
        assert!(seen.insert(key.clone()), "it happened twice: {key:?}");
    }
    let completed = events.iter().filter(|event| kind(event) == "video.completed").count();
    assert_eq!(completed, 1);
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.iter().map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())).collect()
}

/// A device that no machine has: whoever starts a processor on it is refused.
const NO_DEVICE: &str = "--device nowhere";

#[test]
fn a_second_run_starts_no_processor_says_so_and_leaves_the_same_bytes() {
    let room = Room::new();
    let settings = "--lengths 4-14 --count 1";
    room.clip(film::talk(), &format!("{settings} {NO_DEVICE}")).refused("BAD_DEVICE", "nowhere");
    room.clip(film::talk(), settings).succeeded();
    let (events, made) = (room.events(), files(&room.path("clips")));
    std::fs::remove_dir_all(room.path("clips")).unwrap();

    let again = room.clip(film::talk(), &format!("{settings} {NO_DEVICE}"));
    again.succeeded();
    assert!(again.err.contains("were made before with the same settings"), "{}", again.err);
    assert!(files(&room.path("clips")) == made, "the files differ");
    assert_eq!(room.events(), events, "nothing new happened");

    // Another encoder setting is another job.
    let other = room.clip(film::talk(), &format!("{settings} --crf 30"));
    other.succeeded();
    assert!(!other.err.contains("were made before"), "{}", other.err);
}

#[test]
fn one_process_at_a_time_works_in_a_data_folder() {
    let room = Room::new();
    let mut serving = room.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut serving = serving.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(serving.stderr.take().unwrap()).lines();
    let is_up = said.any(|line| line.unwrap().contains("listens on"));
    let second = room.clip(film::talk(), "");
    serving.kill().unwrap();
    serving.wait().unwrap();
    assert!(is_up);
    second.refused("DATA_IN_USE", "choose another folder with --data");
    assert_eq!(room.run(&["events"]).code, Some(0), "a dead process holds nothing");
}
