//! Fundamental frequency by normalised autocorrelation (McLeod and Wyvill's form, computed with an FFT).

use super::wav::WAV_RATE_HZ;
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::sync::Arc;

/// 64 ms: almost four periods of the lowest voice.
pub(super) const WINDOW: usize = 1_024;

const FFT: usize = 2 * WINDOW;
const PITCH_MIN_HZ: usize = 60;
const PITCH_MAX_HZ: usize = 500;
const LAG_MIN: usize = WAV_RATE_HZ as usize / PITCH_MAX_HZ;
const LAG_MAX: usize = WAV_RATE_HZ as usize / PITCH_MIN_HZ;

/// A window whose best peak is below this is noise or silence; clean vowels reach 0.9, breathy ones 0.6.
const VOICED_MIN: f32 = 0.55;

/// The first peak this close to the best one is the period; later ones are its multiples, which would be an octave too low.
const FIRST_PEAK_PART: f32 = 0.9;

/// Reusable buffers for windows of one length.
pub(super) struct PitchMeter {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    signal: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    correlation: Vec<f32>,
    scratch: Vec<Complex<f32>>,
}

impl PitchMeter {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(FFT), planner.plan_fft_inverse(FFT));
        let scratch = vec![Complex::default(); forward.get_scratch_len().max(inverse.get_scratch_len())];
        Self { spectrum: forward.make_output_vec(), signal: vec![0.0; FFT], correlation: vec![0.0; FFT], forward, inverse, scratch }
    }

    /// Returns the pitch of a window in Hz, or 0 if it has none.
    pub(super) fn pitch_hz(&mut self, window: &[f32; WINDOW]) -> f32 {
        let mean = window.iter().sum::<f32>() / WINDOW as f32;
        for (slot, sample) in self.signal.iter_mut().zip(window) {
            *slot = sample - mean;
        }
        self.signal[WINDOW..].fill(0.0);
        let energy: Vec<f32> = prefix_energy(&self.signal[..WINDOW]);
        self.forward.process_with_scratch(&mut self.signal, &mut self.spectrum, &mut self.scratch).expect("the lengths match the plan");
        for bin in &mut self.spectrum {
            *bin = Complex::new(bin.norm_sqr(), 0.0);
        }
        self.inverse
            .process_with_scratch(&mut self.spectrum, &mut self.correlation, &mut self.scratch)
            .expect("the lengths match the plan");

        let normalised: Vec<f32> = (LAG_MIN - 1..=LAG_MAX + 1)
            .map(|lag| {
                let overlapping = energy[WINDOW - lag] + energy[WINDOW] - energy[lag];
                if overlapping > 0.0 { 2.0 * self.correlation[lag] / FFT as f32 / overlapping } else { 0.0 }
            })
            .collect();
        match first_peak(&normalised) {
            Some(lag) => WAV_RATE_HZ as f32 / (lag + (LAG_MIN - 1) as f32),
            None => 0.0,
        }
    }
}

/// Returns sums of squares: entry `n` is the energy of the first `n` samples.
fn prefix_energy(samples: &[f32]) -> Vec<f32> {
    let mut sum = 0.0f64;
    let sums = samples.iter().map(|sample| {
        sum += f64::from(sample * sample);
        sum as f32
    });
    std::iter::once(0.0).chain(sums).collect()
}

/// Returns the index, refined by a parabola, of the first peak that is nearly the highest.
fn first_peak(curve: &[f32]) -> Option<f32> {
    let is_peak = |index: &usize| curve[*index] > curve[index - 1] && curve[*index] >= curve[index + 1];
    let peaks: Vec<usize> = (1..curve.len() - 1).filter(is_peak).collect();
    let highest = peaks.iter().map(|&index| curve[index]).fold(0.0, f32::max);
    if highest < VOICED_MIN {
        return None;
    }
    let index = peaks.into_iter().find(|&index| curve[index] >= FIRST_PEAK_PART * highest)?;
    let (before, at, after) = (curve[index - 1], curve[index], curve[index + 1]);
    let bend = before - 2.0 * at + after;
    let shift = if bend < 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 };
    Some(index as f32 + shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(signal: impl Fn(f32) -> f32, expected_hz: f32) {
        let window = std::array::from_fn(|index| signal(index as f32 / WAV_RATE_HZ as f32));
        let found = PitchMeter::new().pitch_hz(&window);
        assert!((found - expected_hz).abs() <= 0.01 * expected_hz, "found {found}, expected {expected_hz}");
    }

    fn voice(hz: f32) -> impl Fn(f32) -> f32 {
        move |t| (1..8).map(|harmonic| (harmonic as f32 * hz * t * std::f32::consts::TAU).sin() / harmonic as f32).sum()
    }

    #[test]
    fn tones_and_voices_have_their_pitch() {
        check(|t| (220.0 * t * std::f32::consts::TAU).sin(), 220.0);
        for hz in [70.0, 110.0, 185.0, 240.0, 330.0, 450.0] {
            check(voice(hz), hz);
        }
    }

    #[test]
    fn noise_and_silence_have_none() {
        let mut state = 1u32;
        let noise: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .take(WINDOW)
        .collect();
        check(|t| noise[(t * WAV_RATE_HZ as f32).round() as usize], 0.0);
        check(|_| 0.0, 0.0);
    }
}
