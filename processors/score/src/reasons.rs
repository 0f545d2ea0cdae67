//! A clip in words: its title, and why it was chosen, with the seconds that show it.

use crate::features::{Run, Seen};
use crate::lexicon::ENGLISH;
use crate::talk::Talk;
use crate::text::{capitalised, normal};
use domain::MediaTime;
use domain::artefact::{Contribution, Reason};

/// More reasons than this are not read.
const REASONS_MAX: usize = 5;
/// Two reasons of one group say nearly the same.
const PER_GROUP: usize = 2;
/// An effect under this many points is no reason.
const EFFECT_MIN: f64 = 0.8;
/// A title longer than this wraps to a third line on a phone.
const TITLE_CHARS: usize = 60;
/// A shorter title says nothing.
const TITLE_WORDS_MIN: usize = 3;

/// Returns the strongest contributions in words; each is true of the span, not only high among its peers.
#[must_use]
pub fn reasons(talk: &Talk, run: &Run, contributions: &[Contribution]) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    let mut groups = Vec::new();
    let mut by_effect: Vec<&Contribution> = contributions.iter().filter(|part| part.effect >= EFFECT_MIN).collect();
    by_effect.sort_by(|a, b| b.effect.total_cmp(&a.effect));
    for part in by_effect {
        let used = groups.iter().filter(|group| **group == part.group).count();
        if reasons.len() == REASONS_MAX || used == PER_GROUP {
            continue;
        }
        let seen = Seen { value: part.value, at: part.at };
        if let Some(text) = sentence(talk, run, &part.feature, seen) {
            groups.push(part.group);
            reasons.push(Reason { text, feature: part.feature.clone(), at_us: part.at.start() });
        }
    }
    reasons
}

