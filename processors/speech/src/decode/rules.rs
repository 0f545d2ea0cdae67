//! Which tokens may come next: timestamps come in pairs, never go back, and win when together they are likelier than any text.

use std::ops::Range;

/// Token ids that the rules speak of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) end: i64,
    pub(crate) timestamp_begin: i64,
    /// One past the last timestamp.
    pub(crate) timestamp_end: i64,
    /// Latest first timestamp, in steps.
    pub(crate) max_initial: i64,
}

/// What may come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// Tokens below the end token.
    pub(crate) text: bool,
    /// The end token and other tokens between text and timestamps.
    pub(crate) end: bool,
    /// Timestamps; empty for none.
    pub(crate) timestamps: Range<i64>,
}

/// One row of logits in short: the text part only by what the rules need of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scores<'a> {
    /// Best text token and its logit.
    pub(crate) best_text: (i64, f32),
    /// Log of the summed exponentials of all text tokens.
    pub(crate) text_logsumexp: f32,
    /// Logits from the end token on.
    pub(crate) tail: &'a [f32],
}

/// A chosen token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: i64,
    pub(crate) logprob: f32,
}

impl Rules {
    /// Returns what may follow the tokens chosen so far.
    pub(crate) fn allowed(&self, chosen: &[i64]) -> Allowed {
        let is_timestamp = |token: &i64| *token >= self.timestamp_begin;
        let Some(last) = chosen.last() else {
            let latest = (self.timestamp_begin + self.max_initial + 1).min(self.timestamp_end);
            return Allowed { text: false, end: false, timestamps: self.timestamp_begin..latest };
        };
        let opens = is_timestamp(last) && chosen.len() >= 2 && !is_timestamp(&chosen[chosen.len() - 2]);
        let pair_is_complete = is_timestamp(last) && !opens;
        let earliest = match chosen.iter().rev().find(|token| is_timestamp(token)) {
            Some(&timestamp) if opens => timestamp,
            Some(&timestamp) => timestamp + 1,
            None => self.timestamp_begin,
        };
        let timestamps = if pair_is_complete { 0..0 } else { earliest..self.timestamp_end.max(earliest) };
        Allowed { text: !opens, end: true, timestamps }
    }

    /// Returns the likeliest allowed token.
    pub(crate) fn greedy(&self, chosen: &[i64], scores: Scores) -> Choice {
        let allowed = self.allowed(chosen);
        let tail_of = |range: Range<i64>| &scores.tail[(range.start - self.end) as usize..(range.end - self.end) as usize];
        let between = if allowed.end { tail_of(self.end..self.timestamp_begin) } else { &[] };
        let stamps = if allowed.timestamps.is_empty() { &[] } else { tail_of(allowed.timestamps.clone()) };
        let text = if allowed.text { scores.text_logsumexp } else { f32::NEG_INFINITY };
        let (between_sum, stamps_sum) = (logsumexp(between), logsumexp(stamps));

        let (between_at, between_best) = best(between);
        let (stamps_at, stamps_best) = best(stamps);
        let best_text = if allowed.text { scores.best_text } else { (self.end, f32::NEG_INFINITY) };
        let (token, logit) = if best_text.1 >= between_best { best_text } else { (self.end + between_at, between_best) };
        if stamps_sum > logit {
            return Choice { token: allowed.timestamps.start + stamps_at, logprob: stamps_best - stamps_sum };
        }
        let total = logsumexp(&[text, between_sum, stamps_sum]);
        if stamps_best > logit {
            return Choice { token: allowed.timestamps.start + stamps_at, logprob: stamps_best - total };
        }
        Choice { token, logprob: logit - total }
    }

    /// Sets what is not allowed to minus infinity in a whole row of logits.
    pub(crate) fn restrict(&self, chosen: &[i64], row: &mut [f32]) {
        let allowed = self.allowed(chosen);
        let (end, begin) = (self.end as usize, self.timestamp_begin as usize);
        if !allowed.text {
            row[..end].fill(f32::NEG_INFINITY);
        }
        if !allowed.end {
            row[end..begin].fill(f32::NEG_INFINITY);
        }
        let stamps = allowed.timestamps.start.max(self.timestamp_begin) as usize..allowed.timestamps.end.max(self.timestamp_begin) as usize;
        row[begin..stamps.start].fill(f32::NEG_INFINITY);
        row[stamps.end..].fill(f32::NEG_INFINITY);
        if logsumexp(&row[stamps]) > best(&row[..begin]).1 {
            row[..begin].fill(f32::NEG_INFINITY);
        }
    }
}

/// Returns the index and value of the first largest number.
pub(crate) fn best(values: &[f32]) -> (i64, f32) {
    let mut found = (0, f32::NEG_INFINITY);
    for (index, &value) in values.iter().enumerate() {
        if value > found.1 {
            found = (index as i64, value);
        }
    }
    found
}

/// Returns the log of the summed exponentials; minus infinity for none.
pub(crate) fn logsumexp(values: &[f32]) -> f32 {
    let (_, largest) = best(values);
    if largest == f32::NEG_INFINITY {
        return largest;
    }
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f32>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text 0 to 9, end 10, one special 11, timestamps 12 to 21.
    const RULES: Rules = Rules { end: 10, timestamp_begin: 12, timestamp_end: 22, max_initial: 3 };

    fn check(chosen: &[i64], text: bool, end: bool, timestamps: Range<i64>) {
        assert_eq!(RULES.allowed(chosen), Allowed { text, end, timestamps }, "after {chosen:?}");
    }

    #[test]
    fn a_window_opens_with_an_early_timestamp() {
        check(&[], false, false, 12..16);
    }

    #[test]
    fn text_follows_an_opening_timestamp() {
        check(&[12], true, true, 0..0);
    }

    #[test]
    fn a_closing_timestamp_is_followed_by_a_timestamp_or_the_end() {
        check(&[12, 3, 15], false, true, 15..22);
    }

    #[test]
    fn text_follows_a_pair() {
        check(&[12, 3, 15, 15], true, true, 0..0);
    }

    #[test]
    fn a_timestamp_after_text_is_later_than_the_one_before() {
        check(&[12, 3, 4], true, true, 13..22);
    }

    #[test]
    fn timestamps_win_when_together_they_are_likelier_than_any_text() {
        let tail = [f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0, 0.9, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let scores = Scores { best_text: (4, 1.0), text_logsumexp: 1.2, tail: &tail };
        let choice = RULES.greedy(&[12, 3], scores);
        assert_eq!(choice.token, 13, "the first of the likeliest");
        assert!(choice.logprob < -1.0, "only timestamps share the probability");
    }

    #[test]
    fn a_restricted_row_gives_the_same_choice_as_the_short_form() {
        let mut row: Vec<f32> = (0..22).map(|index| (index as f32 * 1.7).sin()).collect();
        row[11] = f32::NEG_INFINITY;
        for chosen in [&[][..], &[12], &[12, 3], &[12, 3, 15], &[12, 3, 15, 15], &[12, 3, 15, 15, 2, 1]] {
            let (at, value) = best(&row[..10]);
            let scores = Scores { best_text: (at, value), text_logsumexp: logsumexp(&row[..10]), tail: &row[10..] };
            let choice = RULES.greedy(chosen, scores);
            let mut restricted = row.clone();
            RULES.restrict(chosen, &mut restricted);
            let (token, logit) = best(&restricted);
            assert_eq!(choice.token, token, "after {chosen:?}");
            assert!((choice.logprob - (logit - logsumexp(&restricted))).abs() < 1e-5, "after {chosen:?}");
        }
    }
}
