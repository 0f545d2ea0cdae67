//! What is heard, when, and how loud.

use super::bench::{Bench, WARBLE, decoded, facts, list, mono, span};
use domain::artefact::AudioChain;
use media::listen::loudness_of;
use std::path::Path;
use std::process::Command;

/// Returns by how many samples `late` comes after `early`, by the largest correlation within `reach`.
fn lag(early: &[f32], late: &[f32], reach: i64) -> i64 {
    let first = reach as usize;
    let window = &early[first..early.len() - first];
    let likeness = |shift: i64| -> f32 {
        let from = (first as i64 + shift) as usize;
        window.iter().zip(&late[from..]).map(|(a, b)| a * b).sum()
    };
    (-reach..=reach).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b))).unwrap()
}

#[test]
fn sound_and_picture_start_together() {
    let bench = Bench::new();
    for container in ["mp4", "mkv"] {
        let counter = bench.counter("30", 8.0, "");
        let source = bench.ffmpeg(&format!("-i {} -c copy", counter.display()), &format!("in.{container}"));
        let rendered = bench.render(&source, &list(vec![span(3_100, 6_100)], (30, 1), 90));
        let before = mono("-ss 3.1 -t 3", &source);
        let after = mono("", &rendered.video);
        assert_eq!(after.len().div_ceil(1_024), (3 * 48_000_usize).div_ceil(1_024), "as long as the picture");
        let late = lag(&before[4_800..76_800], &after[4_800..76_800], 2_400);
        // 960 samples are 20 ms.
        assert!(late.abs() <= 48, "{container}: sound is {late} samples late");
    }
}

#[test]
fn loudness_is_what_was_aimed_at_and_no_peak_passes_the_ceiling() {
    let bench = Bench::new();
    // Quiet speech-like noise with loud clicks: a plain gain would clip.
    let noise = "aevalsrc='0.1*(random(0)-0.5)*(1+sin(2*PI*3*t))+0.5*lt(mod(t,0.9),0.001)*sin(2*PI*3000*t)':s=48000:c=stereo";
    let source = bench.ffmpeg(
        &format!("-f lavfi -i color=gray:size=640x360:rate=30 -f lavfi -i {noise} -t 6 -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a flac -strict -2"),
        "in.mp4",
    );
    let before = loudness_of(&source, span(0, 6_000)).unwrap().unwrap();
    let mut list = list(vec![span(0, 6_000)], (30, 1), 180);
    list.audio = Some(AudioChain { gain_db: -14.0 - before.integrated_lufs, ceiling_dbtp: -1.5, target_lufs: -14.0, fade_ms: 10 });
    let rendered = bench.render(&source, &list);
    let after = rendered.loudness.unwrap();
    assert!((after.integrated_lufs + 14.0).abs() < 1.0, "{after:?}");
    assert!(after.true_peak_dbtp <= -1.5 + 0.3, "{after:?}");
    let outside = measured_by_ffmpeg(&rendered.video);
    assert!((outside.0 - after.integrated_lufs).abs() < 0.3 && outside.1 <= -1.2 + 0.05, "ffmpeg measures {outside:?}, we {after:?}");
    if let Some(lufs) = measured_by_pyloudnorm(&bench, &rendered.video) {
        assert!((lufs + 14.0).abs() < 1.0, "pyloudnorm measures {lufs} LUFS");
    }
}

/// Integrated loudness and true peak by ffmpeg's `ebur128`.
fn measured_by_ffmpeg(file: &Path) -> (f64, f64) {
    let out = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(file)
        .args(["-map", "0:a", "-af", "ebur128=peak=true:framelog=verbose", "-f", "null", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let value = |key: &str| {
        let at = text.rfind(key).unwrap() + key.len();
        text.get(at..).unwrap().split_whitespace().next().unwrap().parse::<f64>().unwrap()
    };
    (value("I: "), value("Peak: "))
}

/// Integrated loudness by pyloudnorm, where Python has it.
fn measured_by_pyloudnorm(bench: &Bench, file: &Path) -> Option<f64> {
    let raw = bench.path("out.f32");
    std::fs::write(&raw, decoded("", file, "-map 0:a -ar 48000 -ac 2 -f f32le")).unwrap();
    let script = "import sys, numpy, pyloudnorm; x = numpy.fromfile(sys.argv[1], numpy.float32).reshape(-1, 2); \
                  print(pyloudnorm.Meter(48000).integrated_loudness(x))";
    crate::generated::python(script, &raw)?.as_f64()
}

#[test]
fn real_speech_comes_out_at_the_target() {
    let Some(source) = crate::generated::footage("voice-42s.mp4") else { return };
    let bench = Bench::new();
    let taken = span(2_000, 14_000);
    let before = loudness_of(&source, taken).unwrap().unwrap();
    let mut list = list(vec![taken], (30, 1), 360);
    list.audio = Some(AudioChain { gain_db: -14.0 - before.integrated_lufs, ceiling_dbtp: -1.5, target_lufs: -14.0, fade_ms: 10 });
    let rendered = bench.render(&source, &list);
    let (lufs, peak) = measured_by_ffmpeg(&rendered.video);
    assert!((lufs + 14.0).abs() < 1.0 && peak <= -1.2, "{lufs} LUFS, {peak} dBTP, before {before:?}");
    if let Some(lufs) = measured_by_pyloudnorm(&bench, &rendered.video) {
        assert!((lufs + 14.0).abs() < 1.0, "pyloudnorm measures {lufs} LUFS");
    }
    let (early, late) = (mono("-ss 2 -t 12", &source), mono("", &rendered.video));
    let late = lag(&early[48_000..144_000], &late[48_000..144_000], 2_400);
    assert!(late.abs() <= 48, "sound is {late} samples late");
}

#[test]
fn mono_other_rates_and_missing_starts_are_filled() {
    let bench = Bench::new();
    // The sound begins two seconds late, in mono at 22.05 kHz.
    let source = bench.ffmpeg(
        &format!("-f lavfi -i color=gray:size=640x360:rate=30 -itsoffset 2 -f lavfi -i {WARBLE} -t 6 -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a libmp3lame -ac 1 -ar 22050"),
        "in.mkv",
    );
    let sound = mono("", &bench.render(&source, &list(vec![span(1_000, 5_000)], (30, 1), 120)).video);
    let energy = |from: usize, to: usize| sound[from..to].iter().map(|sample| sample * sample).sum::<f32>() / (to - from) as f32;
    assert!(energy(2_000, 45_000) < 1e-6, "silence before it begins");
    assert!(energy(50_000, 180_000) > 1e-4, "then sound");
}

#[test]
fn loudness_of_silence_is_none() {
    let bench = Bench::new();
    let source = bench.ffmpeg(
        "-f lavfi -i color=gray:size=640x360:rate=30 -f lavfi -i anullsrc=r=48000:cl=stereo -t 3 -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a aac",
        "in.mp4",
    );
    assert_eq!(loudness_of(&source, span(0, 2_000)).unwrap(), None);
    let rendered = bench.try_render(&source, &facts(0), &list(vec![span(0, 2_000)], (30, 1), 60)).unwrap();
    assert_eq!(rendered.loudness, None);
}