/// `m:ss`, or `h:mm:ss` from one hour on: seconds are what a player shows.
fn clock(at: MediaTime) -> String {
    let seconds = at.millis() / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Returns what a feature says in words, or nothing where the plain fact is not there.
fn sentence(talk: &Talk, run: &Run, feature: &str, seen: Seen) -> Option<String> {
    let at = clock(seen.at.start());
    let positive = seen.value > 0.0;
    let text = match feature {
        "hook_question" if positive => format!("opens with a question at {at}"),
        "hook_words" if positive => format!("opens on “{}” at {at}", said(talk, seen)),
        "hook_number" if positive => format!("names a number in its first seconds, “{}” at {at}", said(talk, seen)),
        "hook_address" if positive => format!("speaks to the viewer at {at}"),
        "hook_energy" if seen.value >= 1.0 => format!("starts {:.0} dB louder than the talk's middle at {at}", seen.value),
        "hook_pitch" if seen.value >= 1.0 => format!("starts with a raised voice at {at}"),
        "energy_peak" => loudest(talk, seen)?,
        "energy_mean" if seen.value >= 1.0 => format!("stays {:.0} dB above the talk's middle from {at}", seen.value),
        "pitch_range" if seen.value >= 3.0 => format!("the voice moves over {:.0} semitones at {at}", seen.value),
        "reaction" if positive => format!("laughter or applause at {at}"),
        "arousal" if positive => format!("strong words at {at}"),
        "contrast_to_rest" if positive => format!("one thought of its own from {at} to {}", clock(seen.at.end())),
        "one_topic" if seen.value >= 1.0 => format!("stays on one topic, {}, from {at}", topic(talk, run)?),
        "information" => format!("much is said in little time from {at}"),
        "leaning_opening" if seen.value <= 0.0 => format!("understood without what came before {at}"),
        "pause_before" if seen.value >= 0.6 => format!("begins after a pause at {at}"),
        "conclusion" if positive => format!("ends on a conclusion at {at}"),
        "answered" if positive => format!("asks at {at} and answers"),
        "falling_voice" if seen.value >= 1.0 => format!("the voice comes to rest at {}", clock(seen.at.end())),
        "closed_end" if seen.value >= 1.0 => format!("ends on a finished sentence at {}", clock(seen.at.end())),
        "pause_after" if seen.value >= 0.6 => format!("ends in a pause at {}", clock(seen.at.end())),
        "length_fit" if seen.value >= 0.7 => {
            format!("{:.0} s, a length that is watched to the end, from {at}", seen.at.duration().seconds())
        }
        "faces" if seen.value >= 0.5 => format!("a face in {:.0} % of the pictures from {at}", seen.value * 100.0),
        _ => return None,
    };
    Some(text)
}

fn said(talk: &Talk, seen: Seen) -> String {
    let words = talk.units.words.iter().filter(|word| seen.at.contains(word.span.start()));
    let words: Vec<&str> = words.map(|word| word.normal.as_str()).collect();
    words.join(" ")
}

fn topic(talk: &Talk, run: &Run) -> Option<String> {
    let words = talk.vocabulary.keywords(&talk.topics.ranges[talk.topics.of_sentence[run.start]], 2);
    if words.len() < 2 { None } else { Some(words.join(" and ")) }
}

fn loudest(talk: &Talk, seen: Seen) -> Option<String> {
    let sound = talk.sound.as_ref()?;
    let sentence = talk.units.sentences.iter().position(|sentence| sentence.span == seen.at)?;
    let louder = 1.0 - sound.level_rank[sentence];
    let at = clock(seen.at.start());
    let percent = (louder * 100.0).ceil().max(1.0);
    (louder <= 0.2).then(|| format!("the loudest {percent:.0} % of the talk at {at}"))
}

/// Returns a title in the video's own words: its hook sentence, cut at a clause, without fillers at either end.
#[must_use]
pub fn title(talk: &Talk, run: &Run) -> String {
    let sentence = hook_sentence(talk, run);
    let words: Vec<&str> = talk.units.words[talk.units.sentences[sentence].words.clone()].iter().map(|word| word.text.as_str()).collect();
    shortened(&words, talk.said.is_some())
}

/// The sentence that makes the best title: the opening, unless it leans on something or a stronger hook comes soon.
fn hook_sentence(talk: &Talk, run: &Run) -> usize {
    let Some(said) = &talk.said else { return run.start };
    let early = run.start..run.start + run.len().div_ceil(2);
    let worth = |sentence: usize| {
        let words = talk.units.sentences[sentence].words.len();
        let is_sized = if (4..=14).contains(&words) { 0.6 } else { 0.0 };
        let question = if talk.asks(sentence) { 0.8 } else { 0.0 };
        let first = if sentence == run.start { 0.7 } else { 0.0 };
        said.hook[sentence].min(2.0) + question + is_sized + first - said.opening[sentence].leaning
    };
    early.reduce(|best, sentence| if worth(sentence) > worth(best) { sentence } else { best }).unwrap_or(run.start)
}

fn shortened(words: &[&str], is_english: bool) -> String {
    let mut words = words.to_vec();
    if is_english {
        while words.len() > TITLE_WORDS_MIN && leads_nowhere(words[0]) {
            words.remove(0);
        }
    }
    let length = |words: &[&str]| crate::text::join(words.iter().copied()).chars().count();
    let is_whole = length(&words) <= TITLE_CHARS;
    if !is_whole {
        let fits = (1..=words.len()).take_while(|&n| length(&words[..n]) <= TITLE_CHARS).last().unwrap_or(1);
        let clause = (TITLE_WORDS_MIN..=fits).rev().find(|&n| ends_clause(&words, n, is_english));
        words.truncate(clause.unwrap_or(fits));
        while is_english && words.len() > TITLE_WORDS_MIN && cannot_end(words[words.len() - 1]) {
            words.pop();
        }
    }
    let text = crate::text::join(words.iter().copied());
    let text = text.trim_matches(|c: char| {
        c.is_whitespace() || matches!(c, ',' | ';' | ':' | '—' | '-' | '–' | '.' | '。' | '“' | '”' | '"' | '、' | '，')
    });
    capitalised(text)
}

fn leads_nowhere(word: &str) -> bool {
    let word = normal(word);
    ENGLISH.filler.has(&word)
        || ["so", "and", "but", "well", "now", "okay", "yeah", "because", "then", "or", "like"].contains(&word.as_str())
}

/// Tells whether the first `n` words end where a clause does.
fn ends_clause(words: &[&str], n: usize, is_english: bool) -> bool {
    const JOINTS: [&str; 10] = ["and", "but", "because", "so", "which", "when", "if", "while", "or", "who"];
    let has_mark = words[n - 1].ends_with([',', ';', ':', '—', '–', '、', '，', '。']);
    let next = words.get(n).map(|word| normal(word)).unwrap_or_default();
    has_mark || is_english && JOINTS.contains(&next.as_str())
}

fn cannot_end(word: &str) -> bool {
    let word = normal(word);
    ENGLISH.stop.has(&word) || ENGLISH.filler.has(&word)
}
