//! Why a clip was chosen, in phrases that name the seconds that show it.

use crate::features::Run;
use crate::lexicon::ENGLISH;
use crate::talk::Talk;
use crate::text::join;
use domain::MediaTime;
use domain::artefact::{Contribution, Reason};

/// More reasons than this are not read.
const REASONS_MAX: usize = 5;
/// Two reasons of one group say nearly the same.
const PER_GROUP: usize = 2;
/// An effect under this many points is no reason.
const EFFECT_MIN: f64 = 0.8;
/// What is true of many spans comes after what is special to this one.
const COMMON: [&str; 7] = ["closed_end", "contrast_to_rest", "information", "leaning_opening", "length_fit", "one_topic", "pause_before"];
/// How much less a common reason counts.
const COMMON_SHARE: f64 = 0.4;
/// A quotation runs on to a mark that comes within so many words.
const QUOTE_TO_MARK: usize = 10;
/// Where no mark comes, it runs on until it names something, for so many words.
const QUOTE_TO_NAME: usize = 6;

/// Returns the strongest contributions in words; each is true of the span, not only high among its peers.
#[must_use]
pub fn reasons(talk: &Talk, run: &Run, contributions: &[Contribution]) -> Vec<Reason> {
    let weight = |part: &Contribution| if COMMON.contains(&part.feature.as_str()) { part.effect * COMMON_SHARE } else { part.effect };
    // A question shows better as a question than as the hook words in it.
    let question = contributions.iter().find(|part| part.feature == "hook_question" && part.value >= 1.0 && part.effect >= EFFECT_MIN);
    let is_told_better =
        |part: &Contribution| part.feature == "hook_words" && question.is_some_and(|question| question.at.intersection(part.at).is_some());
    let mut parts: Vec<&Contribution> = contributions.iter().filter(|part| part.effect >= EFFECT_MIN && !is_told_better(part)).collect();
    parts.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    let mut told: Vec<&Contribution> = Vec::new();
    let mut reasons = Vec::new();
    for part in parts {
        let in_group = told.iter().filter(|other| other.group == part.group).count();
        if reasons.len() == REASONS_MAX || in_group == PER_GROUP || told.iter().any(|other| says_the_same(other, part)) {
            continue;
        }
        if let Some(text) = phrase(talk, run, part) {
            told.push(part);
            reasons.push(Reason { text, feature: part.feature.clone(), at_us: part.at.start() });
        }
    }
    reasons
}

/// A question at the opening shows as a question, as hook words and as something answered: one of them is enough.
fn says_the_same(told: &Contribution, part: &Contribution) -> bool {
    const QUESTION: [&str; 3] = ["hook_question", "hook_words", "answered"];
    const LOUD: [&str; 3] = ["energy_peak", "energy_mean", "hook_energy"];
    let are_both = |kin: &[&str]| kin.contains(&told.feature.as_str()) && kin.contains(&part.feature.as_str());
    are_both(&LOUD) || are_both(&QUESTION) && told.at.intersection(part.at).is_some()
}

