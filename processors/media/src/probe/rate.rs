//! Frame rate from time stamps, because containers guess it.

use domain::MediaTime;
use domain::artefact::FrameRate;

/// Rates that cameras and editors use; a measured rate this close is meant to be one of them.
const USUAL: &[(u32, u32)] = &[
    (12, 1),
    (15, 1),
    (24_000, 1_001),
    (24, 1),
    (25, 1),
    (30_000, 1_001),
    (30, 1),
    (48, 1),
    (50, 1),
    (60_000, 1_001),
    (60, 1),
    (100, 1),
    (120_000, 1_001),
    (120, 1),
    (240, 1),
];

/// A measured rate is off by the rounding of two time stamps (1 ms in Matroska), and clocks by some 10⁻⁴.
const CLOCK_TOLERANCE: f64 = 3e-4;
const STAMP_TOLERANCE_SECONDS: f64 = 0.001;

/// Times nearer than this are of one frame: 400 frames a second are more than any video has.
const SAME_FRAME: MediaTime = MediaTime(2_500);

/// A dropped frame, or one whose time a parser guessed, does not make a steady rate variable.
const STRAYS_MAX: usize = 2;

/// What time stamps say about the frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    pub frame_rate: FrameRate,
    pub is_variable: bool,
}

/// Measures the pace of frames shown at `windows` of consecutive times each, in any order; `None` for too few frames.
pub(super) fn pace(windows: &mut [Vec<MediaTime>]) -> Option<Pace> {
    let mut durations = Vec::new();
    let mut longest_seconds = 0.0f64;
    for times in windows {
        times.sort_unstable();
        // After a seek a parser may guess the same frame's time anew, a fraction of a millisecond off.
        times.dedup_by(|later, earlier| later.minus(*earlier) < SAME_FRAME);
        durations.extend(times.windows(2).map(|pair| pair[1].minus(pair[0]).seconds()));
        if let [first, .., last] = times[..] {
            longest_seconds = longest_seconds.max(last.minus(first).seconds());
        }
    }
    let middle = durations.len() / 2;
    let (_, &mut median, _) = (!durations.is_empty()).then(|| durations.select_nth_unstable_by(middle, f64::total_cmp))?;
    let regular: Vec<f64> = durations.iter().copied().filter(|duration| (duration - median).abs() <= median / 2.0).collect();
    let is_variable = durations.len() - regular.len() > STRAYS_MAX;
    let frame_rate = if is_variable {
        as_fraction(durations.len() as f64 / durations.iter().sum::<f64>())
    } else {
        // The mean says how many frames the window has, and the window how long they last, to the rounding of two time stamps.
        let mean = regular.iter().sum::<f64>() / regular.len() as f64;
        let tolerance = CLOCK_TOLERANCE + STAMP_TOLERANCE_SECONDS / longest_seconds;
        nearest((longest_seconds / mean).round() / longest_seconds, tolerance)
    };
    Some(Pace { frame_rate, is_variable })
}

fn nearest(rate: f64, tolerance: f64) -> FrameRate {
    let off = |(numerator, denominator): &(u32, u32)| (f64::from(*numerator) / f64::from(*denominator) / rate - 1.0).abs();
    let closest = USUAL.iter().min_by(|a, b| off(a).total_cmp(&off(b))).filter(|usual| off(usual) <= tolerance);
    match closest {
        Some(&(numerator, denominator)) => FrameRate { numerator, denominator },
        None => as_fraction(rate),
    }
}

fn as_fraction(rate: f64) -> FrameRate {
    let thousandths = (rate * 1_000.0).round().clamp(1.0, f64::from(u32::MAX)) as u32;
    if thousandths.is_multiple_of(1_000) {
        FrameRate { numerator: thousandths / 1_000, denominator: 1 }
    } else {
        FrameRate { numerator: thousandths, denominator: 1_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(times_us: impl Iterator<Item = u64>, expected: Option<(u32, u32, bool)>) {
        let found = pace(&mut [times_us.map(MediaTime).collect()]);
        assert_eq!(found.map(|pace| (pace.frame_rate.numerator, pace.frame_rate.denominator, pace.is_variable)), expected);
    }

    #[test]
    fn usual_rates_are_recognised_even_from_whole_milliseconds() {
        check((0..300).map(|n| n * 1_001_000 / 30), Some((30_000, 1_001, false)));
        check((0..300).map(|n| n * 1_000_000 / 30), Some((30, 1, false)));
        check((0..300).map(|n| n * 1_000 / 30 * 1_000), Some((30, 1, false)));
        check((0..480).map(|n| n * 1_001 / 24 * 1_000), Some((24_000, 1_001, false)));
        check((0..40).map(|n| n * 40_000), Some((25, 1, false)));
    }

    #[test]
    fn an_unusual_rate_is_kept() {
        check((0..100).map(|n| n * 125_000), Some((8, 1, false)));
        check((0..100).map(|n| n * 57_143), Some((17_500, 1_000, false)));
    }

    #[test]
    fn uneven_frames_are_variable_and_have_a_mean() {
        check((0..100).map(|n| if n < 50 { n * 20_000 } else { 1_000_000 + (n - 50) * 100_000 }), Some((16_780, 1_000, true)));
    }

    #[test]
    fn a_dropped_frame_and_a_guessed_time_do_not_matter() {
        check((0..300).filter(|n| *n != 100).map(|n| n * 1_000_000 / 30), Some((30, 1, false)));
        check((0..72).map(|n| n * 1_001_000 / 24).chain([20_000]), Some((24_000, 1_001, false)));
    }

    #[test]
    fn one_frame_has_no_rate() {
        check([0].into_iter(), None);
    }
}
