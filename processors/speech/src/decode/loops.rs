//! Loops: a model that has lost the thread says the same again and again, until its window has no room left.

/// The longest phrase that is looked for, in tokens: a sentence.
const PHRASE_MAX: usize = 16;
/// So often must a phrase follow itself …
const ROUNDS_MIN: usize = 4;
/// … and together fill this many tokens: people do say "no, no, no, no".
const TOKENS_MIN: usize = 24;

/// Returns where the phrase at the end of `tokens` was said first, when it has followed itself too often to be speech.
/// Timestamps, from `timestamp_begin` on, may stand between.
pub(super) fn loop_start(tokens: &[i64], timestamp_begin: i64) -> Option<usize> {
    // From the end, so that each phrase is tried at the same place.
    let mut said = [(0, 0); PHRASE_MAX * ROUNDS_MIN];
    let text = tokens.iter().enumerate().rev().filter(|(_, token)| **token < timestamp_begin);
    let count = said.iter_mut().zip(text).map(|(place, (index, token))| *place = (index, *token)).count();
    let said = &said[..count];
    (1..=PHRASE_MAX).find_map(|length| {
        let filled = (length * ROUNDS_MIN).max(TOKENS_MIN);
        let repeats = said.len() >= filled && (length..filled).all(|index| said[index].1 == said[index - length].1);
        repeats.then(|| said[filled - 1].0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: i64 = 1_000;

    fn check(tokens: &[i64], expected: Option<usize>) {
        assert_eq!(loop_start(tokens, STAMP), expected, "{tokens:?}");
    }

    #[test]
    fn one_word_without_end_is_a_loop_from_its_first_time_on() {
        check(&[&[STAMP, 3, 4][..], &[7; 24]].concat(), Some(3));
        check(&[&[STAMP, 3, 4][..], &[7; 23]].concat(), None);
    }

    #[test]
    fn a_sentence_between_timestamps_is_a_loop() {
        let sentence = |round: i64| [STAMP + round, 5, 6, 7, 8, 9, 10, STAMP + round];
        let said: Vec<i64> = [STAMP, 1, STAMP].into_iter().chain((0..4).flat_map(sentence)).collect();
        check(&said, Some(4));
        check(&said[..said.len() - 9], None);
    }

    #[test]
    fn speech_that_repeats_a_little_is_none() {
        check(&[], None);
        check(&(0..200).map(|index| index % 17).collect::<Vec<_>>(), None);
        check(&[&[7; 20][..], &[8; 20]].concat(), None);
    }
}
