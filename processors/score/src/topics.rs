//! Topics: where the talk turns to something else, and what each part is about.
//!
//! Two views of the same tf-idf cosines, and one decision. TextTiling (Hearst 1997) at several scales says how deep the valley of likeness
//! is at every gap; pauses, cue phrases and cuts of the picture add to that. The best segmentation of the whole talk is then found by
//! dynamic programming: topics whose sentences are more alike than neighbours usually are, with boundaries where the talk turns.

use crate::lexicon::ENGLISH;
use crate::text::{Sparse, stem};
use crate::units::Units;
use domain::MediaTime;
use std::collections::BTreeMap;
use std::ops::Range;

/// Sentences on each side of a gap, per scale: a point, a passage, a chapter.
const SCALES: [usize; 3] = [5, 11, 37];
/// How many sentences apart two may be and still be compared: a clip of 90 s holds about 45, the largest scale spans 74.
pub const REACH: usize = 160;
/// A topic has at least this many sentences.
const SENTENCES_MIN: usize = 4;
/// A topic lasts at least this long.
const TOPIC_MIN: MediaTime = MediaTime::from_millis(20_000);
/// What a boundary costs, in sentences that are as like each other as neighbours are.
const BOUNDARY_COST: f64 = 8.0;
/// What one standard deviation of turning is worth, in the same unit.
const TURN_WORTH: f64 = 3.0;
/// Beyond so many standard deviations a turn is as clear as it can be, or as absent.
const TURN_RANGE: std::ops::RangeInclusive<f64> = -2.0..=3.0;
/// So many pairs of usual likeness are mixed into every run: a handful of sentences may be alike by chance.
const PRIOR_PAIRS: f64 = 60.0;
/// What a standard deviation of pause, a full cue phrase and a cut of the picture add to a standard deviation of depth.
const PAUSE_WEIGHT: f64 = 1.2;
const CUE_WEIGHT: f64 = 3.0;
const CUT_WEIGHT: f64 = 0.15;
/// Sentences this near to each other tell how alike neighbours are.
const NEIGHBOURS: usize = 5;
/// A shot that starts this near to a gap counts for it.
const CUT_REACH: MediaTime = MediaTime::from_millis(1_500);

/// The talk's terms: what it is about, without the words that every talk has.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// The commonest written form of each term.
    forms: Vec<String>,
    /// How rare each term is among sentences.
    rarity: Vec<f64>,
    /// How well each term serves as a keyword: names best, then nouns, then the rest; 0 for numbers.
    aptness: Vec<f64>,
    /// Counts of terms per sentence.
    counts: Vec<Sparse>,
}

impl Vocabulary {
    /// Reads the terms of every sentence; stop words and stems are known for English only.
    #[must_use]
    pub fn new(units: &Units, is_english: bool) -> Self {
        let is_term = |word: &str| match is_english {
            true => word.chars().count() > 2 && !ENGLISH.stop.has(word),
            false => !word.is_empty(),
        };
        let key = |word: &str| if is_english { stem(word) } else { word.to_owned() };
        let mut ids: BTreeMap<String, u32> = BTreeMap::new();
        let mut forms: Vec<BTreeMap<&str, usize>> = Vec::new();
        let mut counts = Vec::new();
        for sentence in &units.sentences {
            let mut terms = Vec::new();
            for at in sentence.words.clone().filter(|&at| is_term(&units.words[at].normal)) {
                let word = &units.words[at];
                let next = ids.len() as u32;
                let id = *ids.entry(key(&word.normal)).or_insert(next);
                if id == next {
                    forms.push(BTreeMap::new());
                }
                // A capital says something except at the start of a sentence.
                let form = if at == sentence.words.start { &word.normal } else { bare(&word.text) };
                *forms[id as usize].entry(form).or_default() += 1;
                terms.push((id, 1.0));
            }
            counts.push(Sparse::of(terms));
        }
        let mut seen_in = vec![0.0; ids.len()];
        counts.iter().flat_map(|sentence: &Sparse| &sentence.0).for_each(|(term, _)| seen_in[*term as usize] += 1.0);
        let sentences = units.sentences.len() as f64;
        // Where no list of stop words is known, what is in a fifth of all sentences is one.
        let is_common = |n: f64| !is_english && n > 3.0 && n > sentences / 5.0;
        let rarity = seen_in.iter().map(|&n| if is_common(n) { 0.0 } else { (1.0 + sentences / n).ln() }).collect();
        let commonest = |forms: &BTreeMap<&str, usize>| {
            let best = forms.iter().max_by_key(|(form, count)| (**count, std::cmp::Reverse(form.len())));
            best.map(|(form, _)| (*form).to_owned()).unwrap_or_default()
        };
        let forms: Vec<String> = forms.iter().map(commonest).collect();
        let aptness = forms.iter().map(|form| aptness(form, is_english)).collect();
        Self { forms, rarity, aptness, counts }
    }

