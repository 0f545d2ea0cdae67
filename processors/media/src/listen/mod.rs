//! Hears a whole file in one decode: a 16 kHz mono WAV for transcription, loudness and prosody.
//!
//! Memory does not grow with the length of the file, apart from the prosody tracks (12 bytes per 50 ms).

mod pitch;
mod prosody;
mod wav;

pub use wav::{WAV_RATE_HZ, WavError, read_wav};

use crate::decode::{Chunk, DecodeError, Opened, Pcm, Sound, Track, Wanted, as_chunk};
use crate::probe;
use domain::artefact::{Loudness, Prosody};
use domain::{MediaTime, Span};
use ebur128::{EbuR128, Mode};
use gstreamer_app as gst_app;
use prosody::ProsodyMeter;
use serde::{Deserialize, Serialize};
use std::path::Path;
use thiserror::Error;
use wav::WavWriter;

/// One decode, two readers. Dithering is off, because the same file must give the same bytes.
const CHAIN: &str = "tee name=first \
    first. ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=2000000000 ! audioconvert dithering=none ! audioresample \
    ! audio/x-raw,format=F32LE,layout=interleaved,rate=16000,channels=1 ! appsink name=voice sync=false max-buffers=64 enable-last-sample=false \
    first. ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=2000000000 ! audioconvert dithering=none \
    ! audio/x-raw,format=F32LE,layout=interleaved ! appsink name=whole sync=false max-buffers=64 enable-last-sample=false";

/// Time stamps may be this far from the sample count before a gap is filled: AAC frames last 21 ms, and jitter is no gap.
const GAP_TOLERANCE_SAMPLES: u64 = 400;

/// A recording that was stopped ends within a unit: what cannot be decoded this near the end is not missed.
const LAST_MOMENT: MediaTime = MediaTime::from_millis(500);

/// Silence that fills gaps is written in pieces of this many samples.
const SILENCE_SAMPLES: usize = 16_000;

/// What was heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Of the whole sound; `None` if it is silent.
    pub loudness: Option<Loudness>,
    /// Level, pitch and noisiness over time.
    pub prosody: Prosody,
    /// How long the sound is, from stream time zero.
    pub duration_us: MediaTime,
}

