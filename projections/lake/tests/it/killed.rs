//! Kills the writer at random, again and again: the rows are the log's, each once.

use crate::scene::Scene;
use lake::Lake;
use lake::follow::{Limits, sync};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use runtime::log::sqlite::SqliteLog;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The folder of a scene, for the writer in the child process.
const FOLDER: &str = "CLIPFLOW_TEST_LAKE_FOLDER";

/// How often the writer is killed.
const KILLS: usize = 200;

/// Rows of one commit: small, so that most kills fall into one.
const ROWS: usize = 30;

/// What the child does; by itself it is no test.
#[test]
#[ignore = "the writer that the test below kills"]
fn writer_in_a_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = PathBuf::from(folder);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let log = SqliteLog::open(folder.join("log.sqlite")).unwrap();
    let lake = Lake::in_folder(&folder.join("lake")).unwrap();
    runtime.block_on(sync(log, lake, Limits { rows: ROWS, ..Limits::default() })).unwrap();
}

/// Counts the files of all tables: written ones, and those of commits.
fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_killed_two_hundred_times_writes_each_row_once() {
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut scene = Scene::new(seed);
    let exe = std::env::current_exe().unwrap();
    // A killed writer must find something to write: the log grows a little before each.
    let mut killed = 0;
    let mut finished = 0;
    let (mut midway, mut commits) = (0, 0);
    let mut longest = Duration::from_millis(120);
    while killed < KILLS {
        scene.happen(12).await;
        let started = Instant::now();
        let mut child = Command::new(&exe)
            .args(["--exact", "killed::writer_in_a_child", "--ignored", "--quiet"])
            .env(FOLDER, scene.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(longest.mul_f64(random.random_range(0.2..1.2)));
        match child.try_wait().unwrap() {
            // It was done: this is how long one takes here and now.
            Some(status) => {
                assert!(status.success(), "{status}");
                finished += 1;
                longest = longest.min(started.elapsed());
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
                let now = files(&scene.folder().join("lake"));
                midway += usize::from(now > commits);
                commits = now;
                longest = longest.mul_f64(1.02).min(Duration::from_millis(400));
            }
        }
    }
    println!("killed {killed} times, {midway} of them after it had begun to write; {finished} times it was faster");
    assert!(midway > KILLS / 10, "only {midway} kills came after a write: the waits are too short for this machine");
    scene.sync().await;
    let events = scene.events().await;
    assert_eq!(scene.positions("events").await, (0..events.len() as u64).collect::<Vec<_>>());
    for (table, types) in [
        ("clips", vec!["clip.proposed"]),
        ("features", vec!["clip.proposed"]),
        ("decisions", vec!["clip.accepted", "clip.rejected", "clip.retrimmed", "clip.restyled"]),
    ] {
        let expected: Vec<_> = events.iter().filter(|event| types.contains(&&*event.event_type)).map(|event| event.position).collect();
        assert_eq!(scene.positions(table).await, expected, "{table}");
    }
}
