//! The frames of a rendition and the moments of the original that they show.

use crate::Refusal;
use domain::artefact::{FrameRate, MediaFacts, VideoFacts};
use domain::{MediaTime, Span};

/// Networks refuse more frames per second than this, so faster originals are shown at a half, a quarter, … of their rate.
const RATE_MAX: f64 = 60.0;
/// Networks refuse fewer frames per second than this, so slower originals show each frame twice, four times, …
const RATE_MIN: f64 = 23.0;
/// Constant rates that an original of variable rate is given: the one nearest to its mean.
const CONSTANT_RATES: [u32; 5] = [24, 25, 30, 50, 60];
/// For an original whose rate is not known at all.
const RATE_UNKNOWN: FrameRate = FrameRate { numerator: 30, denominator: 1 };

/// A span of an original as frames of constant rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// What is shown of the original, on its frame boundaries.
    pub range: Span,
    /// Rate of the rendition.
    pub rate: FrameRate,
    /// How many frames the rendition has, at least one.
    pub frames: u64,
}

impl Timeline {
    /// Returns the frames that show `span`, moved to the nearest frame boundaries of the original.
    ///
    /// # Errors
    /// [`Refusal::SpanOutsideVideo`] when nothing of `span` lies inside the original.
    pub fn of(facts: &MediaFacts, video: &VideoFacts, span: Span) -> Result<Self, Refusal> {
        let outside = Refusal::SpanOutsideVideo { span, duration: facts.duration_us };
        let rate = rendition_rate(video);
        let boundaries = if video.is_variable_rate || !is_known(video.frame_rate) { rate } else { video.frame_rate };
        let inside = Span::new(span.start(), span.end().min(facts.duration_us)).map_err(|_| outside)?;
        let first = boundaries.nearest_frame(inside.start());
        let last = boundaries.nearest_frame(inside.end());
        let range = Span::new(boundaries.time_of(first), boundaries.time_of(last)).map_err(|_| outside)?;
        let frames = rate.nearest_frame(range.duration()).max(1);
        Ok(Self { range, rate, frames })
    }

    /// Returns the frame of the rendition whose time is nearest to `at` in the original; moments outside give the nearest end.
    #[must_use]
    pub fn frame_of(&self, at: MediaTime) -> u64 {
        self.rate.nearest_frame(at.minus(self.range.start())).min(self.frames)
    }

    /// Returns which moment of the original frame `frame` shows.
    #[must_use]
    pub fn source_time(&self, frame: u64) -> MediaTime {
        self.range.start().plus(self.rate.time_of(frame))
    }

    /// Returns when frame `frame` is shown in the rendition.
    #[must_use]
    pub fn time_of(&self, frame: u64) -> MediaTime {
        self.rate.time_of(frame)
    }

    /// Returns `seconds` as a number of frames, at least one.
    #[must_use]
    pub fn frames_in(&self, seconds: f64) -> u64 {
        ((seconds * self.rate.per_second()).round() as u64).max(1)
    }
}

fn is_known(rate: FrameRate) -> bool {
    rate.numerator > 0 && rate.denominator > 0
}

fn rendition_rate(video: &VideoFacts) -> FrameRate {
    let mut rate = video.frame_rate;
    if !is_known(rate) {
        return RATE_UNKNOWN;
    }
    if video.is_variable_rate {
        let mean = rate.per_second();
        let distance = |candidate: &u32| (f64::from(*candidate) - mean).abs();
        let nearest = CONSTANT_RATES.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        return nearest.map_or(RATE_UNKNOWN, |numerator| FrameRate { numerator, denominator: 1 });
    }
    // A u32 fraction is at most 2^32 away from either bound, so both loops end within 32 rounds.
    while rate.per_second() > RATE_MAX + 0.01 {
        rate.denominator = rate.denominator.saturating_mul(2);
        if rate.denominator == u32::MAX {
            return RATE_UNKNOWN;
        }
    }
    while rate.per_second() < RATE_MIN {
        rate.numerator = rate.numerator.saturating_mul(2);
        if rate.numerator == u32::MAX {
            return RATE_UNKNOWN;
        }
    }
    rate
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use super::*;
    use crate::plan::testing::{facts, span};

    fn check(numerator: u32, denominator: u32, is_variable_rate: bool, expected: (u32, u32)) {
        let video = VideoFacts { frame_rate: FrameRate { numerator, denominator }, is_variable_rate, ..facts(1920, 1080).video.unwrap() };
        let rate = rendition_rate(&video);
        assert_eq!((rate.numerator, rate.denominator), expected);
    }

    #[test]
    fn rates_that_networks_take_are_kept_and_others_are_halved_doubled_or_made_constant() {
        check(30, 1, false, (30, 1));
        check(24_000, 1_001, false, (24_000, 1_001));
        check(60_000, 1_001, false, (60_000, 1_001));
        check(120, 1, false, (120, 2));
        check(12, 1, false, (24, 1));
        check(287, 10, true, (30, 1));
        check(0, 1, false, (30, 1));
    }

    #[test]
    fn a_span_is_moved_to_frame_boundaries_and_cut_at_the_end_of_the_video() {
        let facts = facts(1920, 1080);
        let video = facts.video.clone().unwrap();
        let timeline = Timeline::of(&facts, &video, span(1.01, 2.99)).unwrap();
        assert_eq!((timeline.range, timeline.frames), (span(1.0, 3.0), 60));
        let late = Timeline::of(&facts, &video, span(facts.duration_us.seconds() - 1.0, facts.duration_us.seconds() + 9.0)).unwrap();
        assert_eq!(late.frames, 30);
        assert!(matches!(
            Timeline::of(&facts, &video, span(facts.duration_us.seconds() + 1.0, facts.duration_us.seconds() + 2.0)),
            Err(Refusal::SpanOutsideVideo { .. })
        ));
    }
}
