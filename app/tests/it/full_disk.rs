//! A disk that fills up while clips are made.

use crate::bad_input::SmallDisk;
use crate::film::{self, TWO_CLIPS};
use crate::resume::{lines, wait_for};
use crate::room::{Room, kind};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

#[test]
fn a_disk_that_fills_up_under_the_log_too_is_said_at_once_and_no_stage_is_done_again() {
    let Some(disk) = SmallDisk::mount("100m") else {
        eprintln!("skipped: this user cannot mount a small disk");
        return;
    };
    let room = Room::with_data(disk.folder.path().join("data"));
    // A refused file first, so that there is a log to follow.
    room.clip(film::of_bytes("empty.mp4", b""), "").refused("EMPTY", "choose the video again");
    let mut follower = room.follow();
    let lines = lines(&mut follower);
    let mut command = room.clip_command(film::talk(), TWO_CLIPS);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&lines, "video.clips_proposed", &mut run);
    let filler = disk.folder.path().join("filler");
    fill(&filler);
    let ended = run.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("error[DISK_FULL]: ") && said.contains("free some space"), "{said}");
    // How long a render takes to its first byte depends on the machine; that no second try is waited for does not.
    assert!(!said.contains("attempt=2"), "{said}");

    std::fs::remove_file(filler).unwrap();
    room.clip(film::talk(), TWO_CLIPS).succeeded();
    assert_eq!(room.clips(".mp4").len(), 2);
    let events = room.events();
    for stage in ["video.ingested", "transcript.begun", "video.analyzed", "video.clips_proposed"] {
        assert_eq!(events.iter().filter(|event| kind(event) == stage).count(), 1, "{stage}");
    }
}

/// Writes until nothing more fits, at last byte by byte.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for piece in [1 << 20, 4_096, 1] {
        let zeros = vec![0; piece];
        while file.write_all(&zeros).is_ok() {}
    }
}