    /// Tells whether a sentence has no term at all.
    #[must_use]
    pub fn names_nothing(&self, sentence: usize) -> bool {
        self.counts[sentence].0.is_empty()
    }

    /// Returns a run of sentences as a tf-idf vector of length one.
    #[must_use]
    pub(crate) fn vector(&self, sentences: &Range<usize>) -> Sparse {
        let counts = self.counts[sentences.clone()].iter().flat_map(|sentence| sentence.0.iter().copied());
        let damped = Sparse::of(counts).0.into_iter().map(|(term, n)| (term, (1.0 + n.ln()) * self.rarity[term as usize]));
        Sparse(damped.filter(|(_, weight)| *weight > 0.0).collect()).unit()
    }

    /// Returns per sentence the rarity of terms that were not heard in the last few sentences.
    pub(crate) fn information(&self) -> Vec<f64> {
        const MEMORY: usize = 8;
        let mut last_heard = vec![None; self.rarity.len()];
        let mut information = Vec::with_capacity(self.counts.len());
        for (at, sentence) in self.counts.iter().enumerate() {
            let mut sum = 0.0;
            for (term, _) in &sentence.0 {
                let heard = last_heard[*term as usize].replace(at);
                if heard.is_none_or(|before| at - before > MEMORY) {
                    sum += self.rarity[*term as usize];
                }
            }
            information.push(sum);
        }
        information
    }

    /// Returns the most telling terms of a run of sentences: frequent in it, rare elsewhere.
    #[must_use]
    pub fn keywords(&self, sentences: &Range<usize>, count: usize) -> Vec<String> {
        let inside = Sparse::of(self.counts[sentences.clone()].iter().flat_map(|sentence| sentence.0.iter().copied()));
        let mut terms: Vec<(f64, u32)> =
            inside.0.iter().map(|&(term, n)| (n.sqrt() * self.rarity[term as usize] * self.aptness[term as usize], term)).collect();
        terms.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| self.forms[a.1 as usize].cmp(&self.forms[b.1 as usize])));
        let telling = terms.into_iter().filter(|(weight, term)| *weight > 0.0 && self.forms[*term as usize].chars().count() > 1);
        telling.take(count).map(|(_, term)| self.forms[term as usize].clone()).collect()
    }
}

/// A word as written, without the punctuation around it and without a possessive ending.
fn bare(word: &str) -> &str {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word)
}

fn aptness(form: &str, is_english: bool) -> f64 {
    const NAME: f64 = 1.4;
    const VERB_OR_ADVERB: f64 = 0.6;
    /// Where no word lists are known, short words are mostly the language's small change.
    const SHORT: f64 = 0.2;
    const SHORT_CHARS: usize = 4;
    /// Where no word lists are known, a capital is the only sign of a noun.
    const UNKNOWN: f64 = 0.7;
    let is_cased = form.chars().any(|c| c.is_lowercase() || c.is_uppercase());
    if form.starts_with(|c: char| c.is_ascii_digit()) || is_english && ENGLISH.number.has(&form.to_lowercase()) {
        0.0
    } else if !is_english && is_cased && form.chars().count() <= SHORT_CHARS {
        SHORT
    } else if form.starts_with(char::is_uppercase) {
        NAME
    } else if is_english && ["ed", "ly", "ing"].iter().any(|ending| form.ends_with(ending)) {
        VERB_OR_ADVERB
    } else if is_english {
        1.0
    } else {
        UNKNOWN
    }
}

/// Sums of cosines between sentences near each other, any block in constant time.
#[derive(Clone, Debug, Default)]
pub struct Similarity {
    /// `inner[i][n]` is the sum of cosines between different sentences of `i..i + n`, each pair once.
    inner: Vec<Vec<f64>>,
}

