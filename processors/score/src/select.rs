//! Which spans are shown: the best that differ.
//!
//! Greedy maximal marginal relevance (Carbonell and Goldstein 1998): every pick weighs its score against its likeness to what was picked.

use crate::echo::Echoes;
use crate::text::Sparse;
use domain::{MediaTime, Span};
use std::ops::Range;

/// The fewest clips that are shown when the material allows it: with fewer, people do not come back.
pub const COUNT_MIN: usize = 4;
/// The most clips without asking for more.
pub const COUNT_MAX: usize = 12;
/// One clip per this much talk.
const TALK_PER_CLIP: MediaTime = MediaTime::from_millis(60_000);
/// Points of score that full likeness to a chosen clip costs.
const LIKENESS_COST: f64 = 30.0;
/// Spans that overlap more than this are never both chosen.
const IOU_MAX: f64 = 0.3;
/// Spans whose words are more alike than this say the same thing twice.
const SAME_TEXT: f64 = 0.8;
/// So does a span with more than this part of its words, or of the other's, said word for word in the other.
const SAME_WORDS: f64 = 0.5;
/// More clips than this of one topic are chosen only if nothing else is left.
const PER_TOPIC: usize = 2;
/// Beyond the fewest, a clip must be better than the middle of the video.
const SCORE_MIN: f64 = 50.0;

/// A judged span.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Where it is cut.
    pub span: Span,
    /// Its raw score.
    pub score: f64,
    /// Its topic.
    pub topic: usize,
    /// Which words of the talk it holds.
    pub words: Range<usize>,
    pub(crate) text: Sparse,
}

/// Why a span was not chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Passed {
    /// It overlaps a better one.
    Overlaps,
    /// It says the same as a better one.
    SaysTheSame,
    /// Enough better ones were chosen.
    NotNeeded,
}

/// The choice among spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Indexes of the chosen spans, best score first.
    pub chosen: Vec<usize>,
    /// Why each other span was passed over, with its index.
    pub passed: Vec<(usize, Passed)>,
}

/// Returns how many clips a talk of this length gives.
#[must_use]
pub fn count_by_duration(talk: MediaTime) -> usize {
    let wanted = (talk.seconds() / TALK_PER_CLIP.seconds()).round() as usize;
    wanted.clamp(COUNT_MIN, COUNT_MAX)
}

/// How strict a pass over the spans is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Nothing overlaps and no topic has more than its share.
    Varied,
    /// Nothing overlaps.
    Apart,
    /// Little overlaps.
    Any,
}

/// Chooses up to `count` spans; `is_exact` takes weak ones too, because somebody asked for that many.
#[must_use]
pub fn choose(spans: &[Judged], echoes: &Echoes, count: usize, is_exact: bool) -> Choice {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by(|&a, &b| spans[b].score.total_cmp(&spans[a].score).then(spans[a].span.cmp(&spans[b].span)));
    let floor = if is_exact { count } else { COUNT_MIN.min(count) };
    let mut selection = Selection {
        spans,
        echoes,
        by_end: by_end(spans),
        chosen: Vec::new(),
        likeness: vec![0.0; spans.len()],
        same: vec![false; spans.len()],
    };
    for pass in [Pass::Varied, Pass::Apart, Pass::Any] {
        // Overlapping choices are made only to reach the floor.
        let count = if pass == Pass::Any { floor } else { count };
        while selection.chosen.len() < count {
            let Some(next) = selection.next(&order, pass, floor) else { break };
            let is_needed = selection.chosen.len() < floor;
            if !is_needed && spans[next].score < SCORE_MIN {
                break;
            }
            selection.take(next);
        }
    }
    selection.finish(&order)
}

fn by_end(spans: &[Judged]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&at| (spans[at].span.end(), spans[at].span.start()));
    order
}

struct Selection<'a> {
    spans: &'a [Judged],
    echoes: &'a Echoes,
    by_end: Vec<usize>,
    chosen: Vec<usize>,
    /// Per span, its greatest likeness to any chosen one.
    likeness: Vec<f64>,
    /// Per span, whether it says the same as a chosen one.
    same: Vec<bool>,
}

