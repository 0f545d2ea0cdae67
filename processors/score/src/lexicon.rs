//! The English word lists of `lexicon/*.txt`, and finding their phrases in a sentence.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Phrases with weights.
#[derive(Debug, Default)]
pub(crate) struct Lexicon {
    /// Entries by their first word, longest first.
    by_first: BTreeMap<String, Vec<(Vec<String>, f64)>>,
}

/// A phrase found in a sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hit {
    /// The index of its first word in the sentence.
    pub(crate) at: usize,
    /// How many words it has.
    pub(crate) len: usize,
    pub(crate) weight: f64,
}

impl Lexicon {
    /// Reads `phrase = weight` lines; the lists are part of the program, so a line that cannot be read is a mistake of ours.
    fn parse(list: &str) -> Self {
        let mut lexicon = Self::default();
        for line in list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (phrase, weight) = line.split_once(" = ").expect("every entry of a built-in list is `phrase = weight`");
            let words: Vec<String> = phrase.split_whitespace().map(str::to_owned).collect();
            let weight = weight.trim().parse().expect("every weight of a built-in list is a number");
            lexicon.by_first.entry(words[0].clone()).or_default().push((words, weight));
        }
        lexicon.by_first.values_mut().for_each(|entries| entries.sort_by_key(|(words, _)| std::cmp::Reverse(words.len())));
        lexicon
    }

    /// Returns the longest phrase that begins at word `at`.
    pub(crate) fn at(&self, words: &[&str], at: usize) -> Option<Hit> {
        let entries = self.by_first.get(*words.get(at)?)?;
        let fits = |phrase: &[String]| phrase.len() <= words.len() - at && phrase.iter().zip(&words[at..]).all(|(a, b)| a == b);
        entries.iter().find(|(phrase, _)| fits(phrase)).map(|(phrase, weight)| Hit { at, len: phrase.len(), weight: *weight })
    }

    /// Returns every phrase in order; longer ones win and none overlap.
    pub(crate) fn hits(&self, words: &[&str]) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut at = 0;
        while at < words.len() {
            match self.at(words, at) {
                Some(hit) => {
                    at += hit.len;
                    hits.push(hit);
                }
                None => at += 1,
            }
        }
        hits
    }

    /// Tells whether this word alone is an entry.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.by_first.get(word).is_some_and(|entries| entries.iter().any(|(words, _)| words.len() == 1))
    }
}

/// Every list.
pub(crate) struct English {
    pub(crate) address: Lexicon,
    pub(crate) arousal: Lexicon,
    pub(crate) conclusion: Lexicon,
    pub(crate) cue: Lexicon,
    pub(crate) filler: Lexicon,
    pub(crate) hook: Lexicon,
    pub(crate) housekeeping: Lexicon,
    pub(crate) leadin: Lexicon,
    pub(crate) number: Lexicon,
    pub(crate) opener: Lexicon,
    pub(crate) question: Lexicon,
    pub(crate) sponsor: Lexicon,
    pub(crate) stop: Lexicon,
}

pub(crate) static ENGLISH: LazyLock<English> = LazyLock::new(|| English {
    address: Lexicon::parse(include_str!("../lexicon/address.txt")),
    arousal: Lexicon::parse(include_str!("../lexicon/arousal.txt")),
    conclusion: Lexicon::parse(include_str!("../lexicon/conclusion.txt")),
    cue: Lexicon::parse(include_str!("../lexicon/cue.txt")),
    filler: Lexicon::parse(include_str!("../lexicon/filler.txt")),
    hook: Lexicon::parse(include_str!("../lexicon/hook.txt")),
    housekeeping: Lexicon::parse(include_str!("../lexicon/housekeeping.txt")),
    leadin: Lexicon::parse(include_str!("../lexicon/leadin.txt")),
    number: Lexicon::parse(include_str!("../lexicon/number.txt")),
    opener: Lexicon::parse(include_str!("../lexicon/opener.txt")),
    question: Lexicon::parse(include_str!("../lexicon/question.txt")),
    sponsor: Lexicon::parse(include_str!("../lexicon/sponsor.txt")),
    stop: Lexicon::parse(include_str!("../lexicon/stop.txt")),
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_phrase_wins_and_none_overlap() {
        let lexicon = Lexicon::parse("# list\nthe mistake = 1\nmistake = 0.5\nthe = 0.1\n");
        let hits = lexicon.hits(&["the", "mistake", "is", "the", "end"]);
        assert_eq!(hits, [Hit { at: 0, len: 2, weight: 1.0 }, Hit { at: 3, len: 1, weight: 0.1 }]);
    }

    #[test]
    fn every_built_in_list_can_be_read_and_is_normal() {
        let lists = [&ENGLISH.hook, &ENGLISH.arousal, &ENGLISH.stop, &ENGLISH.opener, &ENGLISH.sponsor];
        for entry in lists.iter().flat_map(|list| list.by_first.values().flatten()) {
            assert!(entry.0.iter().all(|word| crate::text::normal(word) == *word), "{entry:?} can never be found");
            assert!(entry.1 > 0.0 && entry.1 <= 2.0, "{entry:?} has an odd weight");
        }
    }
}
