//! One token per row and step: the likeliest, or a seeded sample.

use super::loops::loop_start;
use super::rules::{Choice, Scores, logsumexp};
use super::{Decoding, Hypothesis};
use crate::model::decoder::Memory;
use tch::{Device, IndexOp, Tensor};

/// How a token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Draw {
    /// The likeliest.
    Likeliest,
    /// A sample at this temperature.
    Sample { temperature: f32, seed: u64 },
}

/// What a row has said already when it starts.
#[derive(Clone, Copy, Default)]
pub(crate) struct Start<'a> {
    pub(crate) tokens: &'a [i64],
    pub(crate) logprobs: &'a [f32],
    /// What it must not say next.
    pub(crate) never: Option<i64>,
}

/// A row that is being decoded.
struct Row {
    /// Where its hypothesis goes.
    slot: usize,
    tokens: Vec<i64>,
    logprobs: Vec<f32>,
    sum: f32,
    random: SplitMix,
    loop_start: Option<usize>,
}

impl Decoding<'_> {
    /// Decodes `rows` rows, one per window of `memory`, which must be in its first order, or all of its only window.
    /// Finished rows, and those that have fallen into a loop, leave the batch. Gives the memory back.
    pub(crate) fn draw(&self, memory: Memory, rows: usize, draw: Draw, start: Start) -> (Vec<Hypothesis>, Memory) {
        let mut cache = self.network.decoder.cache(memory, rows, self.prompt.len() + self.tokens_max());
        let states = self.network.decoder.step(&mut cache, &[&self.prompt, start.tokens].concat().repeat(rows));
        let no_speech = self.no_speech(&states);
        let mut states = states.select(1, -1);
        let mut bias = self.bias_after(start);
        let seed = if let Draw::Sample { seed, .. } = draw { seed } else { 0 };
        let mut live: Vec<Row> = (0..rows).map(|slot| Row::new(slot, seed, start)).collect();
        let mut done: Vec<Option<Hypothesis>> = vec![None; rows];
        loop {
            let choices = match draw {
                Draw::Likeliest => self.likeliest(&states, &bias, &live),
                Draw::Sample { temperature, .. } => self.samples(&states, &bias, &mut live, temperature),
            };
            for index in (0..live.len()).rev() {
                let row = &mut live[index];
                let is_finished = row.push(choices[index], self.rules.end);
                row.loop_start = loop_start(&row.tokens, self.rules.timestamp_begin);
                if is_finished || row.loop_start.is_some() || row.tokens.len() == self.tokens_max() {
                    let row = live.swap_remove(index);
                    let slot = row.slot;
                    done[slot] = Some(row.finish(no_speech[slot]));
                    cache.swap_remove(index);
                }
            }
            if live.is_empty() {
                break;
            }
            let last: Vec<i64> = live.iter().filter_map(|row| row.tokens.last().copied()).collect();
            states = self.network.decoder.step(&mut cache, &last).squeeze_dim(1);
            bias = self.bias.shallow_clone();
        }
        (done.into_iter().flatten().collect(), cache.into_memory())
    }

    /// Returns what is added to the logits of the first token after `start`.
    fn bias_after(&self, start: Start) -> Tensor {
        let usual = if start.tokens.is_empty() { &self.first_bias } else { &self.bias };
        let Some(never) = start.never else { return usual.shallow_clone() };
        usual.index_fill(0, &Tensor::from_slice(&[never]).to_device(usual.device()), f64::NEG_INFINITY)
    }

    /// Chooses with as little as possible copied out of the tensors.
    fn likeliest(&self, states: &Tensor, bias: &Tensor, live: &[Row]) -> Vec<Choice> {
        let (projection, end) = (&self.network.decoder.projection, self.rules.end);
        let text = projection.likeliest(states, bias, end);
        let (largest, at, sums) = (floats(&text.logit), ids(&text.token), floats(&text.logsumexp));
        let tail = projection.logits_from(states, end) + bias.i(end..);
        let width = tail.size()[1] as usize;
        let tail = floats(&tail.view([-1]));
        let rows = live.iter().zip(tail.chunks_exact(width)).enumerate();
        rows.map(|(index, (row, tail))| {
            let scores = Scores { best_text: (at[index], largest[index]), text_logsumexp: sums[index], tail };
            self.rules.greedy(&row.tokens, scores)
        })
        .collect()
    }

    fn samples(&self, states: &Tensor, bias: &Tensor, live: &mut [Row], temperature: f32) -> Vec<Choice> {
        let logits = self.network.decoder.projection.logits(states) + bias;
        let width = logits.size()[1] as usize;
        let mut logits = floats(&logits.view([-1]));
        let rows = live.iter_mut().zip(logits.chunks_exact_mut(width));
        rows.map(|(row, logits)| {
            self.rules.restrict(&row.tokens, logits);
            let token = row.random.sample(logits, temperature);
            Choice { token: token as i64, logprob: logits[token] - logsumexp(logits) }
        })
        .collect()
    }
}

impl Row {
    fn new(slot: usize, seed: u64, start: Start) -> Self {
        let (tokens, logprobs) = (start.tokens.to_vec(), start.logprobs.to_vec());
        let sum = logprobs.iter().sum();
        Self { slot, tokens, logprobs, sum, random: SplitMix(seed.wrapping_add(slot as u64)), loop_start: None }
    }

    /// Takes a choice and tells whether the row is finished.
    fn push(&mut self, choice: Choice, end: i64) -> bool {
        self.sum += choice.logprob;
        if choice.token == end {
            return true;
        }
        self.tokens.push(choice.token);
        self.logprobs.push(choice.logprob);
        false
    }

    fn finish(self, no_speech: f32) -> Hypothesis {
        let mean_logprob = self.sum / (self.tokens.len() + 1) as f32;
        Hypothesis { tokens: self.tokens, logprobs: self.logprobs, mean_logprob, no_speech, loop_start: self.loop_start }
    }
}

/// A small generator with a fixed sequence per seed, so that a fallback gives the same words on every run.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Samples an index with probability proportional to `exp(logit / temperature)`.
    fn sample(&mut self, logits: &[f32], temperature: f32) -> usize {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |logit: f32| f64::from((logit - largest) / temperature).exp();
        let mut left = self.next() * logits.iter().map(|&logit| weight(logit)).sum::<f64>();
        let mut last = 0;
        for (index, &logit) in logits.iter().enumerate() {
            if logit == f32::NEG_INFINITY {
                continue;
            }
            last = index;
            left -= weight(logit);
            if left <= 0.0 {
                break;
            }
        }
        last
    }
}

pub(super) fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).contiguous()).expect("a vector of f32")
}

pub(super) fn ids(tensor: &Tensor) -> Vec<i64> {
    Vec::try_from(tensor.to_device(Device::Cpu).contiguous()).expect("a vector of i64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_follows_the_probabilities_and_never_takes_what_is_forbidden() {
        let mut random = SplitMix(7);
        let logits = [0.0, f32::NEG_INFINITY, 3f32.ln()];
        let threes = (0..10_000).filter(|_| random.sample(&logits, 1.0) == 2).count();
        assert!((7_300..7_700).contains(&threes), "{threes} of 10000");
        assert!((0..1_000).all(|_| random.sample(&logits, 1.0) != 1));
    }
}
