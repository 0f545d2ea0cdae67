//! Where cues and lines break.

use super::text::{is_unspaced_word, needs_space};
use super::{Placed, Rules, width};

/// Costs of a break, in arbitrary units that only compare with one another: the break with the smallest sum wins.
mod cost {
    /// Every cue costs this, so that cues are not cut small for nothing.
    pub(super) const CUE: f64 = 1.0;
    /// After a comma and the like.
    pub(super) const AFTER_PAUSE_MARK: f64 = 0.3;
    /// Before a conjunction or preposition.
    pub(super) const BEFORE_LINK: f64 = 0.6;
    /// Between words that belong together.
    pub(super) const INSIDE_PHRASE: f64 = 1.2;
    /// After a word that leans on the next one.
    pub(super) const AFTER_LINK: f64 = 1.0;
    /// A cue of one word that is not a sentence.
    pub(super) const ORPHAN: f64 = 1.0;
    /// A sentence that ends in the middle of a cue.
    pub(super) const SENTENCE_INSIDE: f64 = 2.0;
    /// A comma in the middle of a cue.
    pub(super) const PAUSE_MARK_INSIDE: f64 = 0.2;
    /// A cue that is spoken in less than [`super::HASTY_SECONDS`].
    pub(super) const HASTY: f64 = 0.8;
    /// Letters by which two lines differ, each.
    pub(super) const UNEVEN_LETTER: f64 = 0.08;
}

/// A cue spoken faster than this is gone before it is read.
const HASTY_SECONDS: f64 = 0.5;

/// English words that begin a phrase: a line breaks before them, not after. Other languages break by punctuation and balance.
const LINKS: [&str; 44] = [
    "a", "about", "after", "an", "and", "as", "at", "because", "before", "between", "but", "by", "during", "for", "from", "if", "in",
    "into", "like", "my", "of", "on", "onto", "or", "our", "over", "since", "so", "than", "that", "the", "their", "through", "to", "under",
    "until", "when", "where", "which", "while", "who", "with", "without", "your",
];

fn is_link(word: &str) -> bool {
    let bare = word.trim_matches(|character: char| !character.is_alphanumeric()).to_lowercase();
    LINKS.binary_search(&bare.as_str()).is_ok()
}

fn last_mark(word: &str) -> Option<char> {
    word.chars().rev().find(|character| !matches!(character, '"' | '\'' | '”' | '’' | ')' | '»'))
}

fn ends_sentence(word: &str) -> bool {
    last_mark(word).is_some_and(|mark| matches!(mark, '.' | '?' | '!' | '…' | '。' | '？' | '！' | '؟' | '।'))
}

fn ends_with_pause(word: &str) -> bool {
    last_mark(word).is_some_and(|mark| matches!(mark, ',' | ';' | ':' | '—' | '–' | '،' | '、' | '，'))
}

/// Returns what breaking between two words costs.
fn break_cost(before: &str, after: &str) -> f64 {
    if ends_sentence(before) {
        return 0.0;
    }
    if ends_with_pause(before) {
        return cost::AFTER_PAUSE_MARK;
    }
    let leaning = if is_link(before) { cost::AFTER_LINK } else { 0.0 };
    leaning + if is_link(after) { cost::BEFORE_LINK } else { cost::INSIDE_PHRASE }
}

/// Returns the words of each cue: the cheapest way to break a run of words that has no long pause.
pub(super) fn groups<'a>(run: &'a [Placed], rules: &Rules, frames_per_second: f64) -> Vec<&'a [Placed]> {
    let mut cheapest = vec![(0.0, 0); run.len() + 1];
    for end in 1..=run.len() {
        let mut best = (f64::INFINITY, end - 1);
        for start in (0..end).rev() {
            let group = &run[start..end];
            if !fits(group, rules, frames_per_second) {
                break;
            }
            let after = run.get(end).map(|word| word.text.as_str());
            let total = cheapest[start].0 + group_cost(group, after, frames_per_second);
            if total < best.0 {
                best = (total, start);
            }
        }
        cheapest[end] = best;
    }
    let mut groups = Vec::new();
    let mut end = run.len();
    while end > 0 {
        let start = cheapest[end].1;
        groups.push(&run[start..end]);
        end = start;
    }
    groups.reverse();
    groups
}

fn fits(group: &[Placed], rules: &Rules, frames_per_second: f64) -> bool {
    let [first, .., last] = group else { return true };
    let counted = group.iter().filter(|word| !is_unspaced_word(&word.text)).count();
    let seconds = (last.end - first.start) as f64 / frames_per_second;
    counted <= rules.words && seconds <= rules.seconds && split(group, rules).is_some()
}

fn group_cost(group: &[Placed], after: Option<&str>, frames_per_second: f64) -> f64 {
    let last = &group[group.len() - 1];
    let mut total = cost::CUE + after.map_or(0.0, |after| break_cost(&last.text, after));
    for word in &group[..group.len() - 1] {
        if ends_sentence(&word.text) {
            total += cost::SENTENCE_INSIDE;
        } else if ends_with_pause(&word.text) {
            total += cost::PAUSE_MARK_INSIDE;
        }
    }
    if group.len() == 1 && !ends_sentence(&last.text) && !is_unspaced_word(&last.text) {
        total += cost::ORPHAN;
    }
    if ((last.end - group[0].start) as f64) < HASTY_SECONDS * frames_per_second {
        total += cost::HASTY;
    }
    total
}

/// Returns the words of each line of a cue.
pub(super) fn lines<'a>(group: &'a [Placed], rules: &Rules) -> Vec<&'a [Placed]> {
    match split(group, rules) {
        Some(0) | None => vec![group],
        Some(at) => vec![&group[..at], &group[at..]],
    }
}

/// Returns before which word the second line begins, 0 when there is one line, `None` when the words do not fit.
fn split(group: &[Placed], rules: &Rules) -> Option<usize> {
    if group.len() == 1 || line_width(group) <= rules.line_chars {
        return Some(0);
    }
    if rules.lines < 2 {
        return None;
    }
    let mut best = None;
    for at in 1..group.len() {
        let (upper, lower) = (line_width(&group[..at]), line_width(&group[at..]));
        if upper.max(lower) > rules.line_chars {
            continue;
        }
        let uneven = upper.abs_diff(lower) as f64 * cost::UNEVEN_LETTER;
        let total = uneven + break_cost(&group[at - 1].text, &group[at].text);
        if best.is_none_or(|(cheapest, _)| total < cheapest) {
            best = Some((total, at));
        }
    }
    best.map(|(_, at)| at)
}

fn line_width(line: &[Placed]) -> usize {
    let letters: usize = line.iter().map(|word| width(&word.text)).sum();
    let spaces = line.windows(2).filter(|pair| needs_space(&pair[0].text, &pair[1].text)).count();
    letters + spaces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_links_is_sorted_for_its_search() {
        assert!(LINKS.is_sorted());
    }
}
