//! Shots, key frames and faces of a video.

use crate::generated::{Generated, facts, footage, python, span};
use domain::artefact::{MediaFacts, Shot};
use media::decode::{DecodeError, Frames, Pick, Track};
use media::look::{Seen, faces_in, look};
use std::path::Path;

const SCENEDETECT: &str = "
import json, sys
from scenedetect import ContentDetector, SceneManager, open_video
video, manager = open_video(sys.argv[1]), SceneManager()
manager.add_detector(ContentDetector())
manager.detect_scenes(video)
print(json.dumps([start.seconds for start, _ in manager.get_scene_list()][1:]))
";

fn see(path: &Path) -> (MediaFacts, Seen) {
    let facts = facts(path);
    let seen = look(path, &facts, &mut |_| {}).unwrap();
    (facts, seen)
}

fn cuts(shots: &[Shot]) -> Vec<f64> {
    shots.iter().skip(1).map(|shot| shot.span.start().seconds()).collect()
}

/// Returns the harmonic mean of precision and recall, with two frames of tolerance at 25 a second.
fn f1(found: &[f64], true_cuts: &[f64]) -> f64 {
    let hits = found.iter().filter(|at| true_cuts.iter().any(|cut| (*at - cut).abs() <= 0.08)).count() as f64;
    if found.is_empty() && true_cuts.is_empty() { 1.0 } else { 2.0 * hits / (found.len() + true_cuts.len()) as f64 }
}

#[test]
fn hard_cuts_are_found_on_their_frame_however_the_video_is_encoded() {
    let made = Generated::new();
    for (name, encode) in [
        ("scenecut.mp4", "-c:v libx264 -preset veryfast"),
        ("fixed50.mp4", "-c:v libx264 -preset veryfast -sc_threshold 0 -g 50 -keyint_min 50"),
        ("fixed33.mp4", "-c:v libx264 -preset veryfast -sc_threshold 0 -g 33 -keyint_min 33 -bf 3"),
        ("fixed250.mp4", "-c:v libx264 -preset veryfast -sc_threshold 0 -g 250"),
        ("one-key.mkv", "-c:v libx264 -preset veryfast -sc_threshold 0 -g 9999"),
        ("intra.mov", "-c:v mjpeg -q:v 4"),
        ("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 60 -c:a libopus"),
    ] {
        let (_, seen) = see(&made.six_shots(name, encode));
        let found = cuts(&seen.shots);
        assert_eq!(found.len(), 5, "{name}: {found:?}");
        assert!(found.iter().zip([2.0, 4.0, 6.0, 8.0, 10.0]).all(|(found, cut)| (found - cut).abs() < 0.03), "{name}: {found:?}");
    }
}

#[test]
fn shots_cover_the_video_and_key_frames_are_in_order() {
    let made = Generated::new();
    let (facts, seen) = see(&made.six_shots("a.mp4", "-c:v libx264 -preset veryfast"));
    assert_eq!(seen.shots[0].span.start().0, 0);
    assert_eq!(seen.shots.last().unwrap().span.end(), facts.duration_us);
    assert!(seen.shots.windows(2).all(|pair| pair[0].span.end() == pair[1].span.start()));
    assert!(seen.key_frames.windows(2).all(|pair| pair[0].at_us < pair[1].at_us) && !seen.key_frames.is_empty());
    assert!(
        seen.key_frames
            .iter()
            .all(|frame| (0.0..=1.0).contains(&frame.luma) && (0.0..=1.0).contains(&frame.motion) && frame.sharpness >= 0.0)
    );
}

#[test]
fn a_flat_picture_is_one_shot() {
    let made = Generated::new();
    let path =
        made.ffmpeg("flat.mp4", "-f lavfi -i testsrc2=size=320x180:rate=25 -t 8 -c:v libx264 -preset veryfast -g 25 -pix_fmt yuv420p");
    assert_eq!(see(&path).1.shots.len(), 1);
}

#[test]
fn shots_agree_with_pyscenedetect() {
    let made = Generated::new();
    let generated = made.six_shots("a.mp4", "-c:v libx264 -preset veryfast -sc_threshold 0 -g 250");
    for path in [Some(generated), footage("voice-42s.mp4"), footage("stage-faces-10s.mp4")].into_iter().flatten() {
        let Some(theirs) = python(SCENEDETECT, &path) else { return };
        let theirs: Vec<f64> = serde_json::from_value(theirs).unwrap();
        // PySceneDetect counts from the first picture, ClipFlow from the time at which sound and picture start together.
        let first = Frames::open(&path, None, Pick::All).unwrap().next_frame().unwrap().unwrap().at.seconds();
        let theirs: Vec<f64> = theirs.into_iter().map(|at| at + first).collect();
        let ours = cuts(&see(&path).1.shots);
        assert!(f1(&ours, &theirs) >= 0.95, "{}: ours {ours:?}, PySceneDetect {theirs:?}", path.display());
    }
}

