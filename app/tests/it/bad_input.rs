//! What cannot become clips: one clear sentence with what to do, an exit code, an event that records it, and a store that still works.

use crate::film::{self, TWO_CLIPS};
use crate::room::{Room, finish, kind};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Asserts that `video` is refused and that the log says so.
#[track_caller]
fn refuses(room: &Room, video: impl AsRef<Path>, code: &str, words: &str) {
    let before = refusals(room);
    room.clip(&video, "").refused(code, words);
    let after = refusals(room);
    assert_eq!(after.len(), before.len() + 1, "one refusal is recorded for {}", video.as_ref().display());
    assert_eq!(after.last().map(String::as_str), Some(code));
}

/// Returns the codes of the refusals on the log.
fn refusals(room: &Room) -> Vec<String> {
    if !room.path("data/log.sqlite").exists() {
        return vec![];
    }
    let events = room.events();
    let refused = events.iter().filter(|event| kind(event) == "video.refused");
    refused.map(|event| event["data"]["failure"]["code"].as_str().unwrap().to_owned()).collect()
}

/// Returns the newest failure of a stage on the log.
fn last_failure(room: &Room) -> (String, String) {
    let events = room.events();
    let failed = events.iter().rfind(|event| kind(event) == "video.stage_failed").unwrap();
    (failed["data"]["stage"].as_str().unwrap().into(), failed["data"]["failure"]["code"].as_str().unwrap().into())
}

#[test]
fn files_that_are_no_usable_video_are_refused_and_the_store_still_works() {
    let room = Room::new();
    let talk = std::fs::read(film::talk()).unwrap();
    refuses(&room, film::of_bytes("noise.mp4", &noise(5_000)), "NOT_A_VIDEO", "choose a video file");
    refuses(&room, film::of_bytes("text.mp4", b"hello, this is text\n"), "NOT_A_VIDEO", "choose a video file");
    refuses(&room, film::of_bytes("playlist.mp4", b"#EXTM3U\nfile:///etc/passwd\n"), "PLAYLIST", "the video itself");
    refuses(&room, film::of_bytes("empty.mp4", b""), "EMPTY", "choose the video again");
    refuses(&room, film::of_bytes("half.mp4", &talk[..talk.len() / 2]), "TRUNCATED", "download it again");
    let end = film::of_talk("index-last.mp4", "-i TALK -c copy -f mp4");
    let end = std::fs::read(end).unwrap();
    refuses(&room, film::of_bytes("half-without-index.mp4", &end[..end.len() / 2]), "TRUNCATED", "download it again");
    refuses(&room, film::of_talk("sound-only.m4a", "-i TALK -vn -c copy -f mp4"), "NO_PICTURE", "clips of videos");
    refuses(&room, film::of_talk("picture-only.mp4", "-i TALK -an -c copy -f mp4"), "NO_SOUND", "subtitle file");
    let ten_hours = "-f lavfi -i color=s=64x36:r=1/10:d=36000 -c:v libx264 -preset ultrafast -f mp4";
    refuses(&room, film::of_talk("ten-hours.mp4", ten_hours), "TOO_LONG", "split it first");
    let huge = "-f lavfi -i color=s=16384x32:r=1:d=4 -f lavfi -i sine=d=4 -c:v libx264 -preset ultrafast -c:a aac -shortest -f mp4";
    refuses(&room, film::of_talk("huge.mp4", huge), "TOO_MANY_PIXELS", "scale it down");

    // The same again is looked at again, and gets the same sentence.
    refuses(&room, film::of_bytes("empty.mp4", b""), "EMPTY", "choose the video again");

    // A good file under a wrong name works in the same store.
    let misnamed = room.path("talk.txt");
    std::fs::copy(film::talk(), &misnamed).unwrap();
    room.clip(misnamed, "--lengths 4-14 --count 1").succeeded();
    assert_eq!(room.clips(".mp4").len(), 1);
}

#[test]
fn names_that_lead_nowhere_are_told_before_anything_is_recorded() {
    let room = Room::new();
    room.clip("nosuch.mp4", "").refused("NO_SUCH_FILE", "check the name");
    room.clip(".", "").refused("NOT_A_FILE", "name a video file");
    room.clip(film::talk(), "--transcript nosuch.srt").refused("NO_SUCH_FILE", "check the name");
    assert!(room.events().iter().all(|event| kind(event) == "workspace.created"));
}

