//! The WAV, loudness and prosody of a file.

use crate::generated::{Generated, PLAIN, footage, span};
use domain::artefact::Loudness;
use media::decode::{DecodeError, Track};
use media::listen::{Heard, ListenError, WAV_RATE_HZ, listen, loudness_of, read_wav};
use std::path::Path;
use std::process::Command;

fn hear(made: &Generated, path: &Path) -> (Heard, Vec<f32>) {
    let wav = made.path("heard.wav");
    let heard = listen(path, &wav, &mut |_| {}).unwrap();
    (heard, read_wav(&wav, None).unwrap())
}

/// Returns loudness as ffmpeg's `ebur128` filter measures it.
fn by_ffmpeg(path: &Path) -> Loudness {
    let run =
        Command::new("ffmpeg").args(["-nostats", "-i"]).arg(path).args(["-af", "ebur128=peak=true", "-f", "null", "-"]).output().unwrap();
    let text = String::from_utf8_lossy(&run.stderr).to_string();
    let summary = text.rsplit("Summary:").next().unwrap().to_string();
    let value = |label: &str| summary.split(label).nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    Loudness { integrated_lufs: value("I:"), range_lu: value("LRA:"), true_peak_dbtp: value("Peak:") }
}

fn check_loudness(made: &Generated, path: &Path) {
    let (ours, theirs) = (hear(made, path).0.loudness.unwrap(), by_ffmpeg(path));
    let what = format!("{}: {ours:?}, ffmpeg {theirs:?}", path.display());
    assert!((ours.integrated_lufs - theirs.integrated_lufs).abs() <= 0.15, "{what}");
    assert!((ours.range_lu - theirs.range_lu).abs() <= 0.6, "{what}");
    assert!((ours.true_peak_dbtp - theirs.true_peak_dbtp).abs() <= 0.3, "{what}");
}

#[test]
fn loudness_agrees_with_ffmpeg() {
    let made = Generated::new();
    check_loudness(&made, &made.ffmpeg("plain.mp4", PLAIN));
    let steps = "aevalsrc=exprs=0.5*sin(880*PI*t)*gt(mod(t\\,4)\\,2)+0.05*sin(500*PI*t):s=48000:c=stereo";
    check_loudness(&made, &made.ffmpeg("steps.m4a", &format!("-f lavfi -i {steps} -t 20 -c:a aac -b:a 192k")));
    for name in ["voice-42s.mp4", "stage-faces-10s.mp4"] {
        if let Some(path) = footage(name) {
            check_loudness(&made, &path);
        }
    }
}

#[test]
fn a_span_has_its_own_loudness() {
    let made = Generated::new();
    let steps = "aevalsrc=exprs=if(lt(t\\,5)\\,0.05\\,0.5)*sin(880*PI*t):s=48000";
    let path = made.ffmpeg("steps.wav", &format!("-f lavfi -i {steps} -t 10"));
    let lufs = |start, end| loudness_of(&path, span(start, end)).unwrap().unwrap().integrated_lufs;
    assert!((lufs(5.5, 9.5) - lufs(0.5, 4.5) - 20.0).abs() < 0.1);
}

#[test]
fn a_tone_has_its_pitch_and_level_over_its_whole_length() {
    let made = Generated::new();
    let path =
        made.ffmpeg("tone.mp4", "-f lavfi -i aevalsrc=exprs=0.5*sin(2*PI*if(lt(t\\,2)\\,150\\,260)*t):s=48000 -t 4 -c:a aac -b:a 192k");
    let (heard, samples) = hear(&made, &path);
    assert!((samples.len() as f64 / f64::from(WAV_RATE_HZ) - 4.0).abs() < 0.06, "{}", samples.len());
    assert!((heard.duration_us.seconds() - 4.0).abs() < 0.06);
    assert_eq!(heard.prosody.step_ms, 50);
    for (steps, hz) in [(5..35, 150.0), (45..75, 260.0)] {
        for step in steps {
            let (pitch, level) = (heard.prosody.pitch_hz[step], heard.prosody.level_db[step]);
            assert!((pitch - hz).abs() < 2.0 && (level + 9.03).abs() < 0.5, "step {step}: {pitch} Hz, {level} dB");
        }
    }
}

#[test]
fn sound_that_starts_late_is_heard_when_it_sounds() {
    let made = Generated::new();
    let path = made.ffmpeg(
        "late.mp4",
        "-f lavfi -i testsrc2=size=160x90:rate=25 -itsoffset 1.5 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 5 -map 0:v -map 1:a \
         -c:v libx264 -pix_fmt yuv420p -c:a aac",
    );
    let (_, samples) = hear(&made, &path);
    let first = samples.iter().position(|sample| sample.abs() > 0.02).unwrap() as f64 / f64::from(WAV_RATE_HZ);
    assert!((first - 1.5).abs() < 0.03, "first sound at {first}");
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    let made = Generated::new();
    let path = footage("voice-42s.mp4").unwrap_or_else(|| made.ffmpeg("plain.mp4", PLAIN));
    let bytes = |name: &str| {
        let wav = made.path(name);
        let heard = listen(&path, &wav, &mut |_| {}).unwrap();
        (serde_json::to_string(&heard).unwrap(), std::fs::read(&wav).unwrap())
    };
    assert!(bytes("one.wav") == bytes("two.wav"));
}

#[test]
fn silence_has_no_loudness_and_no_pitch() {
    let made = Generated::new();
    let path = made.ffmpeg(
        "silent.mp4",
        "-f lavfi -i testsrc2=size=160x90:rate=25 -f lavfi -i anullsrc=r=48000:cl=stereo -t 3 -c:v libx264 -pix_fmt yuv420p -c:a aac",
    );
    let (heard, samples) = hear(&made, &path);
    assert_eq!(heard.loudness, None);
    assert!(heard.prosody.pitch_hz.iter().all(|&hz| hz == 0.0) && heard.prosody.level_db.iter().all(|&db| db == -90.0));
    assert!((samples.len() as f64 / f64::from(WAV_RATE_HZ) - 3.0).abs() < 0.06);
}

#[test]
fn a_file_without_sound_says_so() {
    let made = Generated::new();
    let path = made.ffmpeg("picture.mp4", "-f lavfi -i testsrc2=size=160x90:rate=25 -t 2 -c:v libx264 -pix_fmt yuv420p");
    let refused = listen(&path, &made.path("a.wav"), &mut |_| {}).unwrap_err();
    assert!(matches!(refused, ListenError::Decode(DecodeError::Absent(Track::Sound))), "{refused:?}");
}

#[test]
fn a_voice_is_heard_where_somebody_speaks() {
    let Some(path) = footage("voice-42s.mp4") else { return };
    let made = Generated::new();
    let (heard, _) = hear(&made, &path);
    let voiced =
        |from: usize, to: usize| heard.prosody.pitch_hz[from..to].iter().filter(|&&hz| hz > 0.0).count() as f64 / (to - from) as f64;
    assert!(voiced(20, 340) > 0.35, "speech up to 18 s: {}", voiced(20, 340));
    assert!(voiced(380, 790) < 0.1, "silence from 19 s to 39 s: {}", voiced(380, 790));
}
