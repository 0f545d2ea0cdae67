//! How loud a rendition becomes: one linear gain, then a true-peak limiter.

use domain::MediaTime;
use domain::artefact::{AudioChain, Loudness};

/// Room that lossy codecs need above the highest peak, in dBTP.
pub const CEILING_DBTP: f64 = -1.5;
/// Long enough that no cut clicks, too short to be heard as a fade.
pub const FADE_MS: u32 = 10;
/// Below this nobody speaks: only noise would be raised.
const SILENCE_LUFS: f64 = -60.0;
/// Raises a speaker far from the microphone; beyond it the noise floor becomes the programme.
const GAIN_MAX_DB: f64 = 30.0;
/// Integrated loudness means little under three seconds, so such spans are moved only a little.
const SHORT: MediaTime = MediaTime(3_000_000);
/// How far a short span is moved, either way.
const GAIN_SHORT_MAX_DB: f64 = 6.0;
/// How far peaks may stand above the ceiling before the limiter: more is heard as pumping, so the target is missed instead.
const LIMITED_MAX_DB: f64 = 14.0;

/// Returns the audio chain for a span of this loudness: silence and unmeasured sound keep their level.
#[must_use]
pub fn chain(loudness: Option<Loudness>, duration: MediaTime, target_lufs: f64) -> AudioChain {
    let audible = loudness.filter(|measured| measured.integrated_lufs.is_finite() && measured.integrated_lufs > SILENCE_LUFS);
    let gain_db = match audible {
        None => 0.0,
        Some(measured) => {
            let wanted = (target_lufs - measured.integrated_lufs).min(GAIN_MAX_DB);
            let bearable = if measured.true_peak_dbtp.is_finite() {
                (CEILING_DBTP + LIMITED_MAX_DB - measured.true_peak_dbtp).max(0.0)
            } else {
                GAIN_MAX_DB
            };
            let gain = wanted.min(bearable);
            if duration < SHORT { gain.clamp(-GAIN_SHORT_MAX_DB, GAIN_SHORT_MAX_DB) } else { gain }
        }
    };
    // Hundredths are far below what is heard, and keep the decision list readable.
    AudioChain { gain_db: (gain_db * 100.0).round() / 100.0, ceiling_dbtp: CEILING_DBTP, target_lufs, fade_ms: FADE_MS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::artefact::TARGET_LUFS;

    fn check(integrated_lufs: f64, true_peak_dbtp: f64, seconds: f64, expected_gain_db: f64) {
        let loudness = Loudness { integrated_lufs, range_lu: 5.0, true_peak_dbtp };
        let chain = chain(Some(loudness), MediaTime::from_seconds(seconds), TARGET_LUFS);
        assert!((chain.gain_db - expected_gain_db).abs() < 1e-9, "{chain:?}");
    }

    #[test]
    fn speech_is_brought_to_the_target() {
        check(-23.94, -5.12, 30.0, 9.94);
        check(-9.0, 0.2, 30.0, -5.0);
    }

    #[test]
    fn silence_and_unmeasured_sound_keep_their_level() {
        check(-70.0, -60.0, 30.0, 0.0);
        check(f64::NEG_INFINITY, f64::NEG_INFINITY, 30.0, 0.0);
        assert_eq!(chain(None, MediaTime::from_seconds(30.0), TARGET_LUFS).gain_db, 0.0);
    }

    #[test]
    fn a_short_span_is_moved_only_a_little() {
        check(-30.0, -12.0, 2.0, 6.0);
        check(-3.0, 0.0, 2.0, -6.0);
    }

    #[test]
    fn distant_speech_is_not_raised_without_end_and_peaks_are_not_crushed() {
        check(-55.0, -35.0, 30.0, 30.0);
        check(-40.0, -3.0, 30.0, 15.5);
    }
}
