//! Files that are damaged in the middle: found while checking or while decoding, named by their second, never taken for whole.

use crate::generated::{Generated, footage, span};
use domain::MediaTime;
use domain::artefact::MediaFacts;
use media::child::{ChildError, Limits, Request, Runner, Survey, call};
use media::listen::Heard;
use media::look::Seen;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

/// Some seconds of a picture that is hard to encode, so that damage of kilobytes hits it and not only what is between.
const TALK: &str = "-f lavfi -i mandelbrot=size=480x270:rate=25 -f lavfi -i anoisesrc=amplitude=0.2:sample_rate=48000:seed=1 -t 10 \
    -pix_fmt yuv420p -c:a aac -b:a 96k";

fn ask<T: DeserializeOwned>(request: Request) -> Result<T, ChildError> {
    let child = Runner::Child { exe: PathBuf::from(env!("CARGO_BIN_EXE_media-child")), arguments: Vec::new() };
    call(&child, request, Limits::for_media(MediaTime::from_millis(60_000)), &mut |_| {}, &AtomicBool::new(false))
}

/// Does what is done with every video until its clips are rendered; returns at which step it was refused, with which sentence.
fn take(made: &Generated, path: &Path) -> Result<(), (&'static str, String)> {
    let path = path.to_owned();
    let at = |step| {
        move |error| match error {
            ChildError::Refused { code, message } => (step, format!("{code}: {message}")),
            other => panic!("{step}: {other}"),
        }
    };
    let facts: MediaFacts = ask(Request::Probe { path: path.clone(), limits: media::probe::Limits::default() }).map_err(at("probe"))?;
    ask::<()>(Request::CheckWhole { path: path.clone(), facts: facts.clone() }).map_err(at("check"))?;
    if facts.audio.is_some() {
        ask::<Heard>(Request::Listen { path: path.clone(), wav_out: made.path("a.wav") }).map_err(at("listen"))?;
    }
    ask::<Seen>(Request::Look { path: path.clone(), facts: facts.clone() }).map_err(at("look"))?;
    let middle = facts.duration_us.seconds() / 2.0;
    for (start, end) in [(0.0, middle), (middle, facts.duration_us.seconds())] {
        let request = Request::Survey { path: path.clone(), facts: facts.clone(), span: span(start, end), rate: 5.0 };
        ask::<Survey>(request).map_err(at("render"))?;
    }
    Ok(())
}

/// Writes over a part of a file, from half of it on.
fn damaged(made: &Generated, whole: &Path, name: &str, damage: &[u8]) -> PathBuf {
    let mut bytes = std::fs::read(whole).unwrap();
    let start = bytes.len() / 2;
    bytes[start..start + damage.len()].copy_from_slice(damage);
    made.bytes(name, &bytes)
}

/// Returns when the picture or sound at a place in the file is shown or heard.
fn time_at(path: &Path, place: u64) -> f64 {
    let words = ["-v", "error", "-of", "csv=p=0", "-show_entries", "packet=pts_time,pos"];
    let listed = Command::new("ffprobe").args(words).arg(path).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let packets = listed.lines().filter_map(|line| {
        let (at, rest) = line.split_once(',')?;
        Some((rest.trim_end_matches(',').parse::<u64>().ok()?, at.parse::<f64>().ok()?))
    });
    packets.filter(|(start, _)| *start <= place).max_by_key(|(start, _)| *start).unwrap().1
}

