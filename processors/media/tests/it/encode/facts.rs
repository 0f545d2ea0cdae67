//! What the file says about itself, and what happens when there can be none.

use super::bench::{Bench, facts, list, span};
use media::encode::{Cancelled, preview_webm, render};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

fn probe(file: &Path) -> Value {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-show_streams", "-show_format", "-count_frames", "-of", "json"])
        .arg(file)
        .output()
        .unwrap();
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Names of boxes in the order of the file, those inside `moov` too.
fn boxes(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at + 8 <= bytes.len() {
        let short = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let name = String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned();
        let size = if short == 1 { u64::from_be_bytes(bytes[at + 8..at + 16].try_into().unwrap()) as usize } else { short };
        assert!(size >= 8 && at + size <= bytes.len(), "{name} at {at} has {size} bytes");
        names.push(name.clone());
        if ["moov", "trak", "mdia", "minf", "stbl"].contains(&name.as_str()) {
            names.extend(boxes(&bytes[at + 8..at + size]));
        }
        at += size;
    }
    assert_eq!(at, bytes.len(), "boxes fill the file");
    names
}

#[test]
fn a_rendition_is_what_platforms_ask_for() {
    let bench = Bench::new();
    let source = bench.counter("30", 8.0, "");
    let list = list(vec![span(2_000, 5_000)], (30, 1), 90);
    let rendered = bench.render(&source, &list);
    let found = probe(&rendered.video);
    let (video, audio) = (&found["streams"][0], &found["streams"][1]);
    for (key, expected) in [
        ("codec_name", "h264"),
        ("profile", "High"),
        ("pix_fmt", "yuv420p"),
        ("sample_aspect_ratio", "1:1"),
        ("r_frame_rate", "30/1"),
        ("avg_frame_rate", "30/1"),
        ("color_range", "tv"),
        ("color_space", "bt709"),
        ("color_transfer", "bt709"),
        ("color_primaries", "bt709"),
        ("start_time", "0.000000"),
        ("duration", "3.000000"),
        ("nb_read_frames", "90"),
    ] {
        assert_eq!(video[key], expected, "{key}");
    }
    for (key, expected) in [
        ("codec_name", "aac"),
        ("profile", "LC"),
        ("sample_rate", "48000"),
        ("channel_layout", "stereo"),
        ("start_time", "0.000000"),
        ("duration", "3.000000"),
    ] {
        assert_eq!(audio[key], expected, "{key}");
    }
    assert_eq!((video["width"].as_u64(), video["height"].as_u64()), (Some(360), Some(640)));
    assert!(video["has_b_frames"].as_u64() > Some(0), "B-frames are used");
    let bytes = std::fs::read(&rendered.video).unwrap();
    assert_eq!(rendered.bytes, bytes.len() as u64);
    let names = boxes(&bytes);
    assert!(!names.iter().any(|name| name == "edts" || name == "elst"), "{names:?}");
    assert_eq!(names.iter().filter(|name| ["ftyp", "moov", "mdat"].contains(&name.as_str())).collect::<Vec<_>>(), ["ftyp", "moov", "mdat"]);
}

#[test]
fn key_frames_are_at_most_as_far_apart_as_asked() {
    let bench = Bench::new();
    let source = bench.ffmpeg("-f lavfi -i testsrc2=size=640x360:rate=30 -t 5 -c:v libx264 -preset veryfast -pix_fmt yuv420p", "in.mp4");
    let mut list = list(vec![span(0, 5_000)], (30, 1), 150);
    list.audio = None;
    let rendered = bench.render(&source, &list);
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries", "packet=flags", "-of", "csv=p=0"])
        .arg(&rendered.video)
        .output()
        .unwrap();
    let keys: Vec<usize> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .enumerate()
        .filter(|(_, flags)| flags.contains('K'))
        .map(|(index, _)| index)
        .collect();
    assert!(keys[0] == 0 && keys.windows(2).all(|pair| pair[1] - pair[0] <= 60) && keys.len() >= 3, "{keys:?}");
    assert_eq!(probe(&rendered.video)["streams"].as_array().unwrap().len(), 1, "no sound, no track");
}

#[test]
fn the_same_list_gives_the_same_bytes() {
    let bench = Bench::new();
    let source = bench.counter("30", 4.0, "");
    let list = list(vec![span(500, 2_500)], (30, 1), 60);
    let first = std::fs::read(bench.render(&source, &list).video).unwrap();
    assert!(first == std::fs::read(bench.render(&source, &list).video).unwrap());
}

#[test]
fn a_cancelled_render_leaves_nothing_behind() {
    let bench = Bench::new();
    let source = bench.counter("30", 4.0, "");
    let list = list(vec![span(0, 4_000)], (30, 1), 120);
    let cancel = AtomicBool::new(false);
    let mut heard = 0.0;
    let mut progress = |part| {
        heard = part;
        cancel.store(part > 0.25, std::sync::atomic::Ordering::Relaxed);
    };
    let refused = render(&source, &facts(0), &list, &bench.path("out.mp4"), &mut progress, &cancel).unwrap_err();
    assert!(refused.is::<Cancelled>(), "{refused:#}");
    assert!((0.25..0.3).contains(&heard));
    let left: Vec<_> = std::fs::read_dir(bench.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["counter.mp4"]);
}

#[test]
fn an_encoder_that_is_not_there_is_named() {
    let bench = Bench::new();
    let source = bench.counter("30", 1.0, "");
    let mut list = list(vec![span(0, 1_000)], (30, 1), 30);
    list.encoder.video_encoder = "nosuchenc".into();
    let refused = bench.try_render(&source, &facts(0), &list).unwrap_err();
    assert!(refused.to_string().starts_with("the video encoder nosuchenc is not installed on this machine; use x264enc"), "{refused:#}");
    list.encoder.video_encoder = "jpegenc".into();
    assert!(bench.try_render(&source, &facts(0), &list).unwrap_err().to_string().starts_with("jpegenc does not encode H.264"));
}

#[test]
fn another_encoder_that_is_there_is_used() {
    let bench = Bench::new();
    let source = bench.counter("30", 3.0, "");
    let mut list = list(vec![span(1_000, 2_000)], (30, 1), 30);
    list.encoder.video_encoder = "openh264enc".into();
    let rendered = bench.render(&source, &list);
    assert_eq!(super::bench::counted(&rendered.video), (30..60).collect::<Vec<_>>());
}

#[test]
fn a_broken_source_is_refused_in_words() {
    let bench = Bench::new();
    let broken = bench.path("broken.mp4");
    std::fs::write(&broken, vec![7; 10_000]).unwrap();
    let list = list(vec![span(0, 1_000)], (30, 1), 30);
    let refused = bench.try_render(&broken, &facts(0), &list).unwrap_err();
    assert!(format!("{refused:#}").contains("broken.mp4"), "{refused:#}");
    assert!(!bench.path("out.mp4").exists());
}

#[test]
fn a_preview_is_a_small_webm_of_the_same_length() {
    let bench = Bench::new();
    let source = bench.counter("30", 4.0, "");
    let mut list = list(vec![span(500, 2_500)], (30, 1), 60);
    let rendered = bench.render(&source, &list);
    let out = bench.path("preview.webm");
    preview_webm(&rendered.video, &list, &out, &AtomicBool::new(false)).unwrap();
    let found = probe(&out);
    let (video, audio) = (&found["streams"][0], &found["streams"][1]);
    assert_eq!((video["codec_name"].as_str(), audio["codec_name"].as_str()), (Some("vp8"), Some("vorbis")));
    assert_eq!((video["width"].as_u64(), video["height"].as_u64()), (Some(120), Some(214)));
    assert_eq!(video["nb_read_frames"], "60");
    assert!(std::fs::metadata(&out).unwrap().len() < rendered.bytes);
    list.audio = None;
    let silent = bench.render(&source, &list);
    preview_webm(&silent.video, &list, &out, &AtomicBool::new(false)).unwrap();
    assert_eq!(probe(&out)["streams"].as_array().unwrap().len(), 1);
    let refused = preview_webm(&rendered.video, &list, &out, &AtomicBool::new(true)).unwrap_err();
    assert!(refused.is::<Cancelled>());
}
