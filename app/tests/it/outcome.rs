//! What good input gives.

use crate::film;
use crate::room::{Room, kind};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

#[test]
fn a_voice_that_stops_gives_a_clip_of_what_it_says_and_none_of_the_silence() {
    let Some(voice) = film::footage("voice-42s.mp4") else { return };
    let room = Room::new();
    let ran = room.clip(voice, "--json");
    ran.succeeded();
    let clips = clips(&ran.out);
    assert!(!clips.is_empty());
    for clip in &clips {
        let end_s = seconds(&clip["span"]["end_us"]);
        assert!(end_s < 19.0, "the voice ends after 18 s, the clip at {end_s} s");
    }
}

#[test]
fn ten_seconds_of_music_give_no_clips_and_the_rule_is_named() {
    let Some(stage) = film::footage("stage-faces-10s.mp4") else { return };
    let room = Room::new();
    room.clip(stage, "").refused("NO_CLIPS", "a clip needs at least 15 s");
    let found: Vec<_> = room.events().into_iter().filter(|event| kind(event) == "video.nothing_found").collect();
    assert_eq!(found.len(), 1);
    assert!(found[0]["data"]["explanation"].as_str().unwrap().contains("at least 15 s"));
}

#[test]
fn a_clip_in_four_ratios_is_what_platforms_take() {
    let room = Room::new();
    let ran = room.clip(film::talk(), "--lengths 4-14 --count 1 --ratio 9:16,1:1,16:9,4:5,9:16 --style block --json");
    ran.succeeded();
    let clips = clips(&ran.out);
    assert_eq!(clips.len(), 1);
    let length_s = seconds(&clips[0]["span"]["end_us"]) - seconds(&clips[0]["span"]["start_us"]);
    assert!((4.0..=14.5).contains(&length_s), "{length_s} s");
    assert!(!clips[0]["reasons"].as_array().unwrap().is_empty(), "it says why");
    let renditions = clips[0]["renditions"].as_array().unwrap();
    assert_eq!(renditions.len(), 4);
    for rendition in renditions {
        let file = room.path(rendition["file"].as_str().unwrap());
        assert_eq!(rendition["bytes"], json!(std::fs::metadata(&file).unwrap().len()));
        assert!(rendition["decisions"]["source"].is_object(), "the decision list is there");
        let (width, height) = looks_right(&file, length_s);
        let shape = f64::from(width) / f64::from(height);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let wanted = [("9x16", 9.0 / 16.0), ("1x1", 1.0), ("16x9", 16.0 / 9.0), ("4x5", 0.8)];
        let (_, wanted) = wanted.into_iter().find(|(ratio, _)| name.contains(&format!(".{ratio}."))).unwrap();
        assert!((shape - wanted).abs() < 0.01, "{name} is {width}×{height}");
        for ending in ["jpg", "srt", "vtt", "ass", "decisions.json"] {
            assert!(file.with_extension(ending).metadata().unwrap().len() > 0, "{name} has its .{ending}");
        }
    }
}

/// Asserts what every player expects and returns the size of the picture.
#[track_caller]
fn looks_right(file: &Path, length_s: f64) -> (u32, u32) {
    let arguments = ["-v", "error", "-of", "json", "-show_streams", "-show_format"];
    let facts: Value = serde_json::from_str(&film::run(Command::new("ffprobe").args(arguments).arg(file))).unwrap();
    let stream = |kind: &str| facts["streams"].as_array().unwrap().iter().find(|stream| stream["codec_type"] == kind).unwrap();
    let (picture, sound) = (stream("video"), stream("audio"));
    assert_eq!(picture["codec_name"], "h264");
    assert_eq!(picture["pix_fmt"], "yuv420p");
    assert_eq!(sound["codec_name"], "aac");
    assert_eq!(sound["sample_rate"], "48000");
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let frame_s = 1.0 / 25.0;
    let duration_s = number(&picture["duration"]);
    assert!((duration_s - length_s).abs() <= frame_s + 0.001, "{duration_s} s instead of {length_s} s");
    assert!((number(&picture["start_time"]) - number(&sound["start_time"])).abs() < 0.02, "sound and picture begin together");
    let side = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    (side(&picture["width"]), side(&picture["height"]))
}

