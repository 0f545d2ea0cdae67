//! The reference's corrections of word times, in its order: long words at sentence ends, punctuation, long words after a pause.

/// Goes with the word after it.
const OPENING: &str = "\"'“¿([{-";
/// Goes with the word before it.
const CLOSING: &str = "\"'.。,，!！?？:：”)]}、";
const SENTENCE_ENDS: &str = ".。!！?？";
/// No median word is taken to be longer.
const MEDIAN_SECONDS_MAX: f64 = 0.7;
/// A segment's own time is preferred when the word's differs by more.
const TRUST_SECONDS: f64 = 0.5;

/// A word with its times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timing {
    /// With the space before it.
    pub(crate) text: String,
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) probability: f32,
    /// How many tokens it has.
    pub(crate) tokens: usize,
}

impl Timing {
    fn seconds(&self) -> f64 {
        self.end - self.start
    }
}

/// Usual and longest believable word in a window, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WordLength {
    median: f64,
    longest: f64,
}

/// Shortens words at sentence ends, joins punctuation to its word, and returns how long words are here.
pub(crate) fn merge_punctuation(words: &mut Vec<Timing>) -> WordLength {
    let length = word_length(words);
    if length.longest > 0.0 {
        shorten_at_sentence_ends(words, length.longest);
    }
    join_opening(words);
    join_closing(words);
    words.retain(|word| !word.text.is_empty());
    length
}

fn word_length(words: &[Timing]) -> WordLength {
    let mut seconds: Vec<f64> = words.iter().map(Timing::seconds).filter(|&seconds| seconds > 0.0).collect();
    seconds.sort_by(f64::total_cmp);
    let middle = seconds.len() / 2;
    let median = match seconds.len() {
        0 => 0.0,
        count if count % 2 == 1 => seconds[middle],
        _ => (seconds[middle - 1] + seconds[middle]) / 2.0,
    };
    let median = median.min(MEDIAN_SECONDS_MAX);
    WordLength { median, longest: median * 2.0 }
}

fn shorten_at_sentence_ends(words: &mut [Timing], longest: f64) {
    for index in 1..words.len() {
        if words[index].seconds() <= longest {
            continue;
        }
        if SENTENCE_ENDS.contains(words[index].text.as_str()) {
            words[index].end = words[index].start + longest;
        } else if SENTENCE_ENDS.contains(words[index - 1].text.as_str()) {
            words[index].start = words[index].end - longest;
        }
    }
}

fn join_opening(words: &mut [Timing]) {
    for index in (0..words.len().saturating_sub(1)).rev() {
        let is_opening = words[index].text.starts_with(' ') && OPENING.contains(words[index].text.trim());
        let Some(next) = (index + 1..words.len()).find(|&next| !words[next].text.is_empty()) else { continue };
        if is_opening {
            let (text, tokens) = (std::mem::take(&mut words[index].text), std::mem::take(&mut words[index].tokens));
            words[next].text.insert_str(0, &text);
            words[next].tokens += tokens;
        }
    }
}

fn join_closing(words: &mut [Timing]) {
    let mut previous = 0;
    for index in 1..words.len() {
        let is_closing =
            !words[previous].text.ends_with(' ') && !words[index].text.is_empty() && CLOSING.contains(words[index].text.as_str());
        if is_closing {
            let (text, tokens) = (std::mem::take(&mut words[index].text), std::mem::take(&mut words[index].tokens));
            words[previous].text.push_str(&text);
            words[previous].tokens += tokens;
        } else if !words[index].text.is_empty() {
            previous = index;
        }
    }
}

/// Corrects the words at the ends of a segment `[start, end)` that follows speech which ended at `last_speech`;
/// returns the segment's times. All times are on one line.
pub(crate) fn tidy(words: &mut [Timing], segment: (f64, f64), last_speech: f64, length: WordLength) -> (f64, f64) {
    let (mut start, mut end) = segment;
    let WordLength { median, longest } = length;
    let Some(first) = words.first() else { return segment };
    let second = words.get(1).cloned();
    let follows_pause = first.end - last_speech > median * 4.0;
    let is_long = first.seconds() > longest || second.as_ref().is_some_and(|second| second.end - first.start > longest * 2.0);
    if follows_pause && is_long {
        if let Some(second) = second.filter(|second| second.seconds() > longest) {
            let boundary = (second.end / 2.0).max(second.end - longest);
            words[0].end = boundary;
            words[1].start = boundary;
        }
        words[0].start = (words[0].end - longest).max(0.0);
    }
    let first = &mut words[0];
    if start < first.end && start - TRUST_SECONDS > first.start {
        first.start = (first.end - median).min(start).max(0.0);
    } else {
        start = first.start;
    }
    if let Some(last) = words.last_mut() {
        if end > last.start && end + TRUST_SECONDS < last.end {
            last.end = (last.start + median).max(end);
        } else {
            end = last.end;
        }
    }
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, start: f64, end: f64) -> Timing {
        Timing { text: text.to_owned(), start, end, probability: 1.0, tokens: 1 }
    }

    fn texts(words: &[Timing]) -> Vec<&str> {
        words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn punctuation_joins_the_word_it_belongs_to() {
        let mut words =
            vec![word(" He", 0.0, 0.2), word(" \"", 0.2, 0.3), word("said", 0.3, 0.5), word(",", 0.5, 0.5), word("\"", 0.5, 0.6)];
        merge_punctuation(&mut words);
        assert_eq!(texts(&words), [" He", " \"said,\""]);
        assert_eq!(words[1].tokens, 4);
    }

    #[test]
    fn a_long_full_stop_is_cut_short() {
        let mut words = vec![word(" So", 0.0, 0.2), word(" it", 0.2, 0.4), word(" is", 0.4, 0.6), word(".", 0.6, 5.0)];
        shorten_at_sentence_ends(&mut words, 0.4);
        assert_eq!(words[3].end, 1.0);
    }

    #[test]
    fn the_first_word_after_a_pause_is_cut_to_twice_the_median() {
        let mut words = vec![word(" So", 1.0, 6.0), word(" it", 6.0, 6.2)];
        let (start, end) = tidy(&mut words, (1.0, 6.2), 0.0, WordLength { median: 0.3, longest: 0.6 });
        assert_eq!((words[0].start, start, end), (5.4, 5.4, 6.2));
    }
}
