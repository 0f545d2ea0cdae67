//! Words put back where they were said, and made into segments that follow one another.

use crate::decode::Hypothesis;
use crate::windows::Window;
use crate::words::Timing;
use domain::artefact::{Segment, Word};
use domain::{MediaTime, Span};

/// A segment is split where its words are this far apart in the audio: silence was left out between them.
const SPLIT_SECONDS: f64 = 1.0;
/// The shortest word, so that a span is never empty: one timestamp step.
const WORD_MICROSECONDS_MIN: u64 = 20_000;

/// A word on the audio's own line.
struct PlacedWord {
    start: f64,
    end: f64,
    text: String,
    probability: f32,
}

/// Returns the segments of words that were heard together; their times are on the line of all speech.
pub(crate) fn segments(words: Vec<Timing>, window: &Window, hypothesis: &Hypothesis) -> Vec<Segment> {
    let placed: Vec<PlacedWord> = words.into_iter().map(|word| place(word, window)).collect();
    split(placed).into_iter().filter_map(|words| segment(words, hypothesis)).collect()
}

/// Puts a word back where it was said.
fn place(word: Timing, window: &Window) -> PlacedWord {
    let (start, end) = (word.start - window.offset, word.end - window.offset);
    // Both ends belong to the same piece, or a word could last through silence.
    let piece = window.piece_at((start + end) / 2.0);
    let (start, end) = (window.original(start, piece), window.original(end, piece));
    PlacedWord { start, end, text: word.text, probability: word.probability }
}

/// Splits a segment's words where silence was left out between them.
fn split(words: Vec<PlacedWord>) -> Vec<Vec<PlacedWord>> {
    let mut parts: Vec<Vec<PlacedWord>> = vec![];
    for word in words {
        match parts.last_mut() {
            Some(part) if part.last().is_some_and(|last| word.start - last.end < SPLIT_SECONDS) => part.push(word),
            _ => parts.push(vec![word]),
        }
    }
    parts
}

/// Returns the segment of the words, which follow one another and are never empty.
fn segment(words: Vec<PlacedWord>, hypothesis: &Hypothesis) -> Option<Segment> {
    let text: String = words.iter().map(|word| word.text.as_str()).collect();
    let mut spoken: Vec<Word> = vec![];
    for word in words {
        let text = word.text.trim().to_owned();
        if text.is_empty() {
            continue;
        }
        let earliest = spoken.last().map_or(MediaTime::ZERO, |last| last.span.end());
        let start = MediaTime::from_seconds(word.start).max(earliest);
        let end = MediaTime::from_seconds(word.end).max(start.plus(MediaTime(WORD_MICROSECONDS_MIN)));
        spoken.push(Word { span: Span::new(start, end).ok()?, text, probability: word.probability });
    }
    let span = Span::new(spoken.first()?.span.start(), spoken.last()?.span.end()).ok()?;
    let (mean_logprob, no_speech_probability) = (hypothesis.mean_logprob, hypothesis.no_speech);
    Some(Segment { span, text: text.trim().to_owned(), words: spoken, mean_logprob, no_speech_probability })
}

/// Moves a segment by `offset`.
pub(crate) fn later(segment: Segment, offset: MediaTime) -> Segment {
    let move_span = |span: Span| Span::new(span.start().plus(offset), span.end().plus(offset)).unwrap_or(span);
    let words = segment.words.into_iter().map(|word| Word { span: move_span(word.span), ..word }).collect();
    Segment { span: move_span(segment.span), words, ..segment }
}

/// Sorts segments and moves words that reach into the segment before them.
pub(crate) fn in_order(mut segments: Vec<Segment>) -> Vec<Segment> {
    segments.sort_by_key(|segment| segment.span.start());
    let mut ordered: Vec<Segment> = vec![];
    for mut segment in segments {
        let mut earliest = ordered.last().map_or(MediaTime::ZERO, |last| last.span.end());
        for word in &mut segment.words {
            if word.span.start() >= earliest {
                break;
            }
            let end = word.span.end().max(earliest.plus(MediaTime(WORD_MICROSECONDS_MIN)));
            word.span = Span::new(earliest, end).unwrap_or(word.span);
            earliest = end;
        }
        if let (Some(first), Some(last)) = (segment.words.first(), segment.words.last()) {
            segment.span = Span::new(first.span.start(), last.span.end()).unwrap_or(segment.span);
        }
        ordered.push(segment);
    }
    ordered
}