#[test]
fn words_with_times_need_no_model_and_words_without_need_it_for_their_times_only() {
    let sentences = [
        (0.3, 6.0, "Why do most teams lose their best idea in the first week? Because nobody writes it down."),
        (6.2, 12.5, "We lost two million dollars in a single night. The reason was one line in a file that nobody had read."),
        (12.8, 18.0, "Now let us talk about music. A good song repeats itself, but never in the same way."),
    ];
    let room = Room::new();
    let timed = room.path("words.json");
    std::fs::write(&timed, whisper_json(&sentences).to_string()).unwrap();
    let nothing = room.path("nothing");
    std::fs::create_dir(&nothing).unwrap();
    let settings = "--lengths 4-14 --count 1";
    room.clip(film::talk(), &format!("{settings} --transcript words.json --models {}", nothing.display())).succeeded();

    let untimed: String = (1..)
        .zip(&sentences)
        .map(|(number, (start, end, text))| format!("{number}\n{} --> {}\n{text}\n\n", clock(*start), clock(*end)))
        .collect();
    std::fs::write(room.path("words.srt"), untimed).unwrap();
    room.clip(film::talk(), &format!("{settings} --transcript words.srt")).succeeded();

    let events = room.events();
    let of_kind = |wanted: &str| events.iter().filter(|event| kind(event) == wanted).count();
    assert_eq!((of_kind("transcript.imported"), of_kind("transcript.begun"), of_kind("transcript.chunk_requested")), (2, 0, 0));
    let captions = room.clips(".srt").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>().to_lowercase();
    assert!(["writes it", "million", "music"].iter().any(|words| captions.contains(words)), "{captions}");
}

/// Returns sentences with evenly spread word times, as Whisper writes them.
fn whisper_json(sentences: &[(f64, f64, &str)]) -> Value {
    let segments = sentences.iter().map(|(start, end, text)| {
        let words: Vec<_> = text.split(' ').collect();
        let step = (end - start) / words.len() as f64;
        let times = |index: usize| (start + step * index as f64, start + step * (index + 1) as f64);
        let words = words
            .iter()
            .enumerate()
            .map(|(index, word)| json!({"word": format!(" {word}"), "start": times(index).0, "end": times(index).1}));
        json!({"start": start, "end": end, "text": text, "words": words.collect::<Vec<_>>()})
    });
    json!({"language": "en", "segments": segments.collect::<Vec<_>>()})
}

fn clock(seconds: f64) -> String {
    let millis = (seconds * 1e3) as u64;
    format!("00:{:02}:{:02},{:03}", millis / 60_000, millis / 1_000 % 60, millis % 1_000)
}

#[test]
fn every_command_says_what_it_does() {
    let room = Room::new();
    for (words, says) in [
        ("--help", "captioned vertical clips"),
        ("clip --help", "prints why each was chosen"),
        ("serve --help", "GraphQL"),
        ("events --help", "CloudEvents"),
        ("models --help", "hear speech"),
        ("models pull --help", "Downloads a model"),
        ("models import --help", "from a folder"),
        ("projections --help", "read models"),
        ("projections rebuild --help", "again"),
        ("migrate --help", "Cassandra"),
        ("doctor --help", "everything needed is installed"),
        ("schema --help", "GraphQL schema"),
    ] {
        let ran = room.run(&words.split(' ').collect::<Vec<_>>());
        ran.succeeded();
        assert!(ran.out.contains(says), "{words}: {says:?} is not in\n{}", ran.out);
    }
}

#[test]
fn the_doctor_finds_this_machine_ready_or_says_what_to_do() {
    let ran = Room::new().run(&["doctor"]);
    match ran.code {
        Some(0) => assert!(!ran.out.contains("MISSING")),
        _ => ran.refused("NOT_READY", "what to do stands beside each"),
    }
}

fn clips(json: &str) -> Vec<Value> {
    let parsed: Value = serde_json::from_str(json).unwrap();
    parsed["clips"].as_array().unwrap().clone()
}

fn seconds(micros: &Value) -> f64 {
    micros.as_f64().unwrap_or_else(|| panic!("{micros} is a number of microseconds")) / 1e6
}