#[test]
fn a_wrong_command_line_exits_with_2_and_says_what_is_accepted() {
    let room = Room::new();
    for (more, words) in [
        ("--count 0", "1..=40"),
        ("--ratio 2:1", "9:16"),
        ("--style loud", "karaoke"),
        ("--lengths 60-15", "such as 15-60"),
        ("--crf 99", "0..=51"),
        ("--nosuch", "--nosuch"),
    ] {
        let ran = room.clip("talk.mp4", more);
        assert_eq!(ran.code, Some(2), "{more}: {}", ran.err);
        assert!(ran.err.contains(words), "{more}: {words:?} is not in {}", ran.err);
    }
}

#[test]
fn hostile_addresses_are_refused_without_being_asked() {
    let room = Room::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let redirector = redirecting_to("file:///etc/passwd", Arc::clone(&asked));
    for address in [
        "file:///etc/passwd",
        "ftp://example.org/talk.mp4",
        "http://127.0.0.1:9/talk.mp4",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/talk.mp4",
        "http://2130706433/talk.mp4",
        "http://user:secret@127.0.0.1/talk.mp4",
        "http://",
        &redirector,
    ] {
        refuses(&room, address, "URL_REFUSED", "give the public http(s) address of a video file");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0, "the local server was not asked");

    // With leave to use private addresses a redirect still leads to the web only.
    room.clip(&redirector, "--allow-private-addresses").refused("URL_REFUSED", "only http and https are fetched");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

/// Serves redirects to `target` and returns its address.
fn redirecting_to(target: &'static str, asked: Arc<AtomicUsize>) -> String {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/talk.mp4", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            asked.fetch_add(1, Ordering::Relaxed);
            let _request = stream.read(&mut [0; 4_096]).unwrap();
            write!(stream, "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    address
}

#[test]
fn what_the_machine_lacks_is_named_and_the_same_command_works_once_it_is_there() {
    let room = Room::new();
    let nothing = room.path("nothing");
    std::fs::create_dir(&nothing).unwrap();
    let empty = nothing.to_str().unwrap();

    room.clip(film::talk(), &format!("{TWO_CLIPS} --models {empty}")).refused("MODEL_MISSING", "clipflow models pull tiny.en");
    assert_eq!(last_failure(&room), ("STAGE_TRANSCRIBE".into(), "MODEL_MISSING".into()));

    let mut command = room.clip_command(film::talk(), TWO_CLIPS);
    command.env("GST_PLUGIN_SYSTEM_PATH_1_0", &nothing).env("GST_REGISTRY", nothing.join("registry"));
    finish(command).refused("MISSING_PLUGIN", "apt-get install");

    room.clip(film::talk(), &format!("{TWO_CLIPS} --encoder nosuchenc")).refused("BAD_ENCODER", "use x264enc");
    room.clip(film::talk(), &format!("{TWO_CLIPS} --device tpu")).refused("BAD_DEVICE", "auto, cpu or cuda:N");

    let ran = room.clip(film::talk(), TWO_CLIPS);
    ran.succeeded();
    let ingested = room.events().iter().filter(|event| kind(event) == "video.ingested").count();
    assert_eq!(ingested, 1, "the file was checked once: the job went on where it stopped");
}

#[test]
fn words_that_cannot_be_used_are_told_with_what_would_be() {
    let room = Room::new();
    room.clip(film::talk(), "--language xx").refused("UNKNOWN_LANGUAGE", "use a multilingual model");
    assert_eq!(last_failure(&room), ("STAGE_TRANSCRIBE".into(), "UNKNOWN_LANGUAGE".into()));
    for (name, bytes) in [("prose.srt", b"not\na subtitle\n".to_vec()), ("noise.srt", noise(2_000)), ("empty.srt", vec![])] {
        let subtitles = film::of_bytes(name, &bytes);
        let ran = room.clip(film::talk(), &format!("--transcript {}", subtitles.display()));
        ran.refused("UNREADABLE_SUBTITLES", "save it as SRT or WebVTT");
        assert_eq!(last_failure(&room), ("STAGE_TRANSCRIBE".into(), "UNREADABLE_SUBTITLES".into()));
    }
}

#[test]
fn a_silent_video_has_no_clips_and_the_rule_is_named() {
    let room = Room::new();
    let silent = "-f lavfi -i testsrc2=s=320x180:r=25:d=20 -f lavfi -i anullsrc=r=16000:cl=mono -c:v libx264 -preset ultrafast \
        -c:a aac -shortest -f mp4";
    let silent = film::of_talk("silent.mp4", silent);
    room.clip(&silent, "").refused("NO_CLIPS", "Nobody speaks in this video");
    assert_eq!(room.events().iter().filter(|event| kind(event) == "video.nothing_found").count(), 1);
    room.clip(&silent, "").refused("NO_CLIPS", "Nobody speaks in this video");
    assert_eq!(room.events().iter().filter(|event| kind(event) == "video.nothing_found").count(), 1, "it is known the second time");
}

#[test]
fn damage_in_the_middle_is_refused_with_its_second_and_the_store_still_works() {
    let room = Room::new();
    let matroska = film::of_talk("talk.mkv", "-i TALK -c copy -f matroska");
    for (name, whole) in [("damaged.mp4", film::talk()), ("damaged.mkv", matroska)] {
        let whole = std::fs::read(whole).unwrap();
        for (kind, damage) in [("zeros", vec![0; 50_000]), ("noise", noise(50_000)), ("much-noise", noise(whole.len() / 5))] {
            let mut bytes = whole.clone();
            let start = bytes.len() / 2;
            bytes[start..start + damage.len()].copy_from_slice(&damage);
            refuses(&room, film::of_bytes(&format!("{kind}-{name}"), &bytes), "DAMAGED", "is damaged at 0:1");
        }
    }
    room.clip(film::talk(), "--lengths 4-14 --count 1").succeeded();
}

#[test]
fn damage_that_only_decoding_shows_fails_its_clip_with_its_second() {
    let room = Room::new();
    let mut bytes = std::fs::read(film::talk()).unwrap();
    let start = inside_a_picture_between_key_frames(&film::talk());
    bytes[start..start + 400].copy_from_slice(&noise(400));
    let ran = room.clip(film::of_bytes("scratched-between.mp4", &bytes), "--lengths 20-24 --count 1");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("DAMAGED") && ran.err.contains("is damaged at 0:1"), "{}", ran.err);
    let failed = |event: &serde_json::Value| kind(event) == "clip.render_failed" && event["data"]["failure"]["code"] == "DAMAGED";
    assert!(room.events().iter().any(failed), "the clip's failure is recorded");
    assert!(room.clips(".mp4").is_empty(), "nothing that shows the damage is handed out");
}

/// Returns a place, some ten seconds into the film, that nothing but the decoder of one picture looks at.
fn inside_a_picture_between_key_frames(video: &Path) -> usize {
    let words = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,size,pos,flags", "-of", "csv=p=0"];
    let packets = film::run(Command::new("ffprobe").args(words).arg(video));
    let places = packets.lines().filter_map(|line| {
        let [at, size, place, flags, ..] = line.split(',').collect::<Vec<_>>()[..] else { return None };
        let is_right = at.parse::<f64>().ok()? > 10.0 && size.parse::<usize>().ok()? > 3_000 && !flags.contains('K');
        place.parse::<usize>().ok().filter(|_| is_right)
    });
    places.min().unwrap() + 500
}

#[test]
fn a_full_disk_is_said_and_the_job_goes_on_when_there_is_space() {
    let Some(disk) = SmallDisk::mount("1m") else {
        eprintln!("skipped: this user cannot mount a small disk");
        return;
    };
    let room = Room::with_data(disk.folder.path().join("data"));
    room.clip(film::talk(), TWO_CLIPS).refused("DISK_FULL", "free some space");

    // Room for the original and the words, not for two renditions.
    let original = std::fs::metadata(film::talk()).unwrap().len();
    disk.resize(&format!("{}k", (original + 2_500_000) / 1_024));
    let ran = room.clip(film::talk(), TWO_CLIPS);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("error[DISK_FULL]: ") && ran.err.contains("free some space"), "{}", ran.err);

    disk.resize("200m");
    room.clip(film::talk(), TWO_CLIPS).succeeded();
    assert_eq!(room.clips(".mp4").len(), 2);
}

