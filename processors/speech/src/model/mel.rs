//! Log-mel features as the reference computes them: 25 ms windows every 10 ms, Slaney filters, 80 dB of range.

use super::layers::Weight;
use tch::{Device, IndexOp, Kind, Tensor};

/// Samples per second that Whisper hears.
pub(crate) const SAMPLE_RATE: usize = 16_000;
/// Samples between frames.
pub(crate) const HOP: usize = 160;
const FFT: i64 = 400;
const BINS: usize = FFT as usize / 2 + 1;
/// Range kept below the loudest value, in powers of ten.
const RANGE: f64 = 8.0;

#[derive(Clone)]
pub(super) struct Mel {
    filters: Weight,
    window: Weight,
    frames: i64,
    device: Device,
}

impl Mel {
    pub(super) fn new(mels: i64, frames: i64, device: Device) -> Self {
        let filters = Tensor::from_slice(&slaney_filters(mels as usize)).reshape([mels, BINS as i64]).to_device(device);
        let window = Tensor::hann_window(FFT, (Kind::Float, device));
        Self { filters: filters.into(), window: window.into(), frames, device }
    }

    pub(super) fn frames(&self) -> i64 {
        self.frames
    }

    /// Returns `[windows, mels, frames]`; what is missing to a full window is silence.
    pub(super) fn forward(&self, windows: &[&[f32]]) -> Tensor {
        let length = self.frames as usize * HOP;
        let mut padded = vec![0f32; windows.len() * length];
        for (row, samples) in padded.chunks_exact_mut(length).zip(windows) {
            let count = samples.len().min(length);
            row[..count].copy_from_slice(&samples[..count]);
        }
        let audio = Tensor::from_slice(&padded).reshape([windows.len() as i64, 1, length as i64]).to_device(self.device);
        // `stft_center` cannot be called through tch 0.26, so the reflection is done by hand.
        let audio = audio.reflection_pad1d([FFT / 2, FFT / 2]).squeeze_dim(1);
        let spectrum = audio.stft(FFT, HOP as i64, FFT, Some(&*self.window), false, true, true, false);
        let power = spectrum.abs().square().i((.., .., ..self.frames));
        let log = self.filters.matmul(&power).clamp_min(1e-10).log10();
        let loudest = log.amax([1i64, 2].as_slice(), true);
        (log.maximum(&(loudest - RANGE)) + 4.0) / 4.0
    }
}

/// Returns Slaney's area-normalised triangles, row by row.
fn slaney_filters(mels: usize) -> Vec<f32> {
    let top = hertz_to_mel(SAMPLE_RATE as f64 / 2.0);
    let edges: Vec<f64> = (0..mels + 2).map(|index| mel_to_hertz(top * index as f64 / (mels + 1) as f64)).collect();
    let mut filters = Vec::with_capacity(mels * BINS);
    for corner in edges.windows(3) {
        let (low, middle, high) = (corner[0], corner[1], corner[2]);
        for bin in 0..BINS {
            let frequency = bin as f64 * SAMPLE_RATE as f64 / FFT as f64;
            let height = ((frequency - low) / (middle - low)).min((high - frequency) / (high - middle)).max(0.0);
            filters.push((height * 2.0 / (high - low)) as f32);
        }
    }
    filters
}

/// Slaney's scale is linear up to here …
const LINEAR_UP_TO_HZ: f64 = 1_000.0;
const HERTZ_PER_MEL: f64 = 200.0 / 3.0;

/// … and then grows by 6.4 every 27 mels.
fn log_step() -> f64 {
    6.4f64.ln() / 27.0
}

fn hertz_to_mel(hertz: f64) -> f64 {
    if hertz < LINEAR_UP_TO_HZ {
        hertz / HERTZ_PER_MEL
    } else {
        LINEAR_UP_TO_HZ / HERTZ_PER_MEL + (hertz / LINEAR_UP_TO_HZ).ln() / log_step()
    }
}

fn mel_to_hertz(mel: f64) -> f64 {
    let knee = LINEAR_UP_TO_HZ / HERTZ_PER_MEL;
    if mel < knee { mel * HERTZ_PER_MEL } else { LINEAR_UP_TO_HZ * ((mel - knee) * log_step()).exp() }
}
