//! From samples to a transcript: find speech, hear windows in batches, time the words, put them back where they were said.

use crate::decode::guard::is_silence;
use crate::decode::{Decoding, Hypothesis, Trust};
use crate::model::Network;
use crate::model::mel::SAMPLE_RATE;
use crate::segments::{self, in_order, later};
use crate::streams::side_by_side;
use crate::tokens::Tokens;
use crate::vad::{self, Piece};
use crate::weights::Settings;
use crate::whisper::Whisper;
use crate::windows::{Window, batches, pack};
use crate::words::{Aligner, Heard, Timing, merge_punctuation, tidy};
use anyhow::Result;
use domain::MediaTime;
use domain::artefact::{Segment, Transcript};
use tch::no_grad;

/// Seconds per timestamp token.
const TIMESTAMP_SECONDS: f64 = 0.02;
/// Part of the progress that the first hearing is.
const FIRST_HEARING: f32 = 0.9;
/// Speech around a word counts as heard: pauses and padding are not speech that was missed.
const HEARD_AROUND_SECONDS: f64 = 0.5;
/// Speech that no word covers is heard again when it lasts this long.
const MISSED_SECONDS_MIN: f64 = 1.5;

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
        let speech = vad::pieces(samples, self.network.window_samples());
        let windows = pack(&speech, self.network.window_samples());
        let language = match (&options.language, windows.first()) {
            (Some(language), _) => language.clone(),
            (None, Some(window)) if self.is_multilingual() => no_grad(|| self.language_of(&window.audio(samples)))?.0,
            (None, _) => "en".to_owned(),
        };
        let listener = Listener { whisper: self, samples, language: &language, options };
        let mut segments = listener.listen(&windows, Trust::Fallback, &mut |part| progress(part * FIRST_HEARING))?;
        // A window that ends within a sentence loses it now and then; what no word covers is heard again on its own.
        let missed = pack(&missed(&speech, &segments), self.network.window_samples());
        segments.extend(listener.listen(&missed, Trust::SureOnly, &mut |part| progress(FIRST_HEARING + part * (1.0 - FIRST_HEARING)))?);
        progress(1.0);
        let duration_us = MediaTime::from_seconds(samples.len() as f64 / SAMPLE_RATE as f64);
        let segments = in_order(segments).into_iter().map(|segment| later(segment, offset)).collect();
        Ok(Transcript { language, model: self.name.clone(), duration_us, segments })
    }
}

/// Everything that stays the same while one piece of audio is heard.
struct Listener<'a> {
    whisper: &'a Whisper,
    samples: &'a [f32],
    language: &'a str,
    options: &'a Options,
}

impl Listener<'_> {
    /// Hears windows in batches, as many side by side as there are cores.
    fn listen(&self, windows: &[Window], trust: Trust, progress: &mut dyn FnMut(f32)) -> Result<Vec<Segment>> {
        let Whisper { network, tokens, settings, .. } = self.whisper;
        let plan = self.whisper.plan(windows.len(), self.options.batch_size);
        let batches = batches(windows, plan.streams, plan.batch_max);
        let prompt = tokens.prompt(self.language)?;
        let (samples, language, beam_size) = (self.samples, self.language, self.options.beam_size);
        let hear = |network: &Network, batch: &&[Window]| {
            tch::set_num_threads(plan.threads);
            no_grad(|| Hearing { network, tokens, settings, samples, language, prompt: &prompt, beam_size }.hear(batch, trust))
        };
        let networks = (0..plan.streams).map(|_| network.clone()).collect();
        let heard = side_by_side(networks, &batches, hear, |done| progress(done as f32 / batches.len() as f32));
        // The number is also that of threads which have not set one.
        tch::set_num_threads(self.whisper.threads);
        let mut last_speech = 0.0;
        let mut segments = vec![];
        for (window, (hypothesis, timings)) in windows.iter().zip(heard.into_iter().flatten()) {
            segments.extend(self.segments(window, &hypothesis, timings, &mut last_speech));
        }
        Ok(segments)
    }

    /// Returns the segments of one window with times of the audio.
    fn segments(&self, window: &Window, hypothesis: &Hypothesis, mut timings: Vec<Timing>, last_speech: &mut f64) -> Vec<Segment> {
        if timings.is_empty() {
            return vec![];
        }
        let length = merge_punctuation(&mut timings);
        let mut left = timings.into_iter().peekable();
        let mut found = vec![];
        for phrase in phrases(&self.whisper.tokens, hypothesis, window.seconds()) {
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
            found.extend(segments::segments(words, window, hypothesis));
        }
        found
    }
}

/// What one thread hears with.
struct Hearing<'a> {
    network: &'a Network,
    tokens: &'a Tokens,
    settings: &'a Settings,
    samples: &'a [f32],
    language: &'a str,
    prompt: &'a [i64],
    beam_size: usize,
}

impl Hearing<'_> {
    /// Decodes and aligns a batch of windows.
    fn hear(&self, batch: &[Window], trust: Trust) -> Vec<(Hypothesis, Vec<Timing>)> {
        let Self { network, tokens, settings, prompt, language, .. } = *self;
        let audio: Vec<Vec<f32>> = batch.iter().map(|window| window.audio(self.samples)).collect();
        let memory = network.memory(&audio.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let decoding = Decoding::new(network, tokens, settings, prompt.to_vec());
        let (hypotheses, memory) = decoding.believed(memory, self.beam_size, trust);
        let heard: Vec<Heard> = hypotheses.iter().zip(batch).map(|(hypothesis, window)| self.heard(hypothesis, window)).collect();
        let timings = Aligner { network, tokens, heads: &settings.alignment_heads, prompt, language }.align(&memory, &heard);
        hypotheses.into_iter().zip(timings).collect()
    }

    /// Returns the text tokens of a hypothesis; none when it is silence.
    fn heard(&self, hypothesis: &Hypothesis, window: &Window) -> Heard {
        let mut heard = Heard { tokens: vec![], probabilities: vec![], seconds: window.seconds() };
        if !is_silence(hypothesis) {
            for phrase in phrases(self.tokens, hypothesis, window.seconds()) {
                heard.tokens.extend(phrase.tokens);
                heard.probabilities.extend(phrase.probabilities);
            }
        }
        heard
    }
}

/// Cuts a hypothesis at its timestamps.
fn phrases(tokens: &Tokens, hypothesis: &Hypothesis, seconds: f64) -> Vec<Phrase> {
    let begin = tokens.timestamp_begin();
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

/// Returns the speech that no word covers.
fn missed(speech: &[Piece], segments: &[Segment]) -> Vec<Piece> {
    let sample = |seconds: f64| (seconds.max(0.0) * SAMPLE_RATE as f64) as usize;
    let mut covered: Vec<(usize, usize)> = segments
        .iter()
        .flat_map(|segment| &segment.words)
        .map(|word| (sample(word.span.start().seconds() - HEARD_AROUND_SECONDS), sample(word.span.end().seconds() + HEARD_AROUND_SECONDS)))
        .collect();
    covered.sort_unstable();
    let mut missed = vec![];
    for piece in speech {
        let mut from = piece.samples.start;
        let inside = covered.iter().filter(|(start, end)| *end > piece.samples.start && *start < piece.samples.end);
        for &(start, end) in inside.chain([&(piece.samples.end, piece.samples.end)]) {
            if start > from && start - from >= sample(MISSED_SECONDS_MIN) {
                missed.push(Piece { samples: from..start, pause_after: piece.pause_after });
            }
            from = from.max(end);
        }
    }
    missed
}
