//! Level, pitch and noisiness on an even grid, computed while samples pass by.

use super::pitch::{PitchMeter, WINDOW};
use super::wav::WAV_RATE_HZ;
use domain::artefact::Prosody;

/// 20 steps a second: a syllable lasts about four.
const STEP_MS: u32 = 50;
const STEP: usize = (WAV_RATE_HZ * STEP_MS / 1_000) as usize;

/// Level of silence; digital zero has no logarithm.
const LEVEL_FLOOR_DB: f32 = -90.0;

/// Steps softer than this are not asked for a pitch: room noise often hums.
const PITCH_LEVEL_MIN_DB: f32 = -55.0;

/// A step needs samples around it, because the pitch window is longer than the step.
const MARGIN: usize = (WINDOW - STEP) / 2;

/// Turns samples into tracks; keeps less than a tenth of a second of them.
pub(super) struct ProsodyMeter {
    /// The margin before the next step, then what has not been measured.
    waiting: Vec<f32>,
    pitch: PitchMeter,
    prosody: Prosody,
}

impl ProsodyMeter {
    pub(super) fn new() -> Self {
        let prosody = Prosody { step_ms: STEP_MS, ..Prosody::default() };
        Self { waiting: vec![0.0; MARGIN], pitch: PitchMeter::new(), prosody }
    }

    pub(super) fn add(&mut self, samples: &[f32]) {
        self.waiting.extend_from_slice(samples);
        let mut from = 0;
        while self.waiting.len() - from >= WINDOW {
            self.measure(from, STEP);
            from += STEP;
        }
        self.waiting.drain(..from);
    }

    /// Measures the last, usually shorter steps.
    pub(super) fn finish(mut self) -> Prosody {
        let mut left = self.waiting.len() - MARGIN;
        self.waiting.resize(self.waiting.len() + 2 * WINDOW, 0.0);
        let mut from = 0;
        while left > 0 {
            self.measure(from, left.min(STEP));
            left -= left.min(STEP);
            from += STEP;
        }
        self.prosody
    }

    /// Measures the step whose margin begins at `from` and that has `length` real samples.
    fn measure(&mut self, from: usize, length: usize) {
        let step = &self.waiting[from + MARGIN..][..length];
        let power = step.iter().map(|sample| f64::from(sample * sample)).sum::<f64>() / length as f64;
        let level = if power > 0.0 { (10.0 * power.log10()) as f32 } else { LEVEL_FLOOR_DB };
        let crossings = step.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count();
        let window = self.waiting[from..].first_chunk::<WINDOW>().expect("the caller leaves a whole window");
        let pitch = if level > PITCH_LEVEL_MIN_DB { self.pitch.pitch_hz(window) } else { 0.0 };
        self.prosody.level_db.push(level.max(LEVEL_FLOOR_DB));
        self.prosody.zero_crossing_rate.push(crossings as f32 / length as f32);
        self.prosody.pitch_hz.push(pitch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, seconds: f32) -> Vec<f32> {
        (0..(seconds * WAV_RATE_HZ as f32) as usize)
            .map(|n| 0.5 * (hz * n as f32 / WAV_RATE_HZ as f32 * std::f32::consts::TAU).sin())
            .collect()
    }

    #[test]
    fn tracks_follow_the_sound_whatever_the_pieces() {
        let sound: Vec<f32> = [tone(200.0, 1.0), vec![0.0; 16_000], tone(100.0, 0.52)].concat();
        let measured = |piece: usize| {
            let mut meter = ProsodyMeter::new();
            sound.chunks(piece).for_each(|samples| meter.add(samples));
            meter.finish()
        };
        let prosody = measured(1_000);
        assert_eq!(prosody, measured(37));
        assert_eq!((prosody.level_db.len(), prosody.pitch_hz.len(), prosody.zero_crossing_rate.len()), (51, 51, 51));
        assert!((prosody.level_db[10] + 9.03).abs() < 0.05, "a sine at half scale is -9.03 dBFS, got {}", prosody.level_db[10]);
        assert!((prosody.pitch_hz[10] - 200.0).abs() < 1.0 && (prosody.pitch_hz[45] - 100.0).abs() < 1.0);
        assert_eq!((prosody.level_db[30], prosody.pitch_hz[30], prosody.zero_crossing_rate[30]), (LEVEL_FLOOR_DB, 0.0, 0.0));
        assert!((prosody.zero_crossing_rate[10] - 0.025).abs() < 0.003);
    }
}