/// Why a file could not be heard.
#[derive(Debug, Error)]
pub enum ListenError {
    /// It cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The WAV cannot be written.
    #[error("writing the extracted sound failed")]
    Write(#[from] std::io::Error),
    /// The loudness meter refused the format.
    #[error("the loudness of {channels} channels at {rate_hz} Hz cannot be measured")]
    Meter {
        /// Channels.
        channels: u32,
        /// Samples per second per channel.
        rate_hz: u32,
    },
}

/// Decodes the sound of `path` once: writes it to `wav_out` as 16 kHz mono and measures it.
///
/// Sample `n` of the WAV is heard at `n / 16 000` s of stream time: gaps are filled with silence, overlaps are dropped.
///
/// # Errors
/// [`ListenError`]; a file without sound gives [`DecodeError::Absent`].
pub fn listen(path: &Path, wav_out: &Path, progress: &mut dyn FnMut(f32)) -> Result<Heard, ListenError> {
    let opened = Opened::new(path, Wanted { track: Track::Sound, chain: CHAIN, gate: None }, None)?;
    let (voice, whole) = (opened.sink("voice"), opened.sink("whole"));
    let opened = &opened;
    std::thread::scope(|scope| {
        let loudness = scope.spawn(|| measure_all(opened, &whole));
        let heard = write_voice(opened, &voice, wav_out, progress);
        if heard.is_err() {
            opened.stop();
        }
        let loudness = loudness.join().expect("the loudness meter does not panic");
        let (prosody, duration_us) = heard?;
        opened.fail_if_damaged(duration_us.minus(LAST_MOMENT))?;
        Ok(Heard { loudness: loudness?, prosody, duration_us })
    })
}

/// Measures the loudness of a span.
///
/// # Errors
/// [`ListenError`]; a file without sound gives [`DecodeError::Absent`].
pub fn loudness_of(path: &Path, span: Span) -> Result<Option<Loudness>, ListenError> {
    let mut sound = Sound::open(path, Some(span), Pcm { rate_hz: None, channels: None })?;
    let mut meter = LoudnessMeter::default();
    while let Some(chunk) = sound.next_chunk()? {
        meter.add(&chunk)?;
    }
    Ok(meter.finish())
}

fn write_voice(
    opened: &Opened,
    sink: &gst_app::AppSink,
    wav_out: &Path,
    progress: &mut dyn FnMut(f32),
) -> Result<(Prosody, MediaTime), ListenError> {
    let total = opened.duration().filter(|duration| duration.0 > 0);
    let mut wav = WavWriter::create(wav_out)?;
    let mut prosody = ProsodyMeter::new();
    while let Some(sample) = opened.pull(sink)? {
        let Some(chunk) = as_chunk(&sample) else { continue };
        let samples = place(&chunk, wav.samples(), |silence| {
            prosody.add(silence);
            wav.write(silence)
        })?;
        prosody.add(samples);
        wav.write(samples)?;
        if let Some(total) = total {
            progress((chunk.at.seconds() / total.seconds()).min(1.0) as f32);
        }
    }
    let duration = MediaTime(wav.samples() * 1_000_000 / u64::from(WAV_RATE_HZ));
    wav.finish()?;
    Ok((prosody.finish(), duration))
}

/// Fills the gap before a chunk with silence, and returns the samples of the chunk that are not heard already.
fn place(chunk: &Chunk, written: u64, mut silence: impl FnMut(&[f32]) -> std::io::Result<()>) -> Result<&[f32], ListenError> {
    if chunk.at > probe::DURATION_LIMIT {
        return Err(DecodeError::Broken { reason: format!("its sound has the time stamp {}", chunk.at) }.into());
    }
    let starts = (chunk.at.0 * u64::from(WAV_RATE_HZ) + 500_000) / 1_000_000;
    if starts > written + GAP_TOLERANCE_SAMPLES {
        let zeros = [0.0; SILENCE_SAMPLES];
        let mut missing = (starts - written) as usize;
        while missing > 0 {
            let piece = missing.min(SILENCE_SAMPLES);
            silence(&zeros[..piece])?;
            missing -= piece;
        }
    }
    let heard_already = if written > starts + GAP_TOLERANCE_SAMPLES { (written - starts) as usize } else { 0 };
    Ok(&chunk.samples[heard_already.min(chunk.samples.len())..])
}

fn measure_all(opened: &Opened, sink: &gst_app::AppSink) -> Result<Option<Loudness>, ListenError> {
    let mut meter = LoudnessMeter::default();
    while let Some(sample) = opened.pull(sink)? {
        if let Some(chunk) = as_chunk(&sample) {
            meter.add(&chunk)?;
        }
    }
    Ok(meter.finish())
}

/// EBU R128 over chunks of one format.
#[derive(Default)]
struct LoudnessMeter(Option<EbuR128>);

impl LoudnessMeter {
    fn add(&mut self, chunk: &Chunk) -> Result<(), ListenError> {
        let refused = |_| ListenError::Meter { channels: chunk.channels, rate_hz: chunk.rate_hz };
        let meter = match &mut self.0 {
            Some(meter) => meter,
            empty => empty.insert(EbuR128::new(chunk.channels, chunk.rate_hz, Mode::I | Mode::LRA | Mode::TRUE_PEAK).map_err(refused)?),
        };
        meter.add_frames_f32(&chunk.samples).map_err(refused)
    }

    /// Returns the loudness; `None` if nothing was louder than the gate of −70 LUFS.
    fn finish(self) -> Option<Loudness> {
        let meter = self.0?;
        let integrated_lufs = meter.loudness_global().ok().filter(|lufs| lufs.is_finite())?;
        let peaks = (0..meter.channels()).filter_map(|channel| meter.true_peak(channel).ok());
        let true_peak_dbtp = 20.0 * peaks.fold(0.0, f64::max).log10();
        Some(Loudness { integrated_lufs, range_lu: meter.loudness_range().unwrap_or(0.0), true_peak_dbtp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(at_ms: u64, samples: usize) -> Chunk {
        Chunk { at: MediaTime::from_millis(at_ms), rate_hz: WAV_RATE_HZ, channels: 1, samples: vec![0.5; samples] }
    }

    fn check(at_ms: u64, written: u64, silence_expected: usize, samples_expected: usize) {
        let mut silent = 0;
        let chunk = chunk(at_ms, 1_600);
        let samples = place(&chunk, written, |piece| {
            silent += piece.len();
            Ok(())
        });
        assert_eq!((silent, samples.expect("it is placed").len()), (silence_expected, samples_expected));
    }

    #[test]
    fn a_gap_is_filled_and_an_overlap_dropped_but_jitter_is_left_alone() {
        check(1_000, 16_000, 0, 1_600);
        check(1_010, 16_000, 0, 1_600);
        check(3_500, 16_000, 40_000, 1_600);
        check(1_000, 16_800, 0, 800);
        check(1_000, 32_000, 0, 0);
    }

    #[test]
    fn a_time_stamp_beyond_any_video_is_refused_instead_of_filled() {
        assert!(place(&chunk(1_000_000_000_000, 1), 0, |_| Ok(())).is_err());
    }
}
