//! Made-up talks with exact times: sentences with a loudness and a pitch each, laid out one after the other.

use domain::artefact::{Analysis, Prosody, Segment, Transcript, Word};
use domain::{MediaTime, Span};

pub(crate) const STEP_MS: u64 = 20;

/// A small seeded generator (splitmix64), so that every failure can be repeated from its seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Between 0 and 1.
    pub(crate) fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.part()
    }

    pub(crate) fn chance(&mut self, part: f64) -> bool {
        self.part() < part
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

/// How a sentence is spoken.
#[derive(Clone, Copy)]
pub(crate) struct Voice {
    pub(crate) level_db: f32,
    pub(crate) pitch_hz: f32,
    pub(crate) pause_after_ms: u64,
}

pub(crate) const CALM: Voice = Voice { level_db: -24.0, pitch_hz: 120.0, pause_after_ms: 350 };

/// A talk in the making.
pub(crate) struct Made {
    pub(crate) language: &'static str,
    at_ms: u64,
    segments: Vec<Segment>,
    level_db: Vec<f32>,
    pitch_hz: Vec<f32>,
}

impl Made {
    pub(crate) fn new() -> Self {
        Self { language: "en", at_ms: 0, segments: Vec::new(), level_db: Vec::new(), pitch_hz: Vec::new() }
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.at_ms as f64 / 1e3
    }

    pub(crate) fn silence(&mut self, ms: u64) {
        self.frames(ms, -70.0, 0.0);
    }

    fn frames(&mut self, ms: u64, level_db: f32, pitch_hz: f32) {
        self.at_ms += ms;
        while (self.level_db.len() as u64) < self.at_ms / STEP_MS {
            // A little ripple, as every voice has.
            let ripple = (self.level_db.len() % 7) as f32 / 7.0;
            self.level_db.push(level_db + ripple);
            self.pitch_hz.push(if pitch_hz > 0.0 { pitch_hz * (1.0 + ripple / 20.0) } else { 0.0 });
        }
    }

    /// Speaks a sentence and returns where it is.
    pub(crate) fn say(&mut self, text: &str, voice: Voice) -> Span {
        let mut words = Vec::new();
        for word in text.split_whitespace() {
            let from = self.at_ms;
            self.frames(100 + 50 * word.chars().count() as u64, voice.level_db, voice.pitch_hz);
            let span = Span::new(MediaTime::from_millis(from), MediaTime::from_millis(self.at_ms)).unwrap();
            words.push(Word { span, text: word.to_owned(), probability: 0.9 });
            self.frames(40, voice.level_db - 12.0, 0.0);
        }
        let span = Span::new(words[0].span.start(), words[words.len() - 1].span.end()).unwrap();
        self.segments.push(Segment { span, text: text.to_owned(), words, mean_logprob: -0.2, no_speech_probability: 0.0 });
        self.silence(voice.pause_after_ms);
        span
    }

    /// Speaks sentences one after the other.
    pub(crate) fn say_all<'a>(&mut self, sentences: impl IntoIterator<Item = &'a str>, voice: Voice) {
        for sentence in sentences {
            self.say(sentence, voice);
        }
    }

    pub(crate) fn finish(self) -> (Transcript, Analysis) {
        let duration_us = MediaTime::from_millis(self.at_ms);
        let transcript = Transcript { language: self.language.to_owned(), model: "made".to_owned(), duration_us, segments: self.segments };
        let zero_crossing_rate = self.level_db.iter().map(|db| if *db > -60.0 { 0.1 } else { 0.02 }).collect();
        let prosody = Prosody { step_ms: STEP_MS as u32, level_db: self.level_db, pitch_hz: self.pitch_hz, zero_crossing_rate };
        (transcript, Analysis { shots: Vec::new(), key_frames: Vec::new(), loudness: None, prosody })
    }
}

/// Splits text at sentence marks as a reader would; only for plain prose.
pub(crate) fn sentences(paragraph: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut sentence = String::new();
    for word in paragraph.split_whitespace() {
        if !sentence.is_empty() {
            sentence.push(' ');
        }
        sentence.push_str(word);
        if word.ends_with(['.', '?', '!']) {
            sentences.push(std::mem::take(&mut sentence));
        }
    }
    sentences
}

/// The written talk of `data/monologue.txt`, and the index of each part's first sentence.
pub(crate) fn monologue() -> (Transcript, Analysis, Vec<usize>) {
    let text = include_str!("../data/monologue.txt");
    let mut made = Made::new();
    let (mut starts, mut count) = (Vec::new(), 0);
    made.silence(800);
    for paragraph in text.split("\n\n") {
        let plain: Vec<&str> = paragraph.lines().filter(|line| !line.starts_with('#')).collect();
        starts.push(count);
        for sentence in sentences(&plain.join(" ")) {
            made.say(&sentence, CALM);
            count += 1;
        }
        made.silence(500);
    }
    let (transcript, analysis) = made.finish();
    (transcript, analysis, starts)
}
