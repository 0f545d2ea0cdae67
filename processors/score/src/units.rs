//! Sentences from words: by punctuation, and by pauses where there is none.

use crate::text::{join, normal};
use domain::artefact::Transcript;
use domain::{MediaTime, Span};
use std::ops::Range;

/// A pause that ends a sentence where the transcript has no punctuation.
const SENTENCE_PAUSE: MediaTime = MediaTime::from_millis(600);
/// A pause that ends a sentence in any transcript: nobody waits so long inside one.
const UTTERANCE_PAUSE: MediaTime = MediaTime::from_millis(2_000);
/// A longer sentence is cut at its best inner break: the longest clip must hold several units.
const WORDS_MAX: usize = 45;
/// A transcript with fewer sentence ends than one in so many words counts as unpunctuated.
const WORDS_PER_END_MAX: usize = 60;
/// A transcript with fewer capitals than one in so many words is written in lower case, or in a script without case.
const WORDS_PER_CAPITAL_MAX: usize = 60;
/// Words that end in a full stop without ending a sentence.
const ABBREVIATIONS: [&str; 14] =
    ["mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "e.g.", "i.e.", "etc.", "no.", "jr.", "sr.", "approx."];

/// A spoken word in its normal form.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// When it is spoken.
    pub span: Span,
    /// As written, with its punctuation.
    pub text: String,
    /// In lower case without punctuation.
    pub normal: String,
    /// How sure the model was, 0 to 1.
    pub probability: f32,
}

/// How a sentence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a full stop, an exclamation mark, or its like.
    Closed,
    /// With a question mark.
    Question,
    /// Without a mark.
    Open,
}

/// The smallest piece that a clip may begin or end with.
#[derive(Clone, Debug, PartialEq)]
pub struct Sentence {
    /// Which words of [`Units::words`].
    pub words: Range<usize>,
    /// From the first word's start to the last word's end.
    pub span: Span,
    /// As written.
    pub text: String,
    /// Its mark.
    pub ending: Ending,
    /// Mean probability of its words, 0 to 1.
    pub confidence: f64,
    /// Silence since the word before, or since the beginning of the video.
    pub pause_before: MediaTime,
    /// Silence until the next word, or until the end of the video.
    pub pause_after: MediaTime,
}

/// The words and sentences of a talk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Units {
    /// In time order.
    pub words: Vec<Word>,
    /// In time order; together they hold every word.
    pub sentences: Vec<Sentence>,
    /// Whether sentences were told by punctuation.
    pub is_punctuated: bool,
}

impl Units {
    /// Returns the units of a transcript; words after the end of the video are dropped.
    #[must_use]
    pub fn new(transcript: &Transcript, duration: MediaTime) -> Self {
        let words = words(transcript, duration);
        let capitals = words.iter().filter(|word| word.text.starts_with(char::is_uppercase)).count();
        let is_cased = capitals * WORDS_PER_CAPITAL_MAX >= words.len();
        let ends_by_mark = |at: usize| ends_by_mark(&words, at, is_cased);
        let ends = (0..words.len()).filter(|&at| ends_by_mark(at)).count();
        let is_punctuated = ends * WORDS_PER_END_MAX >= words.len();
        let mut ranges = Vec::new();
        let mut from = 0;
        for at in 0..words.len() {
            let pause = pause_after(&words, at, duration);
            let limit = if is_punctuated { UTTERANCE_PAUSE } else { SENTENCE_PAUSE };
            if at + 1 == words.len() || pause >= limit || ends_by_mark(at) {
                split_long(&words, from..at + 1, &mut ranges);
                from = at + 1;
            }
        }
        let sentences = ranges.into_iter().map(|range| sentence(&words, range, duration)).collect();
        Self { words, sentences, is_punctuated }
    }

    /// Returns the sentences' text.
    #[must_use]
    pub fn text(&self, sentences: &Range<usize>) -> String {
        join(self.sentences[sentences.clone()].iter().map(|sentence| sentence.text.as_str()))
    }

    /// Returns from the first sentence's first word to the last sentence's last.
    #[must_use]
    pub fn span(&self, sentences: &Range<usize>) -> Span {
        let (first, last) = (&self.sentences[sentences.start], &self.sentences[sentences.end - 1]);
        Span::new(first.span.start(), last.span.end()).unwrap_or(first.span)
    }

    /// Returns the normal forms of a sentence's words.
    #[must_use]
    pub fn normals(&self, sentence: usize) -> Vec<&str> {
        self.words[self.sentences[sentence].words.clone()].iter().map(|word| word.normal.as_str()).collect()
    }
}

fn words(transcript: &Transcript, duration: MediaTime) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for word in transcript.words() {
        let Ok(span) = Span::new(word.span.start(), word.span.end().min(duration)) else { continue };
        let normal = normal(&word.text);
        match words.last_mut() {
            // A dash or bracket that the model emitted as a word of its own belongs to the word before.
            Some(before) if normal.is_empty() => before.text.push_str(&word.text),
            None if normal.is_empty() => {}
            _ => words.push(Word { span, text: word.text.clone(), normal, probability: word.probability }),
        }
    }
    words
}

