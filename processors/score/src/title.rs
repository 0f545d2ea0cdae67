//! A clip's title in the video's own words: its hook sentence without what leads up to it, cut at a clause.

use crate::features::Run;
use crate::lexicon::{ENGLISH, Hit};
use crate::talk::Talk;
use crate::text::{capitalised, join, normal};

/// A sentence up to this length is taken whole.
const WHOLE_CHARS: usize = 72;
/// A longer one is cut to this: two lines on a phone.
const CUT_CHARS: usize = 60;
/// Fewer words say nothing.
const WORDS_MIN: usize = 3;
/// Sentences of these many words make titles without cutting.
const GOOD_WORDS: std::ops::RangeInclusive<usize> = 4..=14;

/// Returns a title.
#[must_use]
pub(crate) fn title(talk: &Talk, run: &Run) -> String {
    let sentence = &talk.units.sentences[hook_sentence(talk, run)];
    let words: Vec<&str> = talk.units.words[sentence.words.clone()].iter().map(|word| word.text.as_str()).collect();
    let is_english = talk.said.is_some();
    let (words, was_led_in) = if is_english { without_lead_in(&words) } else { (words, false) };
    let text = shortened(words, is_english);
    // "Have you ever wondered why it rains?" without its lead-in asks nothing any more.
    capitalised(if was_led_in { text.trim_end_matches('?') } else { &text })
}

/// The sentence that makes the best title: the opening, unless it says little or a stronger hook comes soon.
fn hook_sentence(talk: &Talk, run: &Run) -> usize {
    let units = &talk.units;
    let early = run.start..run.start + run.len().div_ceil(2);
    let Some(said) = &talk.said else {
        let is_sized = |sentence: &usize| units.sentences[*sentence].words.len() >= WORDS_MIN;
        let question = early.clone().find(|sentence| talk.asks(*sentence) && is_sized(sentence));
        return question.or_else(|| run.clone().find(is_sized)).unwrap_or(run.start);
    };
    let worth = |sentence: usize| {
        let words = units.sentences[sentence].words.len();
        let size = match words {
            n if n < WORDS_MIN => -1.5,
            n if GOOD_WORDS.contains(&n) => 0.6,
            _ => 0.0,
        };
        let question = if talk.asks(sentence) { 0.8 } else { 0.0 };
        let first = if sentence == run.start { 0.7 } else { 0.0 };
        // "Let me start with the oven" says little beyond its lead-in.
        let left = ENGLISH.leadin.at(&units.normals(sentence), 0).map_or(words, |hit| words - hit.len);
        let lead_in = if left < WORDS_MIN { 1.0 } else { 0.0 };
        // "Do you know why?" could stand over anything.
        let nameless = if talk.vocabulary.names_nothing(sentence) { 2.0 } else { 0.0 };
        let drawbacks = lead_in + nameless + said.opening[sentence].leaning + 2.0 * said.housekeeping.strongest.value(sentence);
        said.hook.sums.of(&(sentence..sentence + 1)).min(2.0) + question + size + first - drawbacks
    };
    early.reduce(|best, sentence| if worth(sentence) > worth(best) { sentence } else { best }).unwrap_or(run.start)
}

/// Drops hesitations everywhere, and fillers, conjunctions and lead-ins at the front; says whether a lead-in went.
fn without_lead_in<'a>(words: &[&'a str]) -> (Vec<&'a str>, bool) {
    const JOINING: [&str; 12] = ["so", "and", "but", "well", "now", "okay", "yeah", "because", "then", "or", "like", "finally"];
    const HESITATIONS: [&str; 7] = ["um", "umm", "uh", "uhm", "er", "erm", "hmm"];
    let said: Vec<&str> = words.iter().copied().filter(|word| !HESITATIONS.contains(&normal(word).as_str())).collect();
    // "Um?" alone is still what was said.
    let mut words = if said.is_empty() { words.to_vec() } else { said };
    let mut was_led_in = false;
    loop {
        let normals: Vec<String> = words.iter().map(|word| normal(word)).collect();
        let normals: Vec<&str> = normals.iter().map(String::as_str).collect();
        let lead_in = ENGLISH.leadin.at(&normals, 0);
        let joining = normals.first().is_some_and(|word| JOINING.contains(word)).then_some(Hit { at: 0, len: 1, weight: 1.0 });
        let Some(hit) = lead_in.or_else(|| ENGLISH.filler.at(&normals, 0)).or(joining) else { break };
        if words.len() < hit.len + WORDS_MIN {
            break;
        }
        was_led_in |= lead_in.is_some();
        words.drain(..hit.len);
    }
    (words, was_led_in)
}

