//! The JSON files of openai-whisper, faster-whisper, WhisperX, the transcription API and whisper.cpp.

use super::read::{Fault, Parsed, Phrase, Timed, Unreadable};
use crate::cues::{joined, needs_space};
use serde::Deserialize;

/// A sentence of a bare word list ends after a pause of this many microseconds.
const PAUSE: u64 = 800_000;
/// Later times, of a damaged file, count as this: a hundred hours, in microseconds.
const LATEST: u64 = 100 * 3_600 * 1_000_000;

#[derive(Deserialize)]
struct Document {
    language: Option<String>,
    #[serde(default)]
    segments: Vec<SegmentJson>,
    /// The API lists the words of all segments together.
    #[serde(default)]
    words: Vec<WordJson>,
    /// whisper.cpp.
    result: Option<CppResult>,
    transcription: Option<Vec<CppSegment>>,
}

#[derive(Deserialize)]
struct SegmentJson {
    start: f64,
    end: f64,
    text: String,
    avg_logprob: Option<f32>,
    no_speech_prob: Option<f32>,
    words: Option<Vec<WordJson>>,
}

#[derive(Deserialize)]
struct WordJson {
    word: String,
    /// WhisperX leaves out the times of what it could not align.
    start: Option<f64>,
    end: Option<f64>,
    #[serde(alias = "score")]
    probability: Option<f32>,
}

#[derive(Deserialize)]
struct CppResult {
    language: Option<String>,
}

#[derive(Deserialize)]
struct CppSegment {
    offsets: CppOffsets,
    text: String,
    #[serde(default)]
    tokens: Vec<CppToken>,
}

#[derive(Deserialize)]
struct CppToken {
    text: String,
    offsets: Option<CppOffsets>,
    p: Option<f32>,
}

/// Milliseconds.
#[derive(Clone, Copy, Deserialize)]
struct CppOffsets {
    from: i64,
    to: i64,
}

/// Reads any of the shapes.
pub(super) fn parse(text: &str) -> Result<Parsed, Unreadable> {
    let bad = |error: serde_json::Error| Unreadable { line: error.line().max(1), fault: Fault::BadJson(error.to_string()) };
    let document = if text.trim_start().starts_with('[') {
        let segments = serde_json::from_str(text).map_err(bad)?;
        Document { language: None, segments, words: Vec::new(), result: None, transcription: None }
    } else {
        serde_json::from_str::<Document>(text).map_err(bad)?
    };
    let spoken = document.result.and_then(|result| result.language);
    let language = document.language.or(spoken).map(|language| code(&language));
    let phrases = match document.transcription {
        Some(segments) => segments.into_iter().map(cpp_phrase).collect(),
        None if document.segments.is_empty() => sentences(timed(document.words, 0, 0)),
        None => with_words(document.segments.into_iter().map(phrase).collect(), document.words),
    };
    Ok(Parsed { format: "whisper-json", language, phrases })
}

fn micros(seconds: f64) -> u64 {
    domain::MediaTime::from_seconds(seconds).0.min(LATEST)
}

fn phrase(segment: SegmentJson) -> Phrase {
    let (start, end) = (micros(segment.start), micros(segment.end));
    Phrase {
        line: 1,
        start,
        end: end.max(start),
        text: segment.text,
        words: timed(segment.words.unwrap_or_default(), start, end.max(start)),
        mean_logprob: segment.avg_logprob.unwrap_or(0.0),
        no_speech_probability: segment.no_speech_prob.unwrap_or(0.0),
    }
}

/// Returns words with times; one without starts where the word before it ends, and ends where the next one starts.
fn timed(words: Vec<WordJson>, start: u64, end: u64) -> Vec<Timed> {
    if words.iter().all(|word| word.start.is_none()) {
        return Vec::new();
    }
    let mut nexts = vec![None; words.len()];
    for index in (1..words.len()).rev() {
        nexts[index - 1] = words[index].start.map(micros).or(nexts[index]);
    }
    let mut at = start;
    let mut timed = Vec::with_capacity(words.len());
    for (word, next) in words.into_iter().zip(nexts) {
        let start = word.start.map_or(at, micros);
        let end = word.end.map_or_else(|| next.unwrap_or(end), micros).max(start);
        let text = word.word.trim().to_owned();
        at = if word.end.is_some() { end } else { start };
        if !text.is_empty() {
            timed.push(Timed { text, start, end, probability: word.probability.unwrap_or(1.0).clamp(0.0, 1.0) });
        }
    }
    timed
}