impl Selection<'_> {
    /// Returns the best span that this pass allows and that leaves room to reach the floor.
    fn next(&self, order: &[usize], pass: Pass, floor: usize) -> Option<usize> {
        let mut allowed: Vec<(f64, usize)> = Vec::new();
        for &at in order {
            if self.is_allowed(at, pass) {
                allowed.push((self.spans[at].score - LIKENESS_COST * self.likeness[at], at));
            }
        }
        // The order is by score, and a stable sort keeps it between equals.
        allowed.sort_by(|a, b| b.0.total_cmp(&a.0));
        let still_missing = floor.saturating_sub(self.chosen.len() + 1);
        let possible = still_missing.min(self.room_beside(None, pass).saturating_sub(1));
        allowed.into_iter().map(|(_, at)| at).find(|&at| possible == 0 || self.room_beside(Some(at), pass) >= possible)
    }

    fn is_allowed(&self, at: usize, pass: Pass) -> bool {
        if self.same[at] || self.chosen.contains(&at) {
            return false;
        }
        let span = self.spans[at].span;
        let topic = self.chosen.iter().filter(|&&other| self.spans[other].topic == self.spans[at].topic).count();
        match pass {
            Pass::Varied => topic < PER_TOPIC && self.is_apart(span),
            Pass::Apart => self.is_apart(span),
            Pass::Any => self.chosen.iter().all(|&other| self.spans[other].span.iou(span) <= IOU_MAX),
        }
    }

    fn is_apart(&self, span: Span) -> bool {
        self.chosen.iter().all(|&other| self.spans[other].span.intersection(span).is_none())
    }

    /// Returns how many spans fit beside the chosen ones and `taken` without overlap (earliest end first is optimal).
    fn room_beside(&self, taken: Option<usize>, pass: Pass) -> usize {
        if pass == Pass::Any {
            return 0;
        }
        let taken = taken.map(|at| self.spans[at].span);
        let mut free_from = MediaTime::ZERO;
        let mut room = 0;
        for &at in &self.by_end {
            let span = self.spans[at].span;
            let is_free = span.start() >= free_from && taken.is_none_or(|taken| taken.intersection(span).is_none());
            if is_free && !self.same[at] && self.is_apart(span) {
                free_from = span.end();
                room += 1;
            }
        }
        room
    }

    fn take(&mut self, taken: usize) {
        let chosen = &self.spans[taken];
        let echoes = self.echoes.of(&chosen.words);
        for (at, span) in self.spans.iter().enumerate() {
            let text = span.text.dot(&chosen.text);
            self.likeness[at] = self.likeness[at].max(text.max(span.span.iou(chosen.span)));
            let shorter = span.words.len().min(chosen.words.len()).max(1);
            self.same[at] |= text > SAME_TEXT || echoes.of(&span.words) > SAME_WORDS * shorter as f64;
        }
        self.chosen.push(taken);
    }

    fn finish(mut self, order: &[usize]) -> Choice {
        let reason = |at: usize| {
            let overlaps = self.chosen.iter().any(|&other| self.spans[other].span.intersection(self.spans[at].span).is_some());
            match (overlaps, self.same[at]) {
                (true, _) => Passed::Overlaps,
                (false, true) => Passed::SaysTheSame,
                (false, false) => Passed::NotNeeded,
            }
        };
        let passed = order.iter().filter(|at| !self.chosen.contains(at)).map(|&at| (at, reason(at))).collect();
        self.chosen.sort_by_key(|at| order.iter().position(|other| other == at));
        Choice { chosen: self.chosen, passed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spans of whole seconds with a score, a topic and one word.
    fn check(spans: &[(u64, u64, f64, usize, u32)], count: usize, is_exact: bool, expected: &[usize]) {
        let judged = |&(start, end, score, topic, word): &(u64, u64, f64, usize, u32)| Judged {
            span: Span::new(MediaTime::from_millis(start * 1_000), MediaTime::from_millis(end * 1_000)).unwrap(),
            score,
            topic,
            words: 0..0,
            text: Sparse(vec![(word, 1.0)]),
        };
        let spans: Vec<Judged> = spans.iter().map(judged).collect();
        let choice = choose(&spans, &Echoes::default(), count, is_exact);
        assert_eq!(choice.chosen, expected);
        assert_eq!(choice.chosen.len() + choice.passed.len(), spans.len());
    }

    #[test]
    fn the_best_are_chosen_best_first() {
        check(&[(0, 20, 60.0, 0, 1), (30, 50, 80.0, 1, 2), (60, 80, 70.0, 2, 3)], 2, true, &[1, 2]);
    }

    #[test]
    fn spans_that_overlap_are_not_chosen_together() {
        check(&[(0, 20, 80.0, 0, 1), (5, 25, 79.0, 0, 2), (40, 60, 60.0, 1, 3)], 2, true, &[0, 2]);
    }

    #[test]
    fn a_repeated_passage_is_chosen_once() {
        check(&[(0, 20, 80.0, 0, 1), (100, 120, 79.0, 1, 1), (200, 220, 40.0, 2, 3)], 3, true, &[0, 2]);
    }

    #[test]
    fn a_third_clip_of_one_topic_waits_for_others() {
        let spans = [(0, 20, 90.0, 0, 1), (30, 50, 89.0, 0, 2), (60, 80, 88.0, 0, 3), (90, 110, 60.0, 1, 4)];
        check(&spans, 3, true, &[0, 1, 3]);
        check(&spans, 4, true, &[0, 1, 2, 3]);
    }

    #[test]
    fn a_long_clip_does_not_take_the_room_of_four() {
        let spans = [(0, 80, 90.0, 0, 1), (0, 20, 60.0, 0, 2), (25, 45, 61.0, 1, 3), (50, 70, 62.0, 2, 4), (75, 95, 63.0, 3, 5)];
        check(&spans, 4, false, &[4, 3, 2, 1]);
    }

    #[test]
    fn beyond_the_fewest_only_good_clips_are_chosen() {
        let spans: Vec<(u64, u64, f64, usize, u32)> =
            (0..8).map(|at| (at * 30, at * 30 + 20, 57.0 - at as f64, at as usize, at as u32)).collect();
        check(&spans, 12, false, &[0, 1, 2, 3, 4, 5, 6, 7]);
        let weak: Vec<(u64, u64, f64, usize, u32)> =
            spans.iter().map(|&(a, b, score, topic, word)| (a, b, score - 5.0, topic, word)).collect();
        check(&weak, 12, false, &[0, 1, 2, 3]);
    }

    #[test]
    fn the_talk_s_length_gives_the_count() {
        let count = |minutes: u64| count_by_duration(MediaTime::from_millis(minutes * 60_000));
        assert_eq!([count(1), count(4), count(7), count(12), count(60)], [4, 4, 7, 12, 12]);
    }
}
