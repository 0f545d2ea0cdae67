//! A look-ahead true-peak limiter.
//!
//! Detection: four-fold oversampling by the polyphase filter of ITU-R BS.1770-4, annex 2. Gain: the reduction that each sample needs is held
//! over the look-ahead, released exponentially, and smoothed by a moving average as long as the look-ahead, so that it arrives in full
//! just when the peak does (the scheme of Giannoulis, Massberg and Reiss, "Digital Dynamic Range Compressor Design", JAES 60, 2012,
//! with a box for the attack). Sound is delayed by nothing: all of it is at hand.

use super::timeline::SAMPLE_RATE;

/// Look-ahead: short enough to be inaudible before a peak, long enough that the gain's slope makes no distortion.
const LOOK_AHEAD: usize = SAMPLE_RATE as usize * 5 / 1_000;

/// Time in which the gain comes back by two thirds after a peak.
const RELEASE_SECONDS: f64 = 0.08;

/// Moving the gain during a peak, and peaks between the four phases, add up to this much; measured, see the tests.
const MARGIN_DB: f64 = 0.15;

const PHASES: usize = 4;
const TAPS: usize = 12;

/// The four phases of BS.1770-4, annex 2, table 2.
const OVERSAMPLE: [[f32; TAPS]; PHASES] = [
    [
        0.001_708_984_4,
        0.010_986_328,
        -0.019_653_32,
        0.033_203_125,
        -0.059_448_242,
        0.137_329_1,
        0.972_167_97,
        -0.102_294_92,
        0.047_607_422,
        -0.026_611_328,
        0.014_892_578,
        -0.008_300_781,
    ],
    [
        -0.029_174_805,
        0.029_296_875,
        -0.051_757_812,
        0.089_111_33,
        -0.166_503_9,
        0.465_087_9,
        0.779_785_16,
        -0.200_317_38,
        0.101_562_5,
        -0.058_227_54,
        0.033_081_055,
        -0.018_920_898,
    ],
    [
        -0.018_920_898,
        0.033_081_055,
        -0.058_227_54,
        0.101_562_5,
        -0.200_317_38,
        0.779_785_16,
        0.465_087_9,
        -0.166_503_9,
        0.089_111_33,
        -0.051_757_812,
        0.029_296_875,
        -0.029_174_805,
    ],
    [
        -0.008_300_781,
        0.014_892_578,
        -0.026_611_328,
        0.047_607_422,
        -0.102_294_92,
        0.972_167_97,
        0.137_329_1,
        -0.059_448_242,
        0.033_203_125,
        -0.019_653_32,
        0.010_986_328,
        0.001_708_984_4,
    ],
];

/// Turns interleaved stereo down where its true peak would pass `ceiling_dbtp`.
pub(crate) fn limit(sound: &mut [f32], ceiling_dbtp: f64) {
    let ceiling = 10_f64.powf((ceiling_dbtp - MARGIN_DB) / 20.0) as f32;
    let wanted: Vec<f32> = true_peaks(sound).into_iter().map(|peak| if peak > ceiling { ceiling / peak } else { 1.0 }).collect();
    if wanted.iter().all(|gain| *gain >= 1.0) {
        return;
    }
    let gains = smoothed(&released(&held(&wanted)));
    for (frame, gain) in sound.chunks_exact_mut(2).zip(gains) {
        frame.iter_mut().for_each(|sample| *sample *= gain);
    }
}

/// Returns, for each frame, the largest magnitude of either channel around it, between samples too.
fn true_peaks(sound: &[f32]) -> Vec<f32> {
    let frames = sound.len() / 2;
    let mut peaks: Vec<f32> = sound.chunks_exact(2).map(|frame| frame[0].abs().max(frame[1].abs())).collect();
    for channel in 0..2 {
        let mut line = vec![0.0_f32; frames + TAPS];
        let middle = TAPS / 2;
        for (to, frame) in line[middle..].iter_mut().zip(sound.chunks_exact(2)) {
            *to = frame[channel];
        }
        for (peak, window) in peaks.iter_mut().zip(line.windows(TAPS)) {
            for phase in &OVERSAMPLE {
                let value: f32 = phase.iter().zip(window).map(|(weight, sample)| weight * sample).sum();
                *peak = peak.max(value.abs());
            }
        }
    }
    peaks
}