/// `m:ss`, or `h:mm:ss` from one hour on: seconds are what a player shows.
fn clock(at: MediaTime) -> String {
    let seconds = at.millis() / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Returns what a feature says in words, or nothing where the plain fact is not there.
fn phrase(talk: &Talk, run: &Run, part: &Contribution) -> Option<String> {
    let (at, end) = (clock(part.at.start()), clock(part.at.end()));
    let value = part.value;
    let text = match part.feature.as_str() {
        "hook_question" if value >= 1.0 => format!("opens with a question at {at}"),
        "hook_question" if value > 0.0 => format!("asks a question in its first seconds, at {at}"),
        "hook_words" if value > 0.0 && quote(talk, part).contains(' ') => format!("opens on “{}” at {at}", quote(talk, part)),
        "hook_number" if value > 0.0 => format!("names a number at once, “{}” at {at}", words_at(talk, part)),
        "hook_address" if value > 0.0 => format!("speaks to the viewer at {at}"),
        "hook_energy" if value >= 1.0 => format!("starts {value:.0} dB louder than usual at {at}"),
        "hook_pitch" if value >= 1.0 => format!("starts with a raised voice at {at}"),
        "energy_peak" => loudest(talk, part)?,
        "energy_mean" if value >= 1.0 => format!("louder than usual all along, by {value:.0} dB from {at}"),
        "pitch_range" if value >= 3.0 => format!("a lively voice at {at}"),
        "reaction" if value > 0.0 => format!("laughter or applause at {at}"),
        "arousal" if value > 0.0 => format!("strong words, such as “{}” at {at}", words_at(talk, part)),
        "contrast_to_rest" if value > 0.0 => format!("one thought of its own, from {at} to {end}"),
        "one_topic" if value >= 1.0 => format!("stays with {} from {at} to {end}", topic(talk, run)?),
        "information" => format!("says much in little time from {at}"),
        "leaning_opening" if value <= 0.0 => format!("makes sense on its own from {at}"),
        "pause_before" if value >= 0.6 => format!("begins after a pause at {at}"),
        "conclusion" if value > 0.0 => format!("ends on a conclusion, “{}” at {at}", quote(talk, part)),
        "answered" if value > 0.0 => format!("asks at {at} and stays to answer"),
        "falling_voice" if value >= 1.0 => format!("ends on a falling voice at {end}"),
        "closed_end" if value >= 1.0 => format!("ends on a finished sentence at {end}"),
        "pause_after" if value >= 0.6 => format!("ends in a pause at {end}"),
        "ends_topic" if value > 0.0 => format!("ends where its topic ends, at {end}"),
        "length_fit" if value >= 0.7 => format!("{:.0} s long from {at}, a good length for a clip", part.at.duration().seconds()),
        "faces" if value >= 0.5 => format!("a face in {:.0} % of the key frames from {at}", value * 100.0),
        _ => return None,
    };
    Some(text)
}

/// Returns the words at a contribution and those that belong to them: up to a mark that is near, else until something is named.
fn quote(talk: &Talk, part: &Contribution) -> String {
    let words = &talk.units.words;
    let first = words.partition_point(|word| word.span.start() < part.at.start());
    let said = words[first..].iter().take_while(|word| word.span.start() < part.at.end()).count().max(1);
    let rest = words.len() - first;
    let has_mark = |count: usize| words[first + count - 1].text.ends_with(|c: char| !c.is_alphanumeric());
    let names = |count: usize| !ENGLISH.stop.has(&words[first + count - 1].normal);
    let to_mark = (said..=QUOTE_TO_MARK.min(rest)).find(|&count| has_mark(count));
    let to_name = || (said + 1..=QUOTE_TO_NAME.min(rest)).find(|&count| names(count));
    let count = to_mark.or_else(to_name).unwrap_or(said);
    trimmed(join(words[first..first + count].iter().map(|word| word.text.as_str())))
}

/// Returns exactly the words at a contribution.
fn words_at(talk: &Talk, part: &Contribution) -> String {
    let words = talk.units.words.iter().filter(|word| part.at.contains(word.span.start()));
    trimmed(join(words.map(|word| word.text.as_str())))
}

fn trimmed(text: String) -> String {
    text.trim_matches(|c: char| !c.is_alphanumeric() && c != '%').to_owned()
}

fn topic(talk: &Talk, run: &Run) -> Option<String> {
    let words = talk.vocabulary.keywords(&talk.topics.ranges[talk.topics.of_sentence[run.start]], 2);
    if words.len() < 2 { None } else { Some(format!("“{}” and “{}”", words[0], words[1])) }
}

/// Names the loudest part that this sentence belongs to, if it is a small one.
fn loudest(talk: &Talk, part: &Contribution) -> Option<String> {
    const SHARE_MAX: f64 = 0.15;
    let sentence = talk.units.sentences.iter().position(|sentence| sentence.span == part.at)?;
    let louder = 1.0 - talk.sound.as_ref()?.level_rank[sentence];
    let percent = (louder * 100.0).ceil().max(1.0);
    (louder <= SHARE_MAX).then(|| format!("the loudest {percent:.0} % of the talk at {}", clock(part.at.start())))
}
