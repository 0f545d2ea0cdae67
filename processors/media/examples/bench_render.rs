//! Renders one captioned 9:16 clip with a moving camera, to be timed against ffmpeg doing the same:
//! `bench_render VIDEO START_SECONDS SECONDS OUT.mp4 [single|fit] [karaoke|block|clean] [RATIO]`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for people who measure")]

use domain::artefact::{
    AudioChain, AudioFacts, CameraKey, CaptionStyle, Captions, Cue, CueWord, DecisionList, EncoderSettings, FrameRate, Layout,
    LayoutSegment, MediaFacts, Picture, Ratio, VideoFacts,
};
use domain::blob::Digest;
use domain::{BlobRef, MediaTime, Span};
use std::path::Path;
use std::sync::atomic::AtomicBool;

const TEXT: &str = "the founder almost missed a mistake that cost a million dollars and that is the reason people stop watching in the \
                    first ten seconds so every creator needs three rules for better hooks";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default: &str| arguments.get(index).cloned().unwrap_or_else(|| default.to_string());
    let (start, seconds): (f64, f64) = (argument(1, "0").parse().unwrap(), argument(2, "10").parse().unwrap());
    let rate = FrameRate { numerator: 30, denominator: 1 };
    let frames = (seconds * 30.0).round() as u64;
    let ratio: Ratio = argument(6, "9:16").parse().unwrap();
    let (width, height) = ratio.pixels();
    let layout = if argument(4, "single") == "fit" { Layout::FitBlur } else { Layout::Single { camera: camera(frames) } };
    let style: CaptionStyle = argument(5, "karaoke").parse().unwrap();
    let list = DecisionList {
        version: 1,
        source: BlobRef { sha256: Digest([0; 32]), bytes: 0, media_type: "video/mp4".into() },
        ranges: vec![Span::new(MediaTime::from_seconds(start), MediaTime::from_seconds(start + seconds)).unwrap()],
        picture: Picture { ratio, width, height, frame_rate: rate, frames },
        layout: vec![LayoutSegment { first_frame: 0, frames, layout }],
        captions: (style != CaptionStyle::Clean).then(|| Captions { style, cues: cues(seconds) }),
        audio: Some(AudioChain { gain_db: 6.0, ceiling_dbtp: -1.5, target_lufs: -14.0, fade_ms: 10 }),
        encoder: EncoderSettings {
            video_encoder: "x264enc".into(),
            preset: "veryfast".into(),
            crf: 21,
            key_frame_frames: 60,
            audio_bitrate_bps: 160_000,
        },
        poster_frame: frames / 2,
    };
    let facts = MediaFacts {
        container: "mp4".into(),
        duration_us: MediaTime::from_seconds(start + seconds),
        video: Some(VideoFacts {
            codec: "h264".into(),
            width: 1920,
            height: 1080,
            frame_rate: rate,
            is_variable_rate: false,
            rotation_degrees: 0,
        }),
        audio: Some(AudioFacts { codec: "aac".into(), channels: 2, sample_rate_hz: 48_000 }),
    };
    let out = argument(3, "out.mp4");
    let rendered =
        media::encode::render(Path::new(&argument(0, "in.mp4")), &facts, &list, Path::new(&out), &mut |_| {}, &AtomicBool::new(false));
    println!("{rendered:?}");
}

/// Slow pans there and back.
fn camera(frames: u64) -> Vec<CameraKey> {
    (0..=frames / 75).map(|index| CameraKey { frame: index * 75, x: if index % 2 == 0 { 0.4 } else { 0.6 }, y: 0.5, height: 1.0 }).collect()
}

/// Four words a cue, as fast as people speak.
fn cues(seconds: f64) -> Vec<Cue> {
    let mut at = 0.1;
    let words: Vec<CueWord> = TEXT
        .split(' ')
        .cycle()
        .map_while(|text| {
            let length = 0.12 + 0.045 * text.len() as f64;
            let span = Span::new(MediaTime::from_seconds(at), MediaTime::from_seconds(at + length)).unwrap();
            at += length + 0.03;
            (at < seconds).then(|| CueWord { text: text.into(), span })
        })
        .collect();
    words
        .chunks(4)
        .map(|words| Cue {
            span: Span::new(words[0].span.start(), words[words.len() - 1].span.end()).unwrap(),
            lines: words.chunks(2).map(<[CueWord]>::to_vec).collect(),
        })
        .collect()
}
