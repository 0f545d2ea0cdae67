//! Where somebody speaks: the Silero network's probabilities, turned into spans and chunks.

mod network;
mod spans;

use crate::model::mel::SAMPLE_RATE;
use domain::{MediaTime, Span};
use std::ops::Range;

pub use spans::chunks;

/// A range of samples in which somebody speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// With padding.
    pub(crate) samples: Range<usize>,
    /// Samples of silence after it, padding included.
    pub(crate) pause_after: usize,
}

/// Returns the probability that somebody speaks, for every 32 ms (512 samples of 16 kHz).
#[must_use]
pub fn probabilities(samples: &[f32]) -> Vec<f32> {
    network::probabilities(samples)
}

/// Returns where somebody speaks in 16 kHz mono audio, in order and apart; short pauses belong to the speech around them.
#[must_use]
pub fn speech(samples: &[f32]) -> Vec<Span> {
    let time = |sample: usize| MediaTime::from_seconds(sample as f64 / SAMPLE_RATE as f64);
    joined(pieces(samples, usize::MAX)).into_iter().filter_map(|range| Span::new(time(range.start), time(range.end)).ok()).collect()
}

/// Returns pieces of speech, none longer than `samples_max`.
pub(crate) fn pieces(samples: &[f32], samples_max: usize) -> Vec<Piece> {
    spans::pieces(&probabilities(samples), samples.len(), samples_max)
}

/// Joins pieces that touch.
fn joined(pieces: Vec<Piece>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = vec![];
    for Piece { samples, .. } in pieces {
        match joined.last_mut() {
            Some(last) if last.end >= samples.start => last.end = samples.end,
            _ => joined.push(samples),
        }
    }
    joined
}
