//! Sources made by ffmpeg, decision lists, and ways to look at what comes out.

use domain::artefact::{
    AudioChain, AudioFacts, CameraKey, DecisionList, EncoderSettings, FrameRate, Layout, LayoutSegment, MediaFacts, Picture, Ratio,
    VideoFacts,
};
use domain::blob::Digest;
use domain::{BlobRef, MediaTime, Span};
use media::encode::{Rendered, render};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

/// A folder with what one test makes.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs ffmpeg with these words and the named output, and returns the output's path.
    pub(crate) fn ffmpeg(&self, arguments: &str, name: &str) -> PathBuf {
        let out = self.path(name);
        let status = Command::new("ffmpeg").args(["-y", "-v", "error"]).args(arguments.split_whitespace()).arg(&out).status().unwrap();
        assert!(status.success(), "ffmpeg {arguments}");
        out
    }

    /// 640×360 whose nine bands are the bits of the frame's number, least at the top, with B-frames; a warble for sound.
    pub(crate) fn counter(&self, rate: &str, seconds: f64, extra: &str) -> PathBuf {
        let bits =
            format!("color=black:size=16x360:rate={rate},format=yuv420p,geq=lum='16+219*mod(floor(N/pow(2,floor(Y/40))),2)':cb=128:cr=128");
        self.ffmpeg(
            &format!(
                "-f lavfi -i {bits} -f lavfi -i {WARBLE} -t {seconds} -vf {extra}scale=640:360,setsar=1 -vsync vfr \
                 -c:v libx264 -preset veryfast -bf 3 -g 90 -crf 12 -pix_fmt yuv420p -c:a aac -b:a 160k"
            ),
            "counter.mp4",
        )
    }

    /// Renders `list`, with the facts of an upright 640×360 original.
    pub(crate) fn render(&self, source: &Path, list: &DecisionList) -> Rendered {
        self.try_render(source, &facts(0), list).unwrap()
    }

    pub(crate) fn try_render(&self, source: &Path, facts: &MediaFacts, list: &DecisionList) -> anyhow::Result<Rendered> {
        render(source, facts, list, &self.path("out.mp4"), &mut |_| {}, &AtomicBool::new(false))
    }
}

/// A sweep with gaps: nothing else in it looks like a piece of it.
pub(crate) const WARBLE: &str = "aevalsrc='0.2*sin(2*PI*(300*t+40*t*t))*gt(mod(t*t,0.7),0.3)':s=48000:c=stereo";

pub(crate) fn span(start_ms: u64, end_ms: u64) -> Span {
    Span::new(MediaTime::from_millis(start_ms), MediaTime::from_millis(end_ms)).unwrap()
}

/// A list that shows the middle of the original in 9:16, a third of full size, without captions.
pub(crate) fn list(ranges: Vec<Span>, rate: (u32, u32), frames: u64) -> DecisionList {
    let camera = vec![CameraKey { frame: 0, x: 0.5, y: 0.5, height: 1.0 }];
    DecisionList {
        version: 1,
        source: BlobRef { sha256: Digest([0; 32]), bytes: 0, media_type: "video/mp4".into() },
        ranges,
        picture: Picture {
            ratio: Ratio::Portrait,
            width: 360,
            height: 640,
            frame_rate: FrameRate { numerator: rate.0, denominator: rate.1 },
            frames,
        },
        layout: vec![LayoutSegment { first_frame: 0, frames, layout: Layout::Single { camera } }],
        captions: None,
        audio: Some(AudioChain { gain_db: 0.0, ceiling_dbtp: -1.5, target_lufs: -14.0, fade_ms: 10 }),
        encoder: EncoderSettings {
            video_encoder: "x264enc".into(),
            preset: "veryfast".into(),
            crf: 18,
            key_frame_frames: 60,
            audio_bitrate_bps: 160_000,
        },
        poster_frame: 0,
    }
}

pub(crate) fn facts(rotation_degrees: u16) -> MediaFacts {
    MediaFacts {
        container: "mp4".into(),
        duration_us: MediaTime::from_millis(10_000),
        video: Some(VideoFacts {
            codec: "h264".into(),
            width: 640,
            height: 360,
            frame_rate: FrameRate { numerator: 30, denominator: 1 },
            is_variable_rate: false,
            rotation_degrees,
        }),
        audio: Some(AudioFacts { codec: "aac".into(), channels: 2, sample_rate_hz: 48_000 }),
    }
}

/// Says that a source has the colours of HD; small pictures that do not say so are taken for SD.
pub(crate) const HD: &str = "-pix_fmt yuv420p -colorspace bt709 -color_range tv -color_primaries bt709 -color_trc bt709";

/// Returns what ffmpeg writes to its standard output.
pub(crate) fn decoded(before: &str, file: &Path, after: &str) -> Vec<u8> {
    let out = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(before.split_whitespace())
        .arg("-i")
        .arg(file)
        .args(after.split_whitespace())
        .arg("-")
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// Returns the numbers that the frames of a counter carry.
pub(crate) fn counted(file: &Path) -> Vec<u64> {
    const ROWS: usize = 640;
    let columns = decoded("", file, "-vf format=gray,crop=1:640:180:0 -f rawvideo -pix_fmt gray");
    let is_lit = |column: &[u8], bit: usize| column[(2 * bit + 1) * ROWS / 18] > 126;
    columns.chunks_exact(ROWS).map(|column| (0..9).map(|bit| u64::from(is_lit(column, bit)) << bit).sum()).collect()
}

/// Returns both channels' mean at 48 kHz.
pub(crate) fn mono(before: &str, file: &Path) -> Vec<f32> {
    let bytes = decoded(before, file, "-map 0:a -ac 1 -ar 48000 -f f32le");
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// Returns one frame as RGB rows.
pub(crate) fn rgb(file: &Path, frame: u64) -> Vec<[u8; 3]> {
    let bytes = decoded("", file, &format!("-vf select=eq(n\\,{frame}) -frames:v 1 -f rawvideo -pix_fmt rgb24"));
    bytes.chunks_exact(3).map(|pixel| pixel.try_into().unwrap()).collect()
}

/// Returns the peak signal-to-noise ratio of two pictures in dB.
pub(crate) fn psnr(one: &[u8], other: &[u8]) -> f64 {
    assert_eq!(one.len(), other.len());
    let squares: f64 = one.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * one.len() as f64 / squares.max(1e-9)).log10()
}
