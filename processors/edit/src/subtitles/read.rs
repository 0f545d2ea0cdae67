//! From a subtitle file to a transcript.

use super::{blocks, whisper};
use crate::cues::{joined, needs_space};
use domain::artefact::{Segment, Transcript, Word};
use domain::{MediaTime, Span};
use thiserror::Error;

/// Six hours of Whisper JSON with every token are about 20 MB.
pub const MAX_BYTES: usize = 64 << 20;
/// Six hours with a cue for every word are about 60,000.
pub const MAX_CUES: usize = 200_000;
/// Two cues that share more than this part of the shorter one are spoken together; otherwise the earlier one ends early.
const TOGETHER: f64 = 0.5;

/// A transcript that somebody brought along.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// Phrases in time order that do not overlap. Words without times of their own are spread over their phrase by length.
    pub transcript: Transcript,
    /// Whether the words' times come from the file; if not, they wait to be aligned with the sound.
    pub has_word_times: bool,
}

/// A file that cannot be taken as a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the transcript cannot be read, line {line}: {fault}")]
pub struct Unreadable {
    /// Where, from 1.
    pub line: usize,
    /// Why.
    pub fault: Fault,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Refused before it is looked at.
    #[error("the file is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// More cues than any video has.
    #[error("there are more than {MAX_CUES} cues")]
    TooManyCues,
    /// Another encoding.
    #[error("the text is not UTF-8; save it as UTF-8 and try again")]
    NotUtf8,
    /// Not text at all.
    #[error("this is not a text file")]
    NotText,
    /// Text of another kind.
    #[error("this is not SRT, WebVTT or Whisper JSON")]
    NotSubtitles,
    /// A time stamp that is none.
    #[error("{0:?} is not a time; write hours:minutes:seconds,milliseconds")]
    BadTime(String),
    /// A time line whose end comes first.
    #[error("the cue ends before it starts")]
    EndsBeforeStart,
    /// JSON that does not parse or has another shape.
    #[error("this is not the JSON that Whisper writes: {0}")]
    BadJson(String),
    /// Nothing is left.
    #[error("there are no words in it")]
    NoWords,
    /// A transcript of something else.
    #[error("every cue begins after the end of the video")]
    OutsideVideo,
}

/// A phrase as a file gives it.
#[derive(Clone, Debug, Default)]
pub(super) struct Phrase {
    /// Line in the file, from 1.
    pub(super) line: usize,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) text: String,
    /// Words in order with their times; empty when the file has none.
    pub(super) words: Vec<Timed>,
    pub(super) mean_logprob: f32,
    pub(super) no_speech_probability: f32,
}

/// A word with its times in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    pub(super) text: String,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) probability: f32,
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) format: &'static str,
    /// ISO 639-1, when the file says so.
    pub(super) language: Option<String>,
    pub(super) phrases: Vec<Phrase>,
}

/// Reads SRT, WebVTT or Whisper JSON, told apart by what the file begins with. `language` is used where the file names none;
/// what lies after `duration` is left out.
///
/// # Errors
/// [`Unreadable`] names the line and what is wrong there.
pub fn read(bytes: &[u8], language: &str, duration: MediaTime) -> Result<Imported, Unreadable> {
    if bytes.len() > MAX_BYTES {
        return Err(Unreadable { line: 1, fault: Fault::TooLarge });
    }
    let text = decoded(bytes)?;
    let parsed = match text.trim_start().chars().next() {
        Some('{' | '[') => whisper::parse(&text)?,
        _ if blocks::is_vtt(&text) => blocks::vtt(&text)?,
        _ => blocks::srt(&text)?,
    };
    if let Some(excess) = parsed.phrases.get(MAX_CUES) {
        return Err(Unreadable { line: excess.line, fault: Fault::TooManyCues });
    }
    assemble(parsed, language, duration)
}

/// Returns the text without byte-order mark, its lines ended by `\n`.
fn decoded(bytes: &[u8]) -> Result<String, Unreadable> {
    let text = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest)?,
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        _ => utf8(bytes)?,
    };
    match text.find('\0') {
        Some(at) => Err(Unreadable { line: line_of(&text.as_bytes()[..at]), fault: Fault::NotText }),
        None => Ok(text.replace("\r\n", "\n").replace('\r', "\n")),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, Unreadable> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let fault = if bytes.contains(&0) { Fault::NotText } else { Fault::NotUtf8 };
            Err(Unreadable { line: line_of(&bytes[..error.valid_up_to()]), fault })
        }
    }
}

fn utf16(bytes: &[u8], order: fn([u8; 2]) -> u16) -> Result<String, Unreadable> {
    let units = bytes.chunks_exact(2).map(|pair| order([pair[0], pair[1]]));
    char::decode_utf16(units).collect::<Result<String, _>>().map_err(|_| Unreadable { line: 1, fault: Fault::NotText })
}