/// A disk in memory, for root only.
pub(crate) struct SmallDisk {
    pub(crate) folder: tempfile::TempDir,
}

impl SmallDisk {
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self { folder })
    }

    fn resize(&self, size: &str) {
        film::run(Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(self.folder.path()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A failing test says why it failed, not that its disk was busy.
        drop(Command::new("umount").arg("--lazy").arg(self.folder.path()).output());
    }
}

#[test]
fn a_data_folder_that_cannot_be_one_is_told() {
    let file: PathBuf = film::of_bytes("empty.mp4", b"");
    Room::with_data(file.join("data")).clip(film::talk(), "").refused("DATA_UNUSABLE", "choose another with --data");
    let ran = Room::new().run(&["events"]);
    ran.refused("NO_DATA", "make clips first");
}

#[test]
fn a_log_of_a_newer_program_is_left_alone() {
    let room = Room::new();
    std::fs::create_dir_all(room.data()).unwrap();
    let log = rusqlite::Connection::open(room.data().join("log.sqlite")).unwrap();
    log.pragma_update(None, "user_version", 99).unwrap();
    room.clip(film::talk(), "").refused("NEWER_DATA", "use that one");
    room.run(&["events"]).refused("NEWER_DATA", "another folder with --data");
    let version: u32 = log.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

/// Returns bytes that mean nothing, the same every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}
