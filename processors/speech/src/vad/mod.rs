//! Where somebody speaks: the Silero network's probabilities, turned into spans and chunks.

mod network;
mod spans;

use crate::model::mel::SAMPLE_RATE;
use domain::{MediaTime, Span};
use std::ops::Range;

pub use spans::chunks;

/// Returns the probability that somebody speaks, for every 32 ms (512 samples of 16 kHz).
#[must_use]
pub fn probabilities(samples: &[f32]) -> Vec<f32> {
    network::probabilities(samples)
}

/// Returns where somebody speaks in 16 kHz mono audio, in order and apart; short pauses belong to the speech around them.
#[must_use]
pub fn speech(samples: &[f32]) -> Vec<Span> {
    let time = |sample: usize| MediaTime::from_seconds(sample as f64 / SAMPLE_RATE as f64);
    let ranges = speech_ranges(samples, usize::MAX);
    joined(ranges).into_iter().filter_map(|range| Span::new(time(range.start), time(range.end)).ok()).collect()
}

/// Returns sample ranges of speech, none longer than `samples_max`.
pub(crate) fn speech_ranges(samples: &[f32], samples_max: usize) -> Vec<Range<usize>> {
    spans::ranges(&probabilities(samples), samples.len(), samples_max)
}

/// Joins ranges that touch.
fn joined(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = vec![];
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}
