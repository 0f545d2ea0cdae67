//! From samples to a transcript: find speech, hear windows in batches, time the words, put them back where they were said.

use crate::decode::guard::is_silence;
use crate::decode::{Decoding, Hypothesis};
use crate::model::mel::SAMPLE_RATE;
use crate::vad;
use crate::whisper::Whisper;
use crate::windows::{Window, pack};
use crate::words::{Aligner, Heard, Timing, merge_punctuation, tidy};
use anyhow::Result;
use domain::artefact::{Segment, Transcript, Word};
use domain::{MediaTime, Span};
use tch::no_grad;

/// Seconds per timestamp token.
const TIMESTAMP_SECONDS: f64 = 0.02;
/// A segment is split where its words are this far apart in the audio: silence was left out between them.
const SPLIT_SECONDS: f64 = 1.0;
/// The shortest word, so that a span is never empty: one timestamp step.
const WORD_MICROSECONDS_MIN: u64 = 20_000;

/// How to transcribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// ISO 639-1 code; `None` detects it.
    pub language: Option<String>,
    /// 1 takes the likeliest token each time; more keeps that many continuations.
    pub beam_size: usize,
    /// Windows that are heard together.
    pub batch_size: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { language: None, beam_size: 1, batch_size: 8 }
    }
}

/// A piece of a hypothesis between timestamps, in seconds of its window.
struct Phrase {
    start: f64,
    end: f64,
    tokens: Vec<i64>,
    probabilities: Vec<f32>,
}

/// A word on the audio's own line.
struct PlacedWord {
    start: f64,
    end: f64,
    text: String,
    probability: f32,
}

impl Whisper {
    /// Transcribes 16 kHz mono `samples`; times in the result are `offset` later than in `samples`. Silence gives no segments.
    ///
    /// `progress` is called with the done part, 0 to 1.
    ///
    /// # Errors
    /// A [`crate::LanguageError`] when the model does not know the asked-for language.
    pub fn transcribe(&self, samples: &[f32], offset: MediaTime, options: &Options, progress: &mut dyn FnMut(f32)) -> Result<Transcript> {
        if let Some(language) = &options.language {
            self.tokens.prompt(language)?;
        }
        let speech = vad::speech_ranges(samples, self.network.window_samples());
        let windows = pack(&speech, self.network.window_samples());
        let language = match (&options.language, windows.first()) {
            (Some(language), _) => language.clone(),
            (None, Some(window)) if self.is_multilingual() => no_grad(|| self.language_of(&window.audio(samples)))?.0,
            (None, _) => "en".to_owned(),
        };
        let mut segments = vec![];
        let mut last_speech = 0.0;
        for (index, batch) in windows.chunks(options.batch_size.max(1)).enumerate() {
            progress((index * options.batch_size.max(1)) as f32 / windows.len() as f32);
            let heard = no_grad(|| self.hear(samples, batch, &language, options))?;
            for (window, (hypothesis, timings)) in batch.iter().zip(heard) {
                segments.extend(self.segments(window, &hypothesis, timings, &mut last_speech));
            }
        }
        progress(1.0);
        let duration_us = MediaTime::from_seconds(samples.len() as f64 / SAMPLE_RATE as f64);
        let segments = in_order(segments.into_iter().map(|segment| later(segment, offset)));
        Ok(Transcript { language, model: self.name.clone(), duration_us, segments })
    }

    /// Decodes and aligns a batch of windows.
    fn hear(&self, samples: &[f32], batch: &[Window], language: &str, options: &Options) -> Result<Vec<(Hypothesis, Vec<Timing>)>> {
        let prompt = self.tokens.prompt(language)?;
        let audio: Vec<Vec<f32>> = batch.iter().map(|window| window.audio(samples)).collect();
        let states = self.network.encode(&audio.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let decoding = Decoding::new(&self.network, &self.tokens, &self.settings, prompt.clone());
        let (hypotheses, memory) = decoding.believed(&states, options.beam_size);
        let heard: Vec<Heard> = hypotheses.iter().zip(batch).map(|(hypothesis, window)| self.heard(hypothesis, window)).collect();
        let aligner =
            Aligner { network: &self.network, tokens: &self.tokens, heads: &self.settings.alignment_heads, prompt: &prompt, language };
        let timings = aligner.align(&memory, &heard);
        Ok(hypotheses.into_iter().zip(timings).collect())
    }

    /// Returns the text tokens of a hypothesis; none when it is silence.
    fn heard(&self, hypothesis: &Hypothesis, window: &Window) -> Heard {
        let mut heard = Heard { tokens: vec![], probabilities: vec![], seconds: window.seconds() };
        if !is_silence(hypothesis) {
            for phrase in self.phrases(hypothesis, window.seconds()) {
                heard.tokens.extend(phrase.tokens);
                heard.probabilities.extend(phrase.probabilities);
            }
        }
        heard
    }

    /// Cuts a hypothesis at its timestamps.
    fn phrases(&self, hypothesis: &Hypothesis, seconds: f64) -> Vec<Phrase> {
        let begin = self.tokens.timestamp_begin();
        let mut phrases = vec![];
        let mut open = Phrase { start: 0.0, end: seconds, tokens: vec![], probabilities: vec![] };
        for (&token, logprob) in hypothesis.tokens.iter().zip(&hypothesis.logprobs) {
            if token < begin {
                open.tokens.push(token);
                open.probabilities.push(logprob.exp());
                continue;
            }
            let at = (token - begin) as f64 * TIMESTAMP_SECONDS;
            if open.tokens.is_empty() {
                open.start = at;
                continue;
            }
            open.end = at;
            let next = Phrase { start: at, end: seconds, tokens: vec![], probabilities: vec![] };
            phrases.push(std::mem::replace(&mut open, next));
        }
        if !open.tokens.is_empty() {
            phrases.push(open);
        }
        phrases
    }

    /// Returns the segments of one window with times of the audio.
    fn segments(&self, window: &Window, hypothesis: &Hypothesis, mut timings: Vec<Timing>, last_speech: &mut f64) -> Vec<Segment> {
        if timings.is_empty() {
            return vec![];
        }
        let length = merge_punctuation(&mut timings);
        let mut left = timings.into_iter().peekable();
        let mut segments = vec![];
        for phrase in self.phrases(hypothesis, window.seconds()) {
            let mut words = vec![];
            let mut tokens = 0;
            while tokens < phrase.tokens.len() {
                let Some(word) = left.next() else { break };
                tokens += word.tokens;
                words.push(word);
            }
            // The correction looks at the pause before, so it works on the line of all speech without the silence.
            words.iter_mut().for_each(|word| (word.start, word.end) = (word.start + window.offset, word.end + window.offset));
            let (_, end) = tidy(&mut words, (phrase.start + window.offset, phrase.end + window.offset), *last_speech, length);
            *last_speech = if words.is_empty() { *last_speech } else { end };
            let placed: Vec<PlacedWord> = words.into_iter().map(|word| place(word, window)).collect();
            segments.extend(split(placed).into_iter().filter_map(|words| segment(words, hypothesis)));
        }
        segments
    }
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

fn later(segment: Segment, offset: MediaTime) -> Segment {
    let move_span = |span: Span| Span::new(span.start().plus(offset), span.end().plus(offset)).unwrap_or(span);
    let words = segment.words.into_iter().map(|word| Word { span: move_span(word.span), ..word }).collect();
    Segment { span: move_span(segment.span), words, ..segment }
}

/// Moves words that reach into the segment before them; what is left of them stays in order.
fn in_order(segments: impl Iterator<Item = Segment>) -> Vec<Segment> {
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