fn shortened(mut words: Vec<&str>, is_english: bool) -> String {
    let chars = |words: &[&str]| join(words.iter().copied()).chars().count();
    let mut end = "";
    if chars(&words) > WHOLE_CHARS {
        let fits = (1..=words.len()).take_while(|&n| chars(&words[..n]) <= CUT_CHARS).last().unwrap_or(1);
        let clause = (WORDS_MIN + 1..=fits).rev().find(|&n| ends_clause(&words, n, is_english));
        end = if clause.is_none() { "…" } else { "" };
        words.truncate(clause.unwrap_or(fits));
    }
    let was_cut = !end.is_empty();
    if is_english {
        without_tail(&mut words, was_cut);
    }
    let text = join(words);
    let is_edge = |c: char| c.is_whitespace() || ",;:—-–.。“”\"、，".contains(c);
    format!("{}{end}", text.trim_matches(is_edge))
}

/// Tells whether the first `n` words end where a clause does.
fn ends_clause(words: &[&str], n: usize, is_english: bool) -> bool {
    const JOINTS: [&str; 10] = ["and", "but", "because", "so", "which", "when", "if", "while", "or", "who"];
    let has_mark = words[n - 1].ends_with([',', ';', ':', '—', '–', '、', '，', '。']);
    let next = words.get(n).map(|word| normal(word)).unwrap_or_default();
    has_mark || is_english && JOINTS.contains(&next.as_str())
}

/// Drops fillers from the end; and, where a title was cut inside a clause, small words that cannot end it.
fn without_tail(words: &mut Vec<&str>, was_cut: bool) {
    while words.len() > WORDS_MIN {
        let normals: Vec<String> = words.iter().map(|word| normal(word)).collect();
        let normals: Vec<&str> = normals.iter().map(String::as_str).collect();
        let filler = (1..=WORDS_MIN).rev().find(|&len| {
            let at = words.len() - len;
            at >= WORDS_MIN && ENGLISH.filler.at(&normals, at).is_some_and(|hit| hit.len == len)
        });
        let small = (was_cut && ENGLISH.stop.has(normals[words.len() - 1])).then_some(1);
        let Some(len) = filler.or(small) else { break };
        words.truncate(words.len() - len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sentence: &str, expected: &str) {
        let words: Vec<&str> = sentence.split(' ').collect();
        let (words, was_led_in) = without_lead_in(&words);
        let text = shortened(words, true);
        assert_eq!(capitalised(if was_led_in { text.trim_end_matches('?') } else { &text }), expected);
    }

    #[test]
    fn what_leads_up_to_the_thing_is_dropped() {
        check(
            "Have you ever wondered why your bread at home never tastes like bread from a bakery?",
            "Why your bread at home never tastes like bread from a bakery",
        );
        check("So, um, now I want to tell you about the worst day of my life.", "The worst day of my life");
        check("And what if we just bake during the day?", "What if we just bake during the day?");
    }

    #[test]
    fn a_long_sentence_is_cut_at_a_clause_and_never_on_a_small_word() {
        check(
            "Then my apprentice, who was nineteen years old, looked at the mess on the floor and said, let's make flatbread.",
            "My apprentice, who was nineteen years old",
        );
        check(
            "One enormous uninterrupted wall of reinforced concrete surrounded the abandoned observatory of the northern island",
            "One enormous uninterrupted wall of reinforced concrete…",
        );
    }

    #[test]
    fn a_title_does_not_trail_off_in_fillers() {
        check("We lost everything, you know, um.", "We lost everything");
    }

    #[test]
    fn a_sentence_of_hesitations_is_a_title_all_the_same() {
        check("um? uh", "Um? uh");
    }
}
