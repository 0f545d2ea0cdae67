//! Everything that is known of a talk, once per sentence, so that a span of sentences is measured in constant time.

use crate::lexicon::{ENGLISH, Hit, Lexicon};
use crate::measure::{Peaks, Sums};
use crate::sound::{HOOK, Sound};
use crate::topics::{self, Similarity, Topics, Vocabulary};
use crate::units::{Ending, Units};
use domain::artefact::{Analysis, Transcript};
use domain::{MediaTime, Span};

/// Words of the first sentence that count as the opening even if they come after the hook's three seconds.
const OPENING_WORDS_MIN: usize = 8;

/// A talk in sentences with all that was measured.
#[derive(Clone, Debug)]
pub struct Talk {
    /// Its words and sentences.
    pub units: Units,
    /// Its topics.
    pub topics: Topics,
    /// Starts of shots after the first.
    pub cuts: Vec<MediaTime>,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) similarity: Similarity,
    /// What lexicons found; nothing where none knows the language.
    pub(crate) said: Option<Said>,
    pub(crate) sound: Option<Sound>,
    pub(crate) picture: Option<Picture>,
    /// Seconds of gaps beyond what a listener bears, per sentence: inside it and after it.
    pub(crate) dead_air_inside: Sums,
    pub(crate) dead_air_after: Vec<f64>,
    pub(crate) confidence: Sums,
    /// New terms per sentence, weighted by how rare they are.
    pub(crate) information: Sums,
}

/// What the lexicons found, sentence by sentence.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) opening: Vec<Opening>,
    pub(crate) hook: Marks,
    pub(crate) arousal: Marks,
    pub(crate) filler: Marks,
    pub(crate) conclusion: Marks,
    pub(crate) sponsor: Marks,
    pub(crate) housekeeping: Marks,
    pub(crate) asks: Vec<bool>,
}

/// Where one lexicon's phrases are.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    /// Weights of the phrases of each sentence, added up.
    pub(crate) sums: Sums,
    /// The strongest phrase of each sentence.
    pub(crate) strongest: Peaks,
    /// Where that phrase is: its first and last word of `Units::words`.
    words: Vec<Option<(usize, usize)>>,
}

/// The first seconds of a clip that begins with this sentence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) hook: f64,
    /// The strongest hook phrase: where its words are in `Units::words`.
    pub(crate) hook_words: (usize, usize),
    pub(crate) number: Option<usize>,
    pub(crate) address: Option<usize>,
    /// How much it leans on what came before.
    pub(crate) leaning: f64,
}

/// What is seen.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) times: Vec<MediaTime>,
    pub(crate) faces: Sums,
}

impl Talk {
    /// Measures a talk.
    #[must_use]
    pub fn new(transcript: &Transcript, analysis: &Analysis, duration: MediaTime) -> Self {
        let units = Units::new(transcript, duration);
        let is_english = transcript.language.split(['-', '_']).next().is_some_and(|language| language.eq_ignore_ascii_case("en"));
        let vocabulary = Vocabulary::new(&units, is_english);
        let similarity = Similarity::new(&vocabulary);
        let cuts: Vec<MediaTime> = analysis.shots.iter().skip(1).map(|shot| shot.span.start()).collect();
        let cues = is_english.then(|| cues(&units));
        let topics = topics::segment(&units, &vocabulary, &similarity, cues.as_deref(), &cuts);
        let said = (is_english && !units.sentences.is_empty()).then(|| Said::new(&units));
        let sound = Sound::new(&analysis.prosody, &units);
        let (inside, after) = dead_air(&units);
        Self {
            dead_air_inside: Sums::new(inside),
            dead_air_after: after,
            confidence: Sums::new(units.sentences.iter().map(|sentence| sentence.confidence)),
            information: Sums::new(vocabulary.information()),
            picture: Picture::new(analysis),
            units,
            topics,
            cuts,
            vocabulary,
            similarity,
            said,
            sound,
        }
    }

    /// Returns the span of the words with these indexes of [`Units::words`], the last included.
    pub(crate) fn words_span(&self, first: usize, last: usize) -> Span {
        let (first, last) = (self.units.words[first].span, self.units.words[last].span);
        Span::new(first.start(), last.end()).unwrap_or(first)
    }

    /// Tells whether a sentence asks something.
    pub(crate) fn asks(&self, sentence: usize) -> bool {
        match &self.said {
            Some(said) => said.asks[sentence],
            None => self.units.sentences[sentence].ending == Ending::Question,
        }
    }
}

/// Strength of the topic cue at the start of each sentence.
fn cues(units: &Units) -> Vec<f64> {
    let opening = |sentence| {
        let words = units.normals(sentence);
        // `so`, `and` and `but` may come before the cue.
        (0..words.len().min(3)).filter_map(|at| ENGLISH.cue.at(&words, at)).map(|hit| hit.weight).fold(0.0, f64::max)
    };
    (0..units.sentences.len()).map(opening).collect()
}

/// A gap that nobody minds.
const BEARABLE_GAP: MediaTime = MediaTime::from_millis(1_200);

fn dead_air(units: &Units) -> (Vec<f64>, Vec<f64>) {
    let beyond = |gap: MediaTime| gap.minus(BEARABLE_GAP).seconds();
    let inside = units.sentences.iter().map(|sentence| {
        let words = &units.words[sentence.words.clone()];
        words.windows(2).map(|pair| beyond(pair[1].span.start().minus(pair[0].span.end()))).sum()
    });
    (inside.collect(), units.sentences.iter().map(|sentence| beyond(sentence.pause_after)).collect())
}