fn line_of(before: &[u8]) -> usize {
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn assemble(parsed: Parsed, language: &str, duration: MediaTime) -> Result<Imported, Unreadable> {
    let mut phrases = parsed.phrases;
    phrases.retain(|phrase| !phrase.text.trim().is_empty());
    let first_line = phrases.first().map_or(1, |phrase| phrase.line);
    if phrases.is_empty() {
        return Err(Unreadable { line: first_line, fault: Fault::NoWords });
    }
    phrases.retain(|phrase| phrase.start < duration.0);
    if phrases.is_empty() {
        return Err(Unreadable { line: first_line, fault: Fault::OutsideVideo });
    }
    phrases.sort_by_key(|phrase| (phrase.start, phrase.end));
    let phrases = apart(phrases);
    let nexts: Vec<u64> = phrases.iter().skip(1).map(|phrase| phrase.start).chain([duration.0]).collect();
    let has_word_times = phrases.iter().all(|phrase| !phrase.words.is_empty());
    let segments = phrases.into_iter().zip(nexts).map(|(phrase, next)| segment(phrase, next.min(duration.0))).collect();
    let language = parsed.language.unwrap_or_else(|| language.to_owned());
    let transcript = Transcript { language, model: parsed.format.to_owned(), duration_us: duration, segments };
    Ok(Imported { transcript, has_word_times })
}

/// Joins phrases that are spoken together, and those that have no time of their own, to the phrase before them.
fn apart(phrases: Vec<Phrase>) -> Vec<Phrase> {
    let mut apart: Vec<Phrase> = Vec::with_capacity(phrases.len());
    for phrase in phrases {
        match apart.last_mut() {
            Some(before) if is_together(before, &phrase) => join(before, phrase),
            _ => apart.push(phrase),
        }
    }
    for phrase in apart.iter_mut().filter(|phrase| !phrase.words.is_sorted_by_key(|word| word.start)) {
        phrase.words.sort_by_key(|word| word.start);
        phrase.text = joined(phrase.words.iter().map(|word| word.text.as_str()));
    }
    apart
}

fn is_together(before: &Phrase, phrase: &Phrase) -> bool {
    let shared = before.end.min(phrase.end).saturating_sub(phrase.start);
    let shorter = (before.end - before.start).min(phrase.end - phrase.start);
    let has_words_after = before.words.last().is_some_and(|word| word.end > phrase.start + (word.end - word.start) / 2);
    phrase.start == before.start || phrase.start == phrase.end || shared as f64 > TOGETHER * shorter as f64 || has_words_after
}

/// Takes time in proportion to what is added, as a hostile file may put every cue at the same time.
fn join(before: &mut Phrase, phrase: Phrase) {
    before.end = before.end.max(phrase.end);
    before.text.push(' ');
    before.text.push_str(&phrase.text);
    if before.words.is_empty() || phrase.words.is_empty() {
        before.words.clear();
    } else {
        before.words.extend(phrase.words);
    }
}

fn segment(phrase: Phrase, next: u64) -> Segment {
    let end = phrase.end.min(next).max(phrase.start + 1);
    let span = span(phrase.start, end);
    let text = phrase.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = timed(phrase.words, span).unwrap_or_else(|| spread(&text, span));
    Segment { span, text, words, mean_logprob: phrase.mean_logprob, no_speech_probability: phrase.no_speech_probability }
}

/// Returns the words in order and inside the span, none overlapping; `None` when there are none or they do not fit.
fn timed(words: Vec<Timed>, within: Span) -> Option<Vec<Word>> {
    let (first, end) = (within.start().0, within.end().0);
    let mut starts: Vec<u64> = Vec::with_capacity(words.len());
    for word in &words {
        let earliest = starts.last().map_or(first, |before| before + 1);
        starts.push(word.start.max(earliest));
    }
    // Words pressed against the end are moved to the left, a microsecond each.
    let mut latest = end;
    for start in starts.iter_mut().rev() {
        latest = latest.checked_sub(1).filter(|latest| *latest >= first)?;
        *start = (*start).min(latest);
        latest = *start;
    }
    let nexts = starts.iter().skip(1).copied().chain([end]);
    let word = |((word, start), next): ((&Timed, &u64), u64)| Word {
        span: span(*start, word.end.clamp(start + 1, next)),
        text: word.text.clone(),
        probability: word.probability,
    };
    (!words.is_empty()).then(|| words.iter().zip(&starts).zip(nexts).map(word).collect())
}

/// Returns the words of a text, each with a part of the span by its length.
pub(super) fn spread(text: &str, within: Span) -> Vec<Word> {
    let words = split(text);
    let weights: Vec<u64> = words.iter().map(|word| word.chars().count() as u64 + 1).collect();
    let total: u64 = weights.iter().sum();
    let (start, length) = (within.start().0, within.duration().0);
    if length < total {
        return vec![Word { span: within, text: text.to_owned(), probability: 1.0 }];
    }
    let mut before = 0;
    let mut spread = Vec::with_capacity(words.len());
    for (word, weight) in words.into_iter().zip(weights) {
        let at = |weight: u64| start + (u128::from(length) * u128::from(weight) / u128::from(total)) as u64;
        spread.push(Word { span: span(at(before), at(before + weight)), text: word, probability: 1.0 });
        before += weight;
    }
    spread
}

/// Returns the words of a text; scripts without spaces are split into characters with the marks that follow them.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let mut current = String::new();
        for character in word.chars() {
            let is_letter = character.is_alphanumeric();
            if is_letter && !current.is_empty() && !needs_space(&current, character.encode_utf8(&mut [0; 4])) {
                words.push(std::mem::take(&mut current));
            }
            current.push(character);
        }
        words.push(current);
    }
    words
}

fn span(start: u64, end: u64) -> Span {
    Span::new(MediaTime(start), MediaTime(end)).expect("every word and phrase lasts at least a microsecond")
}