impl Similarity {
    /// Compares every sentence with those up to [`REACH`] after it.
    #[must_use]
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let vectors: Vec<Sparse> = (0..vocabulary.counts.len()).map(|at| vocabulary.vector(&(at..at + 1))).collect();
        let mut inner: Vec<Vec<f64>> = vec![Vec::new(); vectors.len()];
        for first in (0..vectors.len()).rev() {
            let end = vectors.len().min(first + REACH);
            let mut sums = vec![0.0, 0.0];
            let mut with_first = 0.0;
            for other in first + 1..end {
                with_first += vectors[first].dot(&vectors[other]);
                let without_first: f64 = inner[first + 1][other - first];
                sums.push(without_first + with_first);
            }
            inner[first] = sums;
        }
        Self { inner }
    }

    fn pairs(&self, range: &Range<usize>) -> f64 {
        let Some(sums) = self.inner.get(range.start) else { return 0.0 };
        sums[range.len().min(sums.len() - 1)]
    }

    /// Returns the mean cosine between the sentences of a run.
    #[must_use]
    pub fn within(&self, range: &Range<usize>) -> f64 {
        let n = range.len() as f64;
        if n < 2.0 { 0.0 } else { self.pairs(range) / (n * (n - 1.0) / 2.0) }
    }

    /// Returns the sum of cosines between the first sentence of a run and the others.
    fn with_first(&self, range: &Range<usize>) -> f64 {
        self.pairs(range) - self.pairs(&(range.start + 1..range.end))
    }

    /// Returns the mean cosine between two neighbouring runs.
    #[must_use]
    pub fn between(&self, left: &Range<usize>, right: &Range<usize>) -> f64 {
        let across = self.pairs(&(left.start..right.end)) - self.pairs(left) - self.pairs(right);
        across / (left.len() * right.len()).max(1) as f64
    }

    /// Returns the cosine between the sums of two neighbouring runs.
    fn cosine(&self, left: &Range<usize>, right: &Range<usize>) -> f64 {
        let square = |run: &Range<usize>| run.len() as f64 + 2.0 * self.pairs(run);
        let across = self.between(left, right) * (left.len() * right.len()) as f64;
        across / (square(left) * square(right)).sqrt()
    }
}

/// The talk's topics in order; together they hold every sentence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topics {
    /// Runs of sentences.
    pub ranges: Vec<Range<usize>>,
    /// Each topic's most telling words.
    pub titles: Vec<String>,
    /// The topic of each sentence.
    pub of_sentence: Vec<usize>,
}

/// Finds the topics of a talk. `cues` says how strongly each sentence opens a topic; `cuts` are the starts of shots.
#[must_use]
pub fn segment(units: &Units, vocabulary: &Vocabulary, similarity: &Similarity, cues: Option<&[f64]>, cuts: &[MediaTime]) -> Topics {
    let strengths = strengths(units, similarity, cues, cuts);
    let starts = boundaries(units, similarity, &strengths);
    let ends = starts.iter().skip(1).copied().chain([units.sentences.len()]);
    let ranges: Vec<Range<usize>> = starts.iter().zip(ends).map(|(&start, end)| start..end).filter(|range| !range.is_empty()).collect();
    Topics {
        titles: ranges.iter().map(|range| vocabulary.keywords(range, 3).join(", ")).collect(),
        of_sentence: ranges.iter().enumerate().flat_map(|(topic, range)| range.clone().map(move |_| topic)).collect(),
        ranges,
    }
}

/// Returns how strongly the talk turns before each sentence; the first has no gap before it.
fn strengths(units: &Units, similarity: &Similarity, cues: Option<&[f64]>, cuts: &[MediaTime]) -> Vec<f64> {
    let count = units.sentences.len();
    let mut strengths = vec![0.0; count];
    let scales: Vec<usize> = SCALES.into_iter().filter(|&k| k == SCALES[0] || count >= 4 * k).collect();
    for &k in &scales {
        for (strength, depth) in strengths.iter_mut().zip(standardised(&depths(count, k, similarity))) {
            *strength += depth / scales.len() as f64;
        }
    }
    let pauses: Vec<f64> = units.sentences.iter().map(|sentence| sentence.pause_before.seconds().min(3.0)).collect();
    for (at, pause) in standardised(&pauses).into_iter().enumerate().skip(1) {
        let start = units.sentences[at].span.start();
        let place = cuts.partition_point(|cut| cut.plus(CUT_REACH) < start);
        let is_cut = cuts.get(place).is_some_and(|&cut| cut.minus(CUT_REACH) <= start);
        strengths[at] +=
            PAUSE_WEIGHT * pause.clamp(-1.0, 2.0) + CUE_WEIGHT * cues.map_or(0.0, |cues| cues[at]) + if is_cut { CUT_WEIGHT } else { 0.0 };
    }
    strengths
}