/// Gives the words of a common list to the segments they begin in.
fn with_words(mut phrases: Vec<Phrase>, words: Vec<WordJson>) -> Vec<Phrase> {
    if phrases.iter().any(|phrase| !phrase.words.is_empty()) {
        return phrases;
    }
    for word in timed(words, 0, 0) {
        let middle = u64::midpoint(word.start, word.end);
        let after = phrases.partition_point(|phrase| phrase.start <= middle);
        phrases[after.saturating_sub(1)].words.push(word);
    }
    phrases
}

/// Makes phrases of bare words: a phrase ends with its sentence, or at a pause.
fn sentences(words: Vec<Timed>) -> Vec<Phrase> {
    let is_same = |word: &Timed, next: &Timed| !word.text.ends_with(['.', '?', '!', '。', '？', '！']) && next.start < word.end + PAUSE;
    let phrase = |words: &[Timed]| Phrase {
        line: 1,
        start: words[0].start,
        end: words[words.len() - 1].end,
        text: joined(words.iter().map(|word| word.text.as_str())),
        words: words.to_vec(),
        ..Phrase::default()
    };
    words.chunk_by(is_same).map(phrase).collect()
}

fn cpp_micros(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or(0).saturating_mul(1_000).min(LATEST)
}

fn cpp_phrase(segment: CppSegment) -> Phrase {
    let (start, end) = (cpp_micros(segment.offsets.from), cpp_micros(segment.offsets.to));
    Phrase { line: 1, start, end: end.max(start), text: segment.text, words: cpp_words(&segment.tokens), ..Phrase::default() }
}

/// Joins tokens to words: a token that begins with a space, or follows a script without spaces, begins one.
fn cpp_words(tokens: &[CppToken]) -> Vec<Timed> {
    let mut words: Vec<(Timed, u32)> = Vec::new();
    for token in tokens {
        let Some(offsets) = token.offsets.filter(|_| !token.text.starts_with("[_") && !token.text.trim().is_empty()) else { continue };
        let (text, start, end) = (token.text.trim(), cpp_micros(offsets.from), cpp_micros(offsets.to));
        let probability = token.p.unwrap_or(1.0).clamp(0.0, 1.0);
        let is_mark = !text.chars().any(char::is_alphanumeric);
        match words.last_mut() {
            Some((word, count)) if !token.text.starts_with(' ') && (is_mark || needs_space(&word.text, text)) => {
                word.text.push_str(text);
                word.end = word.end.max(end);
                word.probability += probability;
                *count += 1;
            }
            _ => words.push((Timed { text: text.to_owned(), start, end: end.max(start), probability }, 1)),
        }
    }
    words.into_iter().map(|(word, count)| Timed { probability: word.probability / count as f32, ..word }).collect()
}

/// Returns the ISO 639-1 code of a language that may be named in English, as the API does.
fn code(language: &str) -> String {
    let name = language.trim().to_lowercase();
    match NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, code)) => (*code).to_owned(),
        None => name,
    }
}

/// The languages that the API names.
const NAMES: [(&str, &str); 57] = [
    ("afrikaans", "af"),
    ("arabic", "ar"),
    ("armenian", "hy"),
    ("azerbaijani", "az"),
    ("belarusian", "be"),
    ("bosnian", "bs"),
    ("bulgarian", "bg"),
    ("catalan", "ca"),
    ("chinese", "zh"),
    ("croatian", "hr"),
    ("czech", "cs"),
    ("danish", "da"),
    ("dutch", "nl"),
    ("english", "en"),
    ("estonian", "et"),
    ("finnish", "fi"),
    ("french", "fr"),
    ("galician", "gl"),
    ("german", "de"),
    ("greek", "el"),
    ("hebrew", "he"),
    ("hindi", "hi"),
    ("hungarian", "hu"),
    ("icelandic", "is"),
    ("indonesian", "id"),
    ("italian", "it"),
    ("japanese", "ja"),
    ("kannada", "kn"),
    ("kazakh", "kk"),
    ("korean", "ko"),
    ("latvian", "lv"),
    ("lithuanian", "lt"),
    ("macedonian", "mk"),
    ("malay", "ms"),
    ("maori", "mi"),
    ("marathi", "mr"),
    ("nepali", "ne"),
    ("norwegian", "no"),
    ("persian", "fa"),
    ("polish", "pl"),
    ("portuguese", "pt"),
    ("romanian", "ro"),
    ("russian", "ru"),
    ("serbian", "sr"),
    ("slovak", "sk"),
    ("slovenian", "sl"),
    ("spanish", "es"),
    ("swahili", "sw"),
    ("swedish", "sv"),
    ("tagalog", "tl"),
    ("tamil", "ta"),
    ("thai", "th"),
    ("turkish", "tr"),
    ("ukrainian", "uk"),
    ("urdu", "ur"),
    ("vietnamese", "vi"),
    ("welsh", "cy"),
];