#[test]
fn faces_on_a_stage_are_found_and_followed() {
    let Some(path) = footage("stage-faces-10s.mp4") else { return };
    let (facts, seen) = see(&path);
    assert!(seen.key_frames.iter().any(|frame| !frame.faces.is_empty()));
    let samples = faces_in(&path, &facts, span(0.0, 10.0), 5.0, &mut |_| {}).unwrap();
    assert!((45..=51).contains(&samples.len()), "{}", samples.len());
    let with_face = samples.iter().filter(|sample| !sample.faces.is_empty()).count();
    assert!(with_face >= samples.len() / 2, "{with_face} of {}", samples.len());
    assert!(samples.iter().flat_map(|sample| &sample.faces).any(|face| face.mouth_motion > 0.0));
    let inside = |value: f32| (0.0..=1.0).contains(&value);
    assert!(
        samples
            .iter()
            .flat_map(|sample| &sample.faces)
            .all(|face| inside(face.rect.x) && inside(face.rect.y) && inside(face.rect.x + face.rect.width))
    );
    let again = faces_in(&path, &facts, span(0.0, 10.0), 5.0, &mut |_| {}).unwrap();
    assert!(samples == again, "the same frames show the same faces");
}

#[test]
fn faces_of_a_turned_video_are_given_in_the_upright_picture() {
    let Some(path) = footage("stage-faces-10s.mp4") else { return };
    let made = Generated::new();
    // Stored lying on its side, with the flag that makes players turn it back.
    let lying = made.ffmpeg("lying.mp4", &format!("-i {} -t 4 -vf transpose=2 -c:v libx264 -preset veryfast -crf 16 -an", path.display()));
    let turned = made.ffmpeg("turned.mp4", &format!("-i {} -c copy -metadata:s:v:0 rotate=270", lying.display()));
    let centres = |path: &Path| {
        let samples = faces_in(path, &facts(path), span(0.0, 4.0), 2.0, &mut |_| {}).unwrap();
        samples.iter().filter_map(|sample| sample.faces.first().map(|face| face.rect.centre())).collect::<Vec<_>>()
    };
    let (upright, turned) = (centres(&path), centres(&turned));
    assert!(!upright.is_empty() && turned.len() >= upright.len() / 2, "{} {}", upright.len(), turned.len());
    let mean = |centres: &[(f32, f32)]| centres.iter().map(|centre| centre.0).sum::<f32>() / centres.len() as f32;
    assert!((mean(&upright) - mean(&turned)).abs() < 0.15, "{upright:?} {turned:?}");
}

#[test]
fn a_file_without_picture_says_so() {
    let made = Generated::new();
    let path = made.ffmpeg("sound.m4a", "-f lavfi -i sine=sample_rate=48000 -t 2 -c:a aac");
    let refused = look(&path, &facts(&path), &mut |_| {}).unwrap_err();
    assert_eq!(refused, DecodeError::Absent(Track::Picture));
}

#[test]
fn damage_in_the_middle_costs_the_damaged_part_only() {
    let made = Generated::new();
    let whole = made.six_shots("whole.mp4", "-c:v libx264 -preset veryfast -movflags +faststart");
    let mut bytes = std::fs::read(&whole).unwrap();
    let (from, to) = (bytes.len() * 45 / 100, bytes.len() * 50 / 100);
    for (index, byte) in bytes[from..to].iter_mut().enumerate() {
        *byte = (index * 7 + 13) as u8;
    }
    let (_, seen) = see(&made.bytes("damaged.mp4", &bytes));
    let found = cuts(&seen.shots);
    assert!(f1(&found, &[2.0, 4.0, 6.0, 8.0, 10.0]) > 0.7, "{found:?}");
}

#[test]
fn the_frames_of_a_span_are_exact() {
    let made = Generated::new();
    let path = made.ffmpeg("b-frames.mp4", "-f lavfi -i testsrc2=size=160x90:rate=30 -t 6 -c:v libx264 -bf 3 -g 60 -pix_fmt yuv420p");
    let mut frames = Frames::open(&path, Some(span(2.0, 3.0)), Pick::All).unwrap();
    let mut times = Vec::new();
    while let Some(frame) = frames.next_frame().unwrap() {
        times.push(frame.at.0);
    }
    let expected: Vec<u64> = (60..90).map(|index| (index * 1_000_000 + 15) / 30).collect();
    assert_eq!(times.len(), 30, "{times:?}");
    assert!(times.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= 1), "{times:?}");
}