/// Returns the least gain that any sample within the look-ahead wants: a sliding minimum over what follows.
fn held(wanted: &[f32]) -> Vec<f32> {
    let mut queue: std::collections::VecDeque<usize> = std::collections::VecDeque::new();
    let mut least = vec![1.0; wanted.len()];
    for index in (0..wanted.len()).rev() {
        while queue.back().is_some_and(|later| wanted[*later] >= wanted[index]) {
            queue.pop_back();
        }
        queue.push_back(index);
        if queue.front().is_some_and(|first| *first > index + LOOK_AHEAD) {
            queue.pop_front();
        }
        least[index] = queue.front().map_or(1.0, |first| wanted[*first]);
    }
    least
}

fn released(gains: &[f32]) -> Vec<f32> {
    let keep = (-1.0 / (RELEASE_SECONDS * f64::from(SAMPLE_RATE))).exp() as f32;
    let mut reduction = 0.0_f32;
    gains
        .iter()
        .map(|gain| {
            reduction = (1.0 - gain).max(reduction * keep);
            1.0 - reduction
        })
        .collect()
}

/// Averages each gain with those of the look-ahead before it; all of them are low enough when a peak is reached.
fn smoothed(gains: &[f32]) -> Vec<f32> {
    let length = LOOK_AHEAD + 1;
    let first = f64::from(gains.first().copied().unwrap_or(1.0));
    let mut sum = first * length as f64;
    (0..gains.len())
        .map(|index| {
            let leaving = if index >= length { f64::from(gains[index - length]) } else { first };
            sum += f64::from(gains[index]) - leaving;
            (sum / length as f64) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use ebur128::{EbuR128, Mode};

    fn true_peak_db(sound: &[f32]) -> f64 {
        let mut meter = EbuR128::new(2, SAMPLE_RATE, Mode::TRUE_PEAK).unwrap();
        meter.add_frames_f32(sound).unwrap();
        20.0 * (0..2).map(|channel| meter.true_peak(channel).unwrap()).fold(0.0, f64::max).log10()
    }

    /// A sine whose peaks fall between samples, with bursts of noise.
    fn hard_to_limit(level: f32) -> Vec<f32> {
        let mut seed = 1_u32;
        (0..SAMPLE_RATE)
            .flat_map(|index| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (seed >> 8) as f32 / (1 << 23) as f32 - 1.0;
                let angle = std::f32::consts::TAU * (12_000.0 * index as f32 / SAMPLE_RATE as f32 + 0.125);
                let burst = if index % 9_600 < 480 { noise } else { 0.3 * noise };
                [level * angle.sin(), level * burst]
            })
            .collect()
    }

    #[test]
    fn no_true_peak_passes_the_ceiling() {
        for level in [0.5, 1.0, 2.0, 8.0] {
            let mut sound = hard_to_limit(level);
            limit(&mut sound, -1.5);
            let peak = true_peak_db(&sound);
            assert!(peak <= -1.5, "level {level}: {peak} dBTP");
        }
    }

    #[test]
    fn sound_below_the_ceiling_is_left_alone() {
        let quiet = hard_to_limit(0.25);
        let mut sound = quiet.clone();
        limit(&mut sound, -1.5);
        assert_eq!(sound, quiet);
    }

    #[test]
    fn the_gain_comes_back_after_a_peak() {
        let mut sound: Vec<f32> = (0..SAMPLE_RATE as usize * 2).map(|index| if index / 2 == 10_000 { 4.0 } else { 0.1 }).collect();
        limit(&mut sound, -1.5);
        assert!(sound[2 * 10_000] < 0.85 && sound[2 * 10_010] < 0.03, "reduced at the peak");
        assert!((sound[2 * 40_000] - 0.1).abs() < 0.002 && (sound[2 * 9_000] - 0.1).abs() < 1e-6, "not half a second later or before");
    }
}
