//! Talks with planted highlights and decoys: what a detector should find is known exactly.
//!
//! Topics have words of their own. A highlight opens with a hook, is told with energy, stays on its topic and ends on a payoff, each cue
//! only with a probability. Decoys have one cue and nothing else: loud and empty, a hook that goes nowhere,
//! strong words in a mumble, all the right phrases without life.

use crate::made::{Made, Random, Voice};
use domain::Span;
use domain::artefact::{Analysis, Transcript};

/// How easy a talk is.
#[derive(Clone, Copy)]
pub(crate) struct Difficulty {
    /// Probability that each cue of a highlight is there.
    pub(crate) cue: f64,
    /// How much louder highlights are, in dB.
    pub(crate) energy_db: f64,
    /// Decoys per topic.
    pub(crate) decoys: usize,
}

pub(crate) const EASY: Difficulty = Difficulty { cue: 1.0, energy_db: 6.0, decoys: 1 };
pub(crate) const MEDIUM: Difficulty = Difficulty { cue: 0.8, energy_db: 4.0, decoys: 2 };
pub(crate) const HARD: Difficulty = Difficulty { cue: 0.6, energy_db: 2.5, decoys: 3 };

pub(crate) struct Planted {
    pub(crate) transcript: Transcript,
    pub(crate) analysis: Analysis,
    pub(crate) highlights: Vec<Span>,
    /// The index of each topic's first sentence.
    pub(crate) topic_starts: Vec<usize>,
}

const TOPICS: usize = 5;
const LINKS: [&str; 24] = [
    "the", "of", "with", "in", "for", "and", "to", "from", "about", "under", "this", "that", "some", "many", "each", "we", "they", "it",
    "is", "was", "has", "had", "will", "can",
];
const HOOKS: [&str; 8] = [
    "Why do most people get the {a} wrong?",
    "Have you ever seen a {a} fall from a {b}?",
    "The biggest mistake with every {a} is the {b}.",
    "Nobody tells you what the {a} does at night.",
    "What if your {a} never needed a {b}?",
    "Never trust a {a} before you check the {b}.",
    "Imagine a {a} without any {b} at all.",
    "There is a secret in every {a} and it is the {b}.",
];
const PAYOFFS: [&str; 6] = [
    "And that's why the {a} always beats the {b}.",
    "In the end the {a} was all we needed.",
    "The lesson is to look at the {a} first.",
    "That is how one {a} saved the whole {b}.",
    "So the answer is the {a} and never the {b}.",
    "It worked, and every {a} since then has a {b}.",
];
const FEELING: [&str; 6] = ["incredible", "terrible", "amazing", "furious", "beautiful", "horrible"];
const EMPTY: [&str; 6] = [
    "And so on and so on as we were saying there.",
    "And then it goes on like this again and again.",
    "But anyway it is what it is over there.",
    "So yeah that was more or less it for them.",
    "Because of all of that we had some more of it.",
    "And it was the same with the other one there.",
];

