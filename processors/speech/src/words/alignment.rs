//! Word times of one batch of windows: one pass of the decoder over the known words, then warping per window.

use super::dtw::{entries, median_filter};
use super::tidy::Timing;
use crate::model::Network;
use crate::model::decoder::Memory;
use crate::tokens::{Tokens, WordTokens};
use tch::{Device, Kind, Tensor};

/// Encoder positions per second.
const POSITIONS_PER_SECOND: f64 = 50.0;

/// What is known of one window.
pub(crate) struct Heard {
    /// Text tokens, without timestamps.
    pub(crate) tokens: Vec<i64>,
    /// Probability of each token.
    pub(crate) probabilities: Vec<f32>,
    /// Seconds of audio in the window.
    pub(crate) seconds: f64,
}

/// Aligns words of one language.
pub(crate) struct Aligner<'a> {
    pub(crate) network: &'a Network,
    pub(crate) tokens: &'a Tokens,
    pub(crate) heads: &'a [(usize, usize)],
    /// The tokens that come before the text.
    pub(crate) prompt: &'a [i64],
    pub(crate) language: &'a str,
}

impl Aligner<'_> {
    /// Returns the words of each window with times from the start of the window.
    pub(crate) fn align(&self, memory: &Memory, heard: &[Heard]) -> Vec<Vec<Timing>> {
        let longest = heard.iter().map(|window| window.tokens.len()).max().unwrap_or(0);
        if longest == 0 {
            return heard.iter().map(|_| vec![]).collect();
        }
        let length = self.prompt.len() + 1 + longest + 1;
        let mut tokens = Vec::with_capacity(heard.len() * length);
        for &window in &memory.order {
            tokens.extend_from_slice(self.prompt);
            tokens.push(self.tokens.no_timestamps);
            tokens.extend_from_slice(&heard[window].tokens);
            tokens.resize(tokens.len().next_multiple_of(length), self.tokens.end);
        }
        let scores = self.network.decoder.cross_scores(memory, &tokens, self.heads);
        let mut timings: Vec<Vec<Timing>> = heard.iter().map(|_| vec![]).collect();
        for (row, &window) in memory.order.iter().enumerate() {
            if !heard[window].tokens.is_empty() {
                timings[window] = self.window(&scores.select(0, row as i64), &heard[window]);
            }
        }
        timings
    }

    /// Times the words of one window from its scores `[heads, length, positions]`.
    fn window(&self, scores: &Tensor, heard: &Heard) -> Vec<Timing> {
        let prompt = self.prompt.len() as i64;
        let text = heard.tokens.len() as i64;
        let positions = ((heard.seconds * POSITIONS_PER_SECOND).ceil() as i64).clamp(1, self.network.positions() as i64);
        // The rows that are normalised are those the reference has: prompt, marker, text and end.
        let weights = scores.narrow(1, 0, prompt + 1 + text + 1).narrow(2, 0, positions).softmax(-1, Kind::Float);
        let mean = weights.mean_dim(1i64, true, Kind::Float);
        let deviation = (&weights - &mean).square().mean_dim(1i64, true, Kind::Float).sqrt();
        // The word's row is that of the token before it, which predicts it; the end marker closes the last word.
        let normal = ((weights - mean) / deviation.clamp_min(1e-9)).narrow(1, prompt, text + 1);
        let heads = normal.size()[0] as usize;
        let mut values = Vec::<f32>::try_from(normal.to_device(Device::Cpu).contiguous().view([-1])).expect("a vector of f32");
        let columns = positions as usize;
        values.chunks_exact_mut(columns).for_each(median_filter);
        let cells = values.len() / heads;
        let (gain, others) = values.split_at_mut(cells);
        for head in others.chunks_exact(cells) {
            gain.iter_mut().zip(head).for_each(|(sum, value)| *sum += value);
        }
        gain.iter_mut().for_each(|sum| *sum /= heads as f32);
        let starts: Vec<f64> = entries(gain, columns).into_iter().map(|column| column as f64 / POSITIONS_PER_SECOND).collect();
        let mut first = 0;
        let words = self.tokens.words(&heard.tokens, self.language).into_iter();
        words
            .map(|WordTokens { text, tokens }| {
                let last = first + tokens.len();
                let probability = heard.probabilities[first..last].iter().sum::<f32>() / tokens.len() as f32;
                let timing = Timing { text, start: starts[first], end: starts[last], probability, tokens: tokens.len() };
                first = last;
                timing
            })
            .collect()
    }
}
