//! Beam search over the windows of a batch; every window has the same number of beams.

use super::greedy::floats;
use super::rules::logsumexp;
use super::{Decoding, Hypothesis};
use crate::model::decoder::Memory;

/// One unfinished continuation.
#[derive(Clone)]
struct Beam {
    tokens: Vec<i64>,
    logprobs: Vec<f32>,
    sum: f32,
}

/// A way to go on: which beam, by which token, and the sum it would have.
struct Step {
    beam: usize,
    token: i64,
    logprob: f32,
    sum: f32,
}

impl Decoding<'_> {
    /// Decodes every row of `memory` with `size` beams each and returns the best hypothesis per row.
    pub(crate) fn beam(&self, memory: &Memory, size: usize) -> Vec<Hypothesis> {
        let windows = memory.order.len();
        let decoder = &self.network.decoder;
        let mut cache = decoder.cache(memory.all(), windows * size, self.prompt.len() + self.tokens_max());
        let states = decoder.step(&mut cache, &self.prompt.repeat(windows * size));
        let no_speech = self.no_speech(&states);
        let mut logits = decoder.projection.logits(&states.select(1, -1)) + &self.first_bias;
        let start = Beam { tokens: vec![], logprobs: vec![], sum: 0.0 };
        let mut beams = vec![vec![start; size]; windows];
        let mut finished: Vec<Vec<Hypothesis>> = vec![vec![]; windows];
        for step in 0..self.tokens_max() {
            let width = logits.size()[1] as usize;
            let mut rows = floats(&logits.reshape([-1]));
            let mut from = Vec::with_capacity(windows * size);
            for window in 0..windows {
                let rows = &mut rows[window * size * width..(window + 1) * size * width];
                let steps = self.best_steps(&beams[window], rows, if step == 0 { 1 } else { size }, 2 * size);
                from.extend(
                    self.advance(&mut beams[window], &mut finished[window], steps, size).iter().map(|&beam| (window * size + beam) as i64),
                );
            }
            if finished.iter().all(|found| found.len() >= size) || step + 1 == self.tokens_max() {
                break;
            }
            cache.reorder(&from);
            let last: Vec<i64> = beams.iter().flatten().filter_map(|beam| beam.tokens.last().copied()).collect();
            logits = decoder.projection.logits(&decoder.step(&mut cache, &last).squeeze_dim(1)) + &self.bias;
        }
        let best = |(window, mut found): (usize, Vec<Hypothesis>)| {
            if found.is_empty() {
                found.extend(beams[window].iter().map(|beam| beam.finish(beam.sum)));
            }
            let best = found.into_iter().max_by(|a, b| a.mean_logprob.total_cmp(&b.mean_logprob)).expect("a window has beams");
            Hypothesis { no_speech: no_speech[window * size], ..best }
        };
        finished.into_iter().enumerate().map(best).collect()
    }

    /// Returns the best ways on of the first `live` beams, best first.
    fn best_steps(&self, beams: &[Beam], rows: &mut [f32], live: usize, count: usize) -> Vec<Step> {
        let width = rows.len() / beams.len();
        let mut steps = Vec::new();
        for (beam, (state, row)) in beams.iter().zip(rows.chunks_exact_mut(width)).enumerate().take(live) {
            self.rules.restrict(&state.tokens, row);
            let total = logsumexp(row);
            let mut order: Vec<usize> = (0..width).filter(|&token| row[token] > f32::NEG_INFINITY).collect();
            let keep = count.min(order.len());
            if keep < order.len() {
                order.select_nth_unstable_by(keep, |&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
            }
            steps.extend(order[..keep].iter().map(|&token| {
                let logprob = row[token] - total;
                Step { beam, token: token as i64, logprob, sum: state.sum + logprob }
            }));
        }
        steps.sort_by(|a, b| b.sum.total_cmp(&a.sum).then(a.beam.cmp(&b.beam)).then(a.token.cmp(&b.token)));
        steps.truncate(count);
        steps
    }

    /// Moves a window's beams on and returns which beam each one continues.
    fn advance(&self, beams: &mut Vec<Beam>, finished: &mut Vec<Hypothesis>, steps: Vec<Step>, size: usize) -> Vec<usize> {
        let mut next = Vec::with_capacity(size);
        let mut from = Vec::with_capacity(size);
        for step in steps {
            let beam = &beams[step.beam];
            if step.token == self.rules.end {
                if finished.len() < size {
                    finished.push(beam.finish(step.sum));
                }
                continue;
            }
            let mut beam = beam.clone();
            beam.tokens.push(step.token);
            beam.logprobs.push(step.logprob);
            beam.sum = step.sum;
            next.push(beam);
            from.push(step.beam);
            if next.len() == size {
                break;
            }
        }
        // Fewer ways on than beams: the last one is kept more than once, which changes nothing.
        while next.len() < size {
            match (next.last().cloned(), from.last().copied()) {
                (Some(beam), Some(index)) => {
                    next.push(beam);
                    from.push(index);
                }
                _ => {
                    next.push(beams[next.len()].clone());
                    from.push(from.len());
                }
            }
        }
        *beams = next;
        from
    }
}

impl Beam {
    fn finish(&self, sum: f32) -> Hypothesis {
        let mean_logprob = sum / (self.tokens.len() + 1) as f32;
        Hypothesis { tokens: self.tokens.clone(), logprobs: self.logprobs.clone(), mean_logprob, no_speech: 0.0, loop_start: None }
    }
}