fn noise(length: usize) -> Vec<u8> {
    (0..length as u32).map(|index| (index.wrapping_add(17).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Returns the seconds in "… is damaged at 1:15.500; …".
fn named_seconds(sentence: &str) -> f64 {
    let (_, rest) = sentence.split_once("damaged at ").unwrap_or_else(|| panic!("no place is named: {sentence}"));
    let (minutes, rest) = rest.split_once(':').unwrap();
    minutes.parse::<f64>().unwrap() * 60.0 + rest.split_once(';').unwrap().0.parse::<f64>().unwrap()
}

#[test]
fn zeros_and_noise_in_the_middle_are_refused_with_their_second() {
    let made = Generated::new();
    let encodings = [
        ("h264.mp4", "-c:v libx264 -preset veryfast -bf 2"),
        ("h265.mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1"),
        ("h264.mkv", "-c:v libx264 -preset veryfast"),
        ("without-checksums.mkv", "-c:v libx264 -preset veryfast -write_crc32 0"),
        ("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -c:a libopus"),
    ];
    for (name, encode) in encodings {
        let whole = made.ffmpeg(name, &format!("{TALK} {encode}"));
        assert_eq!(take(&made, &whole), Ok(()), "{name} before it is damaged");
        let expected = time_at(&whole, std::fs::metadata(&whole).unwrap().len() / 2);
        for (kind, damage) in [("zeros", vec![0; 30_000]), ("noise", noise(30_000)), ("few zeros", vec![0; 4_096])] {
            let refused = take(&made, &damaged(&made, &whole, &format!("damaged-{name}"), &damage));
            let (step, sentence) = refused.expect_err(&format!("{name} with {kind}"));
            eprintln!("{name} with {kind}: {step} says {sentence:?}; it is at {expected:.3} s");
            assert!(sentence.starts_with("DAMAGED: ") && sentence.contains("export or download it again"), "{sentence}");
            let named = named_seconds(&sentence);
            // The checksum of WebM tells of a whole cluster only.
            let is_early = named < expected - 1.0 && name != "vp9.webm";
            assert!(!is_early && named <= expected + 1.0, "{name} with {kind}: {sentence}; it is at {expected} s");
        }
    }
}

#[test]
fn noise_inside_one_picture_is_found_when_that_picture_is_decoded_and_not_in_other_clips() {
    let made = Generated::new();
    // CAVLC, where noise soon contradicts itself, and without pictures that nobody refers to: the look for faces leaves those out, and the encoder's reading finds damage in them.
    let whole = made.ffmpeg("whole.mp4", &format!("{TALK} -c:v libx264 -preset veryfast -g 25 -bf 0 -coder 0 -b:v 4M -an"));
    let place = std::fs::metadata(&whole).unwrap().len() / 2;
    let path = damaged(&made, &whole, "damaged.mp4", &noise(400));
    let at = time_at(&whole, place);
    let facts: MediaFacts = ask(Request::Probe { path: path.clone(), limits: media::probe::Limits::default() }).unwrap();
    let faces =
        |from: f64, to: f64| ask::<Survey>(Request::Survey { path: path.clone(), facts: facts.clone(), span: span(from, to), rate: 5.0 });
    assert!(faces(0.0, at.floor() - 1.0).is_ok(), "what is before is whole");
    assert!(faces(at.ceil() + 1.3, 10.0).is_ok(), "what is after the next key frame is whole");
    let refused = faces((at - 1.0).max(0.0), at + 1.0).unwrap_err();
    assert!((named_seconds(&refused.to_string()) - at).abs() < 1.0, "{refused}; it is at {at} s");
}

#[test]
fn what_the_sentence_advises_gives_a_file_that_is_taken() {
    let made = Generated::new();
    let whole = made.ffmpeg("whole.mp4", &format!("{TALK} -c:v libx264 -preset veryfast -bf 2 -movflags +faststart"));
    let path = damaged(&made, &whole, "VIDEO.mp4", &vec![0; 30_000]);
    let (_, sentence) = take(&made, &path).unwrap_err();
    let (_, command) = sentence.split_once("ffmpeg ").unwrap();
    let command = command.replace("VIDEO", path.to_str().unwrap()).replace(" PART.mkv", "");
    assert_eq!(take(&made, &made.ffmpeg("PART.mkv", &command)), Ok(()));
}

#[test]
fn good_files_of_every_kind_are_taken() {
    let made = Generated::new();
    let open = made.ffmpeg("open.mp4", &format!("{TALK} -c:v libx264 -preset veryfast -x264-params open-gop=1:bframes=3:keyint=40"));
    let late = |name: &str| made.ffmpeg(name, &format!("-ss 3.3 -i {} -c copy -copyinkf", open.display()));
    let lying = made.ffmpeg("lying.mp4", &format!("-i {} -c copy -metadata:s:v:0 rotate=270", open.display()));
    let variable = "-vf select=lt(n\\,60)+not(mod(n\\,3)) -vsync vfr -c:v libx264 -preset veryfast";
    let generated = [
        late("late.mkv"),
        late("late.mp4"),
        lying,
        open,
        made.ffmpeg("variable.mp4", &format!("{TALK} {variable}")),
        made.ffmpeg("variable.mkv", &format!("{TALK} {variable}")),
        made.ffmpeg("fragments.mp4", &format!("{TALK} -c:v libx264 -preset veryfast -movflags frag_keyframe+empty_moov")),
        made.ffmpeg("open-h265.mp4", &format!("{TALK} -c:v libx265 -preset ultrafast -x265-params log-level=none:open-gop=1:keyint=40")),
        made.ffmpeg("live.mkv", &format!("{TALK} -c:v libx264 -preset veryfast -live 1 -f matroska")),
        made.ffmpeg("packets.ts", &format!("{TALK} -c:v libx264 -preset veryfast")),
        made.ffmpeg("intra.mov", &format!("{TALK} -c:v mjpeg -q:v 4 -c:a pcm_s16le")),
        made.ffmpeg("old.avi", &format!("{TALK} -c:v mpeg4 -c:a mp3")),
        made.ffmpeg("flat.mp4", "-f lavfi -i color=size=320x180:rate=25 -f lavfi -i anullsrc -t 10 -c:v libx264 -pix_fmt yuv420p -c:a aac"),
        made.ffmpeg("slow.mp4", "-f lavfi -i testsrc2=size=320x180:rate=1/4 -f lavfi -i sine -t 12 -c:v libx264 -pix_fmt yuv420p -c:a aac"),
    ];
    let real = [footage("voice-42s.mp4"), footage("stage-faces-10s.mp4")].into_iter().flatten();
    for path in generated.into_iter().chain(real) {
        assert_eq!(take(&made, &path), Ok(()), "{}", path.display());
    }
}

#[test]
fn a_file_that_was_cut_off_says_where_it_ends() {
    let made = Generated::new();
    let whole = made.ffmpeg("whole.mkv", &format!("{TALK} -c:v libx264 -preset veryfast"));
    let bytes = std::fs::read(&whole).unwrap();
    let place = bytes.len() * 6 / 10;
    let (step, sentence) = take(&made, &made.bytes("cut.mkv", &bytes[..place])).unwrap_err();
    let (_, end) = sentence.split_once("ends at 0:0").unwrap_or_else(|| panic!("{step}: {sentence}"));
    let end: f64 = end.split_once(')').unwrap().0.parse().unwrap();
    assert!(sentence.starts_with("TRUNCATED: ") && (end - time_at(&whole, place as u64)).abs() < 0.5, "{sentence}");
}
