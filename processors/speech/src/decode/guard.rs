//! When a hypothesis is believed: the reference's guards against loops, guesses and silence.

use super::greedy::{Draw, Start};
use super::{Decoding, Hypothesis};
use crate::model::decoder::Memory;
use crate::tokens::Tokens;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;

/// Text that compresses better than this repeats itself.
const COMPRESSION_RATIO_MAX: f32 = 2.4;
/// A mean log-probability below this is a guess.
const MEAN_LOGPROB_MIN: f32 = -1.0;
/// Above this, a guess is silence.
const NO_SPEECH_MAX: f32 = 0.6;
/// Temperatures to try after the likeliest tokens were not believed.
const FALLBACK_TEMPERATURES: [f32; 5] = [0.2, 0.4, 0.6, 0.8, 1.0];
/// Samples per window and temperature; the likeliest is kept.
const SAMPLES: usize = 5;
/// Loops of one window that are left by another word before chance is asked.
const LOOPS_LEFT_MAX: usize = 3;
/// The first seed; each temperature and sample has its own.
const SEED: u64 = 0x0c11_9f10;

/// What happens to a hypothesis that is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Higher temperatures are tried, and the best that was found is taken.
    Fallback,
    /// It is dropped: the window was heard before, and then no word was found in it.
    SureOnly,
}

impl Decoding<'_> {
    /// Decodes every window, and those that are not believed again: from where a loop began, then at higher temperatures.
    /// Gives the memory back.
    pub(crate) fn believed(&self, memory: Memory, beam_size: usize, trust: Trust) -> (Vec<Hypothesis>, Memory) {
        let windows = memory.order.len();
        let (first, memory) = if beam_size > 1 {
            (self.beam(&memory, beam_size), memory)
        } else {
            self.draw(memory, windows, Draw::Likeliest, Start::default())
        };
        if trust == Trust::SureOnly {
            let sure = first.into_iter().map(|found| if self.is_doubtful(&found) { Hypothesis::silence(&found) } else { found });
            return (sure.collect(), memory);
        }
        let mut tried: Vec<Vec<Hypothesis>> = first.into_iter().map(|hypothesis| vec![hypothesis]).collect();
        for (window, tried) in tried.iter_mut().enumerate() {
            for _ in 0..LOOPS_LEFT_MAX {
                let Some(other) = tried.last().and_then(|looped| self.leave_loop(memory.window(window), looped)) else { break };
                tried.push(other);
            }
        }
        for (round, &temperature) in FALLBACK_TEMPERATURES.iter().enumerate() {
            for (window, tried) in tried.iter_mut().enumerate() {
                if !tried.iter().all(|hypothesis| self.is_doubtful(hypothesis)) {
                    continue;
                }
                let seed = SEED.wrapping_add((round * SAMPLES) as u64);
                let (samples, _) = self.draw(memory.window(window), SAMPLES, Draw::Sample { temperature, seed }, Start::default());
                tried.extend(samples.into_iter().max_by(|a, b| a.mean_logprob.total_cmp(&b.mean_logprob)));
            }
        }
        (tried.into_iter().filter_map(|tried| self.choose(tried)).collect(), memory)
    }

    /// Says something else than the word that a loop began with, and goes on from there.
    fn leave_loop(&self, memory: Memory, looped: &Hypothesis) -> Option<Hypothesis> {
        let at = looped.loop_start?;
        let start = Start { tokens: &looped.tokens[..at], logprobs: &looped.logprobs[..at], never: Some(looped.tokens[at]) };
        self.draw(memory, 1, Draw::Likeliest, start).0.pop()
    }

    /// Tells whether something else should be tried.
    fn is_doubtful(&self, hypothesis: &Hypothesis) -> bool {
        let is_guess = hypothesis.mean_logprob < MEAN_LOGPROB_MIN;
        let is_silence = is_guess && hypothesis.no_speech > NO_SPEECH_MAX;
        !is_silence && (is_guess || repeats(self.tokens, hypothesis))
    }

    /// Returns the one that was believed, else the likeliest that does not repeat itself, else the likeliest.
    fn choose(&self, mut tried: Vec<Hypothesis>) -> Option<Hypothesis> {
        if let Some(last) = tried.pop_if(|last| !self.is_doubtful(last)) {
            return Some(last);
        }
        let rank = |hypothesis: &Hypothesis| (!repeats(self.tokens, hypothesis), hypothesis.mean_logprob);
        tried.into_iter().max_by(|a, b| rank(a).0.cmp(&rank(b).0).then(a.mean_logprob.total_cmp(&b.mean_logprob)))
    }
}

/// Tells whether the window is silence that the model guessed words for.
pub(crate) fn is_silence(hypothesis: &Hypothesis) -> bool {
    hypothesis.no_speech > NO_SPEECH_MAX && hypothesis.mean_logprob < MEAN_LOGPROB_MIN
}

fn repeats(tokens: &Tokens, hypothesis: &Hypothesis) -> bool {
    hypothesis.loop_start.is_some() || compression_ratio(&tokens.text(&hypothesis.tokens)) > COMPRESSION_RATIO_MAX
}

/// Returns how many times smaller zlib makes the text.
pub(crate) fn compression_ratio(text: &str) -> f32 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    let compressed = written.expect("writing into memory does not fail");
    text.len() as f32 / compressed.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_compresses_well_and_speech_does_not() {
        assert!(compression_ratio(&" thank you".repeat(30)) > COMPRESSION_RATIO_MAX);
        let speech = " And so my fellow Americans ask not what your country can do for you, ask what you can do for your country.";
        assert!(compression_ratio(speech) < COMPRESSION_RATIO_MAX);
    }
}