/// Returns how deep the valley of similarity is at each gap, on the scale of `k` sentences.
fn depths(count: usize, k: usize, similarity: &Similarity) -> Vec<f64> {
    let at_gap = |gap: usize| similarity.cosine(&(gap.saturating_sub(k)..gap), &(gap..(gap + k).min(count)));
    let raw: Vec<f64> = (0..count).map(|gap| if gap == 0 { 1.0 } else { at_gap(gap) }).collect();
    let smooth = |gap: usize| {
        let near = &raw[gap.saturating_sub(1).max(1).min(gap)..(gap + 2).min(count)];
        near.iter().sum::<f64>() / near.len() as f64
    };
    let smoothed: Vec<f64> = (0..count).map(smooth).collect();
    let depth = |gap: usize| {
        let mut left = gap;
        while left > 1 && smoothed[left - 1] >= smoothed[left] {
            left -= 1;
        }
        let mut right = gap;
        while right + 1 < count && smoothed[right + 1] >= smoothed[right] {
            right += 1;
        }
        smoothed[left] + smoothed[right] - 2.0 * smoothed[gap]
    };
    (0..count).map(|gap| if gap == 0 { 0.0 } else { depth(gap) }).collect()
}

fn standardised(values: &[f64]) -> Vec<f64> {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
    values.iter().map(|value| if deviation > 1e-9 { (value - mean) / deviation } else { 0.0 }).collect()
}

/// Returns the first sentence of each topic of the best segmentation.
fn boundaries(units: &Units, similarity: &Similarity, strengths: &[f64]) -> Vec<usize> {
    let count = units.sentences.len();
    let cohesion = Cohesion::new(similarity, count);
    let turns = standardised(strengths);
    // `best[end]` is the worth of the best segmentation of the sentences before `end`, and where its last topic begins.
    let mut best = vec![(f64::NEG_INFINITY, 0); count + 1];
    best[0] = (0.0, 0);
    for end in 1..=count {
        for start in end.saturating_sub(REACH)..end {
            let range = start..end;
            // Where no segmentation can be long enough everywhere, the whole talk is one topic.
            if best[start].0 == f64::NEG_INFINITY || (range.len() < count && !is_long_enough(units, &range)) {
                continue;
            }
            let turn =
                if start == 0 { 0.0 } else { TURN_WORTH * turns[start].clamp(*TURN_RANGE.start(), *TURN_RANGE.end()) - BOUNDARY_COST };
            let worth = best[start].0 + turn + cohesion.worth(similarity, &range);
            if worth > best[end].0 {
                best[end] = (worth, start);
            }
        }
    }
    let mut starts = Vec::new();
    let mut end = count;
    while end > 0 {
        end = best[end].1;
        starts.push(end);
    }
    starts.reverse();
    starts
}

/// How alike sentences are in this talk.
struct Cohesion {
    /// Of any two within reach.
    usual: f64,
    /// How much more alike neighbours are.
    excess: f64,
}

impl Cohesion {
    fn new(similarity: &Similarity, count: usize) -> Self {
        let mean = |reach: usize| {
            let blocks = (0..count).map(|first| first..(first + reach).min(count)).filter(|block| block.len() > 1);
            let (sum, pairs) = blocks.fold((0.0, 0), |(sum, pairs), block| (sum + similarity.with_first(&block), pairs + block.len() - 1));
            sum / f64::from(u32::try_from(pairs.max(1)).unwrap_or(u32::MAX))
        };
        let usual = mean(REACH);
        Self { usual, excess: mean(NEIGHBOURS) - usual }
    }

    /// Returns how much a run holds together, in sentences.
    fn worth(&self, similarity: &Similarity, range: &Range<usize>) -> f64 {
        const EXCESS_MIN: f64 = 1e-3;
        let others = (range.len() - 1) as f64;
        let pairs = range.len() as f64 * others / 2.0;
        let above_usual = (similarity.within(range) - self.usual) * pairs / (pairs + PRIOR_PAIRS);
        above_usual / self.excess.max(EXCESS_MIN) * others
    }
}

fn is_long_enough(units: &Units, range: &Range<usize>) -> bool {
    range.len() >= SENTENCES_MIN && units.span(range).duration() >= TOPIC_MIN
}