fn pause_after(words: &[Word], at: usize, duration: MediaTime) -> MediaTime {
    let next = words.get(at + 1).map_or(duration, |word| word.span.start());
    next.minus(words[at].span.end())
}

fn ending(text: &str) -> Ending {
    match text.trim_end_matches(['"', '\'', '”', '’', ')', ']', '»', '」', '』']).chars().last() {
        Some('?' | '？' | '؟') => Ending::Question,
        Some('.' | '!' | '…' | '。' | '！' | '۔' | '।') => Ending::Closed,
        _ => Ending::Open,
    }
}

/// Tells whether a mark ends a sentence after this word, and not only an abbreviation or a number.
fn ends_by_mark(words: &[Word], at: usize, is_cased: bool) -> bool {
    let word = &words[at];
    if ending(&word.text) == Ending::Open {
        return false;
    }
    let is_initial = word.text.ends_with('.') && word.normal.chars().count() == 1 && word.normal != "i";
    if is_initial || ABBREVIATIONS.contains(&word.text.to_lowercase().as_str()) {
        return false;
    }
    let goes_on = is_cased && words.get(at + 1).is_some_and(|next| next.text.starts_with(|c: char| c.is_lowercase()));
    !goes_on || ending(&word.text) == Ending::Question || !word.text.ends_with(['.', '…'])
}

/// Cuts a range that is too long at a comma or the longest pause, whichever is stronger, not too near its ends.
fn split_long(words: &[Word], range: Range<usize>, ranges: &mut Vec<Range<usize>>) {
    if range.len() <= WORDS_MAX {
        ranges.push(range);
        return;
    }
    let margin = range.len() / 4;
    let weight = |at: usize| {
        let pause = words[at + 1].span.start().minus(words[at].span.end()).seconds();
        let clause = if words[at].text.ends_with([',', ';', ':', '—', '、', '，', '،']) { 0.5 } else { 0.0 };
        pause + clause
    };
    let mut best = range.start + margin;
    for at in range.start + margin..range.end - margin {
        if weight(at) > weight(best) {
            best = at;
        }
    }
    split_long(words, range.start..best + 1, ranges);
    split_long(words, best + 1..range.end, ranges);
}

fn sentence(words: &[Word], range: Range<usize>, duration: MediaTime) -> Sentence {
    let (first, last) = (&words[range.start], &words[range.end - 1]);
    let before = if range.start == 0 { MediaTime::ZERO } else { words[range.start - 1].span.end() };
    Sentence {
        span: Span::new(first.span.start(), last.span.end()).unwrap_or(first.span),
        text: join(words[range.clone()].iter().map(|word| word.text.as_str())),
        ending: ending(&last.text),
        confidence: words[range.clone()].iter().map(|word| f64::from(word.probability)).sum::<f64>() / range.len() as f64,
        pause_before: first.span.start().minus(before),
        pause_after: pause_after(words, range.end - 1, duration),
        words: range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::artefact::{Segment, Word as Spoken};

    /// Words of 0.3 s, 0.1 s apart; `|` is a pause of 0.8 s.
    fn split(text: &str) -> Vec<String> {
        let mut at = 0;
        let mut words = Vec::new();
        for word in text.split(' ') {
            if word == "|" {
                at += 800;
                continue;
            }
            let span = Span::new(MediaTime::from_millis(at), MediaTime::from_millis(at + 300)).unwrap();
            words.push(Spoken { span, text: word.to_owned(), probability: 1.0 });
            at += 400;
        }
        let duration = MediaTime::from_millis(at + 1_000);
        let span = Span::new(MediaTime::ZERO, duration).unwrap();
        let segments = vec![Segment { span, text: text.to_owned(), words, mean_logprob: 0.0, no_speech_probability: 0.0 }];
        let transcript = Transcript { language: "en".to_owned(), model: "srt".to_owned(), duration_us: duration, segments };
        Units::new(&transcript, duration).sentences.into_iter().map(|sentence| sentence.text).collect()
    }

    #[test]
    fn marks_end_sentences_but_abbreviations_and_initials_do_not() {
        assert_eq!(
            split("Dr. Smith met J. Doe. Why? He paid 3.5 euros, e.g. in coins. “Yes.” Fine"),
            ["Dr. Smith met J. Doe.", "Why?", "He paid 3.5 euros, e.g. in coins.", "“Yes.”", "Fine"]
        );
    }

    #[test]
    fn marks_end_sentences_in_lower_case_too() {
        assert_eq!(split("so this is it. and here we go. fine"), ["so this is it.", "and here we go.", "fine"]);
    }

    #[test]
    fn pauses_end_sentences_where_there_are_no_marks() {
        assert_eq!(split("this is one thought | and here is the next | done"), ["this is one thought", "and here is the next", "done"]);
    }

    #[test]
    fn a_pause_inside_a_marked_sentence_does_not_end_it() {
        assert_eq!(split("This is | one thought. And another."), ["This is | one thought.".replace("| ", "").as_str(), "And another."]);
    }

    #[test]
    fn an_endless_sentence_is_cut_at_a_comma() {
        let long = format!("{} comma, {}", ["word"; 30].join(" "), ["word"; 30].join(" "));
        let parts = split(&long);
        assert_eq!(parts.len(), 2);
        assert!(parts[0].ends_with("comma,"));
    }
}