impl Said {
    fn new(units: &Units) -> Self {
        let sentences = 0..units.sentences.len();
        let normals: Vec<Vec<&str>> = sentences.clone().map(|sentence| units.normals(sentence)).collect();
        let asks = |sentence: usize| match units.is_punctuated {
            true => units.sentences[sentence].ending == Ending::Question,
            false => ENGLISH.question.at(&normals[sentence], 0).is_some(),
        };
        let marks = |lexicon: &Lexicon| Marks::new(units, &normals, lexicon);
        Self {
            opening: sentences.clone().map(|sentence| opening(units, sentence)).collect(),
            hook: marks(&ENGLISH.hook),
            arousal: marks(&ENGLISH.arousal),
            filler: marks(&ENGLISH.filler),
            conclusion: marks(&ENGLISH.conclusion),
            sponsor: marks(&ENGLISH.sponsor),
            housekeeping: marks(&ENGLISH.housekeeping),
            asks: sentences.map(asks).collect(),
        }
    }
}

impl Marks {
    fn new(units: &Units, normals: &[Vec<&str>], lexicon: &Lexicon) -> Self {
        let hits: Vec<Vec<Hit>> = normals.iter().map(|words| lexicon.hits(words)).collect();
        let strongest: Vec<Option<Hit>> = hits.iter().map(|hits| strongest(hits)).collect();
        let place = |(sentence, hit): (usize, &Option<Hit>)| {
            let first = units.sentences[sentence].words.start + hit.as_ref()?.at;
            Some((first, first + hit.as_ref()?.len - 1))
        };
        Self {
            sums: Sums::new(hits.iter().map(|hits| hits.iter().map(|hit| hit.weight).sum())),
            words: strongest.iter().enumerate().map(place).collect(),
            strongest: Peaks::new(strongest.iter().map(|hit| hit.map_or(0.0, |hit| hit.weight)).collect()),
        }
    }

    /// Returns when a sentence's strongest phrase is said; the whole sentence where there is none.
    pub(crate) fn at(&self, talk: &Talk, sentence: usize) -> Span {
        match self.words[sentence] {
            Some((first, last)) => talk.words_span(first, last),
            None => talk.units.sentences[sentence].span,
        }
    }
}

/// Returns the strongest phrase, the first of equals.
fn strongest(hits: &[Hit]) -> Option<Hit> {
    hits.iter().copied().reduce(|best, hit| if hit.weight > best.weight { hit } else { best })
}

/// Reads the hook of a clip that begins here: three seconds, and of the first sentence a little more.
fn opening(units: &Units, sentence: usize) -> Opening {
    let first = &units.sentences[sentence];
    let until = first.span.start().plus(HOOK);
    let spoken = units.words[first.words.start..].iter().take_while(|word| word.span.start() < until).count();
    let last = first.words.start + spoken.max(first.words.len().min(OPENING_WORDS_MIN));
    let words: Vec<&str> = units.words[first.words.start..last].iter().map(|word| word.normal.as_str()).collect();
    let hits = ENGLISH.hook.hits(&words);
    let strongest = strongest(&hits);
    let at = |hit: Hit| first.words.start + hit.at;
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let digits = words.iter().position(is_number);
    let number = ENGLISH.number.hits(&words).into_iter().find(|hit| hit.weight >= 1.0).map(|hit| hit.at);
    Opening {
        hook: hits.iter().map(|hit| hit.weight).sum(),
        hook_words: strongest.map_or((first.words.start, first.words.start), |hit| (at(hit), at(hit) + hit.len - 1)),
        number: digits.into_iter().chain(number).min().map(|place| first.words.start + place),
        address: ENGLISH.address.hits(&words).first().map(|hit| first.words.start + hit.at),
        leaning: leaning(&words[..words.len().min(first.words.len())]),
    }
}

/// Returns how much an opening leans on what came before: by its first words, or because it names nothing.
fn leaning(words: &[&str]) -> f64 {
    const NAMES_NOTHING: f64 = 0.7;
    const NAMES_LITTLE: f64 = 0.5;
    const PRONOUNS: [&str; 12] = ["it", "he", "she", "they", "them", "him", "her", "his", "their", "it's", "they're", "it'll"];
    let is_name = |word: &&str| word.chars().count() > 2 && !ENGLISH.stop.has(word) && !ENGLISH.number.has(word);
    let named = words.iter().filter(|word| is_name(word)).count();
    let first_name = words.iter().position(is_name);
    let pronoun = words.iter().position(|word| PRONOUNS.contains(word));
    let first_words = ENGLISH.opener.at(words, 0).map_or(0.0, |hit| hit.weight);
    // "I gave him a loaf" and "In three weeks it was gone" speak of somebody and something that came before.
    let unnamed = match (pronoun, first_name) {
        (_, None) => NAMES_NOTHING,
        (Some(pronoun), Some(name)) if pronoun < name || named == 1 => NAMES_LITTLE,
        _ => 0.0,
    };
    first_words.max(unnamed)
}

impl Picture {
    fn new(analysis: &Analysis) -> Option<Self> {
        let frames = &analysis.key_frames;
        if frames.is_empty() {
            return None;
        }
        Some(Self {
            times: frames.iter().map(|frame| frame.at_us).collect(),
            faces: Sums::new(frames.iter().map(|frame| if frame.faces.is_empty() { 0.0 } else { 1.0 })),
        })
    }

    /// Returns which frames a span shows; the one before it where it has none of its own.
    pub(crate) fn frames(&self, span: Span) -> std::ops::Range<usize> {
        let from = self.times.partition_point(|&time| time < span.start());
        let to = self.times.partition_point(|&time| time < span.end());
        if from < to { from..to } else { from.saturating_sub(1)..from.max(1) }
    }
}