/// Words that only this topic has, from syllables that only this topic uses.
fn vocabulary(topic: usize, random: &mut Random) -> Vec<String> {
    const ONSETS: [&[&str]; TOPICS] = [&["br", "k", "t"], &["m", "sl", "v"], &["p", "gr", "z"], &["l", "fl", "h"], &["d", "st", "w"]];
    const RHYMES: [&[&str]; TOPICS] =
        [&["ando", "ick", "orn"], &["ump", "elta", "ire"], &["atch", "onk", "uvi"], &["obb", "ean", "iska"], &["arn", "upo", "elm"]];
    let mut words = Vec::new();
    while words.len() < 24 {
        let parts: Vec<&str> = (0..2).flat_map(|_| [random.pick(ONSETS[topic]), random.pick(RHYMES[topic])]).collect();
        let word = parts.concat();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

struct Speaker<'a> {
    made: Made,
    random: &'a mut Random,
    words: Vec<String>,
    sentences: usize,
}

impl Speaker<'_> {
    fn term(&mut self, few: usize) -> String {
        let at = self.random.below(self.words.len().min(few));
        self.words[at].clone()
    }

    fn plain(&mut self, few: usize) -> String {
        let count = 6 + self.random.below(9);
        let mut words: Vec<String> = Vec::new();
        for _ in 0..count {
            let word = if self.random.chance(0.4) { self.term(few) } else { self.random.pick(&LINKS).to_owned() };
            words.push(word);
        }
        let first = words[0].remove(0).to_ascii_uppercase();
        words[0].insert(0, first);
        format!("{}.", words.join(" "))
    }

    fn filled(&mut self, template: &str) -> String {
        let (a, b) = (self.term(6), self.term(6));
        template.replace("{a}", &a).replace("{b}", &b)
    }

    fn say(&mut self, text: &str, louder: f64, pause_after_ms: u64) -> Span {
        let voice = Voice {
            level_db: (-25.0 + louder + self.random.between(-1.5, 1.5)) as f32,
            pitch_hz: (118.0 * (1.0 + louder.max(0.0) / 40.0) * self.random.between(0.95, 1.05)) as f32,
            pause_after_ms,
        };
        self.sentences += 1;
        self.made.say(text, voice)
    }

    fn filler(&mut self, count: usize) {
        for _ in 0..count {
            let text = if self.random.chance(0.15) { self.random.pick(&EMPTY).to_owned() } else { self.plain(24) };
            let pause = 200 + self.random.below(500) as u64;
            self.say(&text, 0.0, pause);
        }
    }

    fn highlight(&mut self, how: Difficulty) -> Span {
        let has = |random: &mut Random| random.chance(how.cue);
        let opening = if has(self.random) {
            let hook = self.random.pick(&HOOKS);
            self.filled(hook)
        } else {
            self.plain(6)
        };
        let energy = if has(self.random) { how.energy_db } else { 0.5 };
        let first = self.say(&opening, energy, 300);
        for at in 0..4 + self.random.below(3) {
            let mut text = self.plain(6);
            if at % 2 == 1 && has(self.random) {
                text = format!("It was {} {}", self.random.pick(&FEELING), text);
            }
            self.say(&text, energy * 0.7, 250);
        }
        let ending = if has(self.random) {
            let payoff = self.random.pick(&PAYOFFS);
            self.filled(payoff)
        } else {
            self.plain(6)
        };
        let last = self.say(&ending, energy * 0.4, 900);
        Span::new(first.start(), last.end()).unwrap()
    }

    fn decoy(&mut self, how: Difficulty) {
        match self.random.below(4) {
            0 => {
                for _ in 0..4 {
                    let text = self.random.pick(&EMPTY);
                    self.say(text, how.energy_db + 2.0, 300);
                }
            }
            1 => {
                let hook = self.random.pick(&HOOKS);
                let text = self.filled(hook);
                self.say(&text, 0.0, 300);
                for _ in 0..4 {
                    let text = self.random.pick(&EMPTY);
                    self.say(text, -1.0, 400);
                }
            }
            2 => {
                // All the right phrases, read out without life and about nothing in particular.
                let (hook, payoff) = (self.random.pick(&HOOKS), self.random.pick(&PAYOFFS));
                let text = self.filled(hook);
                self.say(&text, -2.0, 900);
                for _ in 0..4 {
                    let text = format!("It was {} {}", self.random.pick(&FEELING), self.plain(24));
                    self.say(&text, -3.0, 900);
                }
                let text = self.filled(payoff);
                self.say(&text, -3.0, 300);
            }
            _ => {
                for _ in 0..3 {
                    let text = format!("And {} {}", self.random.pick(&FEELING), self.plain(24));
                    self.say(&text, -3.0, 400);
                }
            }
        }
    }
}

/// Makes the talk of this seed: about eight minutes.
pub(crate) fn talk(seed: u64, how: Difficulty) -> Planted {
    let mut random = Random(seed);
    let vocabularies: Vec<Vec<String>> = (0..TOPICS).map(|topic| vocabulary(topic, &mut random)).collect();
    let mut speaker = Speaker { made: Made::new(), random: &mut random, words: Vec::new(), sentences: 0 };
    let (mut highlights, mut topic_starts) = (Vec::new(), Vec::new());
    speaker.made.silence(700);
    for words in vocabularies {
        speaker.words = words;
        topic_starts.push(speaker.sentences);
        let before = 2 + speaker.random.below(12);
        speaker.filler(before);
        for _ in 0..how.decoys {
            speaker.decoy(how);
            speaker.filler(2);
        }
        highlights.push(speaker.highlight(how));
        let after = 2 + speaker.random.below(16);
        speaker.filler(after);
        speaker.made.silence(400);
    }
    let (transcript, analysis) = speaker.made.finish();
    Planted { transcript, analysis, highlights, topic_starts }
}
