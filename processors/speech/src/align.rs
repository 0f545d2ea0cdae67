//! Word times for text that is already known, such as imported subtitles.

use crate::model::mel::SAMPLE_RATE;
use crate::whisper::Whisper;
use crate::words::{Aligner, Heard, Timing, merge_punctuation};
use anyhow::Result;
use domain::artefact::{Segment, Word};
use domain::{MediaTime, Span};
use std::ops::Range;
use tch::no_grad;

/// Sound before and after a group of segments that is listened to: subtitles are often half a second off.
const MARGIN_SECONDS: f64 = 0.5;
/// Groups that are heard together.
const BATCH: usize = 8;
/// The shortest word, so that a span is never empty.
const WORD_MICROSECONDS_MIN: u64 = 20_000;

/// Segments that are heard in one window.
struct Group {
    segments: Range<usize>,
    samples: Range<usize>,
    /// Tokens of each segment.
    tokens: Vec<Vec<i64>>,
}

impl Whisper {
    /// Gives each segment its words with times, from the sound and the segment's own text; the segments' spans stay.
    ///
    /// A segment that is longer than one window, or has no sound, gets its words evenly spread by their length.
    ///
    /// # Errors
    /// When a text cannot be split into tokens.
    pub fn align(&self, samples: &[f32], segments: &mut [Segment]) -> Result<()> {
        let groups = self.groups(samples.len(), segments)?;
        let language =
            if self.is_multilingual() { self.detect_language(samples).map_or("en".to_owned(), |(code, _)| code) } else { "en".to_owned() };
        segments.iter_mut().for_each(spread_evenly);
        for batch in groups.chunks(BATCH) {
            let timings = no_grad(|| self.time_groups(samples, batch, &language))?;
            for (group, timings) in batch.iter().zip(timings) {
                let offset = group.samples.start as f64 / SAMPLE_RATE as f64;
                assign(&mut segments[group.segments.clone()], group, timings, offset);
            }
        }
        Ok(())
    }

    /// Puts segments that follow one another together while they fit into one window.
    fn groups(&self, length: usize, segments: &[Segment]) -> Result<Vec<Group>> {
        let sample = |seconds: f64| (seconds.max(0.0) * SAMPLE_RATE as f64) as usize;
        let tokens_max = self.network.decoder.positions() / 2;
        let mut groups: Vec<Group> = vec![];
        for (index, segment) in segments.iter().enumerate() {
            let text = segment.text.split_whitespace().collect::<Vec<_>>().join(" ");
            let tokens = self.tokens.encode(&format!(" {text}"))?;
            let start = sample(segment.span.start().seconds() - MARGIN_SECONDS).min(length);
            let end = sample(segment.span.end().seconds() + MARGIN_SECONDS).min(length);
            if text.is_empty() || tokens.len() > tokens_max || end <= start || end - start > self.network.window_samples() {
                continue;
            }
            if let Some(group) = groups.last_mut() {
                let count: usize = group.tokens.iter().map(Vec::len).sum();
                let follows = group.segments.end == index && start >= group.samples.start;
                if follows && end - group.samples.start <= self.network.window_samples() && count + tokens.len() <= tokens_max {
                    group.segments.end = index + 1;
                    group.samples.end = group.samples.end.max(end);
                    group.tokens.push(tokens);
                    continue;
                }
            }
            groups.push(Group { segments: index..index + 1, samples: start..end, tokens: vec![tokens] });
        }
        Ok(groups)
    }

    fn time_groups(&self, samples: &[f32], batch: &[Group], language: &str) -> Result<Vec<Vec<Timing>>> {
        let prompt = self.tokens.prompt(language)?;
        let audio: Vec<&[f32]> = batch.iter().map(|group| &samples[group.samples.clone()]).collect();
        let memory = self.network.memory(&audio);
        let heard = |group: &Group| {
            let tokens = group.tokens.concat();
            let probabilities = vec![1.0; tokens.len()];
            Heard { tokens, probabilities, seconds: group.samples.len() as f64 / SAMPLE_RATE as f64 }
        };
        let heads = &self.settings.alignment_heads;
        let aligner = Aligner { network: &self.network, tokens: &self.tokens, heads, prompt: &prompt, language };
        Ok(aligner.align(&memory, &batch.iter().map(heard).collect::<Vec<_>>()))
    }
}

/// Deals a group's words to its segments, in the segments' own spans.
fn assign(segments: &mut [Segment], group: &Group, mut timings: Vec<Timing>, offset: f64) {
    merge_punctuation(&mut timings);
    let mut left = timings.into_iter();
    for (segment, tokens) in segments.iter_mut().zip(&group.tokens) {
        let mut taken = 0;
        let mut words = vec![];
        while taken < tokens.len() {
            let Some(word) = left.next() else { break };
            taken += word.tokens;
            words.push(word);
        }
        if !words.is_empty() {
            segment.words = inside(&words, segment.span, offset);
        }
    }
}

/// Keeps words in order, inside the span, and never empty as far as the span has room.
fn inside(timings: &[Timing], span: Span, offset: f64) -> Vec<Word> {
    let mut words: Vec<Word> = vec![];
    let shortest = MediaTime((span.duration().0 / (timings.len() as u64 + 1)).clamp(1, WORD_MICROSECONDS_MIN));
    for (index, timing) in timings.iter().enumerate() {
        let room_after = MediaTime(shortest.0 * (timings.len() - index) as u64);
        let earliest = words.last().map_or(span.start(), |word: &Word| word.span.end());
        let latest = span.end().minus(room_after).max(earliest);
        let start = MediaTime::from_seconds(timing.start + offset).clamp(earliest, latest);
        let end_latest = span.end().minus(room_after.minus(shortest)).max(start.plus(MediaTime(1)));
        let end = MediaTime::from_seconds(timing.end + offset).clamp(start.plus(shortest).min(end_latest), end_latest);
        if let Ok(span) = Span::new(start, end) {
            words.push(Word { span, text: timing.text.trim().to_owned(), probability: 1.0 });
        }
    }
    words
}

/// Spreads the words of a segment over its span by their number of characters.
fn spread_evenly(segment: &mut Segment) {
    let texts: Vec<&str> = segment.text.split_whitespace().collect();
    let total: usize = texts.iter().map(|text| text.chars().count()).sum();
    let at = |characters: usize| MediaTime(segment.span.start().0 + segment.span.duration().0 * characters as u64 / total.max(1) as u64);
    let mut before = 0;
    let mut words = vec![];
    for text in texts {
        let after = before + text.chars().count();
        words.extend(Span::new(at(before), at(after)).map(|span| Word { span, text: text.to_owned(), probability: 1.0 }));
        before = after;
    }
    segment.words = words;
}
