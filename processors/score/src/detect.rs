//! The whole way from a transcript to chosen clips.

use crate::boundaries::snap;
use crate::echo::Echoes;
use crate::features::{FEATURES, Run, Table};
use crate::ranker::{Judgement, Ranker};
use crate::select::{self, Judged, Passed};
use crate::talk::Talk;
use crate::topics::REACH;
use crate::{Wish, reasons, title};
use domain::MediaTime;
use domain::artefact::{Analysis, Candidate, Contribution, Detection, Removal, Transcript};

/// A clip holds no more sentences than can be compared with each other and their surroundings.
const SENTENCES_MAX: usize = REACH - 20;
/// A span may begin or end this many sentences beyond its topic.
const SPILL: usize = 1;
/// A gap longer than this inside a clip loses everyone.
const GAP_MAX: MediaTime = MediaTime::from_millis(5_000);
/// Spans whose words were guessed rather than heard make false captions.
const CONFIDENCE_MIN: f64 = 0.3;
/// Nobody edits more clips of one video than this.
const COUNT_LIMIT: u32 = 50;
/// Keywords of a clip.
const KEYWORDS: usize = 6;

/// Finds the clips of a talk: chosen spans with their scores and reasons, and which rules removed the others.
#[must_use]
pub fn detect(transcript: &Transcript, analysis: &Analysis, duration: MediaTime, wish: &Wish, ranker: &impl Ranker) -> Detection {
    let talk = Talk::new(transcript, analysis, duration);
    let mut removals = Removals::default();
    let runs = admissible(&talk, wish, &mut removals);
    let table = Table::new(&talk, &runs.kept, wish);
    let judgements = ranker.judge(&table.measured, &table.percentiles);
    let judged: Vec<Judged> =
        runs.kept.iter().zip(&judgements).map(|(run, judgement)| judged(&talk, run, judgement, wish, ranker)).collect();

    let by_duration = || select::count_by_duration(talk_length(&talk));
    let count = wish.count.map_or_else(by_duration, |count| count.min(COUNT_LIMIT) as usize);
    let choice = select::choose(&judged, &Echoes::new(&talk.units), count, wish.count.is_some());
    removals.passed(&choice.passed, choice.chosen.len());
    let chosen = choice
        .chosen
        .iter()
        .map(|&at| candidate(&talk, &runs.kept[at], judged[at].span, judged[at].score, row(&table, &judgements, at), wish));
    Detection {
        model: ranker.name().to_owned(),
        chosen: chosen.collect(),
        considered: runs.considered,
        removals: removals.0,
        degraded: degraded(&talk, &transcript.language),
    }
}

/// Says which kinds of features were left out, and why.
fn degraded(talk: &Talk, language: &str) -> Vec<String> {
    let lexicon =
        talk.said.is_none().then(|| format!("No word lists for the language \"{language}\": only structure, sound and picture counted."));
    let sound = talk.sound.is_none().then(|| "No sound was measured: the voice did not count.".to_owned());
    let picture = talk.picture.is_none().then(|| "No picture: faces did not count.".to_owned());
    let all = if talk.units.sentences.is_empty() { [None, None, None] } else { [lexicon, sound, picture] };
    all.into_iter().flatten().collect()
}

/// From the first word to the last.
fn talk_length(talk: &Talk) -> MediaTime {
    match talk.units.sentences.len() {
        0 => MediaTime::ZERO,
        count => talk.units.span(&(0..count)).duration(),
    }
}

struct Runs {
    kept: Vec<Run>,
    considered: u32,
}

/// Returns every run of sentences of the wished length that no rule forbids.
fn admissible(talk: &Talk, wish: &Wish, removals: &mut Removals) -> Runs {
    let sentences = &talk.units.sentences;
    if sentences.is_empty() {
        removals.add("no_speech", 0, "Nobody speaks in this video, so there is nothing to clip.".to_owned());
        return Runs { kept: Vec::new(), considered: 0 };
    }
    let (mut short, mut long, mut considered) = (0u32, 0u32, 0u32);
    let mut broken = [0u32; 4];
    let mut kept = Vec::new();
    for start in 0..sentences.len() {
        for end in start + 1..=sentences.len() {
            let run = start..end;
            if talk.units.span(&run).duration() > wish.max || run.len() > SENTENCES_MAX {
                long += (sentences.len() + 1 - end) as u32;
                break;
            }
            if snap(&talk.units, &run, &talk.cuts, wish.max).duration() < wish.min {
                short += 1;
                continue;
            }
            considered += 1;
            match broken_rule(talk, &run) {
                Some(rule) => broken[rule as usize] += 1,
                None => kept.push(run),
            }
        }
    }
    let speech = talk_length(talk).seconds();
    let (min, max) = (wish.min.seconds(), wish.max.seconds());
    let too_short = match considered == 0 && long == 0 {
        true => format!("The talk lasts {speech:.1} s from its first word to its last, and a clip needs at least {min:.0} s."),
        false => format!("Spans of whole sentences under {min:.0} s are too short for a clip."),
    };
    removals.add("too_short", short, too_short);
    removals.add("too_long", long, format!("Spans of whole sentences over {max:.0} s are too long for a clip."));
    for (rule, removed) in Rule::ALL.into_iter().zip(broken) {
        removals.add(rule.code(), removed, rule.explanation());
    }
    Runs { kept, considered }
}

/// A rule about what a clip may hold.
#[derive(Clone, Copy)]
enum Rule {
    Sponsor,
    LongGap,
    Unsure,
    CrossesTopic,
}

impl Rule {
    const ALL: [Self; 4] = [Self::Sponsor, Self::LongGap, Self::Unsure, Self::CrossesTopic];

    fn code(self) -> &'static str {
        match self {
            Self::Sponsor => "sponsor",
            Self::LongGap => "long_gap",
            Self::Unsure => "unsure_words",
            Self::CrossesTopic => "crosses_topic",
        }
    }

    fn explanation(self) -> String {
        match self {
            Self::Sponsor => "Spans with a paid message are not proposed.".to_owned(),
            Self::LongGap => format!("Nobody speaks for more than {:.0} s inside these spans.", GAP_MAX.seconds()),
            Self::Unsure => "The words of these spans were heard too badly to be captioned.".to_owned(),
            Self::CrossesTopic => "These spans run from one topic into the next.".to_owned(),
        }
    }
}

fn broken_rule(talk: &Talk, run: &Run) -> Option<Rule> {
    let topics = &talk.topics;
    let most_beyond = |range: &Run| run.start + SPILL >= range.start && run.end <= range.end + SPILL;
    let (first, last) = (topics.of_sentence[run.start], topics.of_sentence[run.end - 1]);
    let has_gap = || {
        let words = &talk.units.words[talk.units.sentences[run.start].words.start..talk.units.sentences[run.end - 1].words.end];
        words.windows(2).any(|pair| pair[1].span.start().minus(pair[0].span.end()) > GAP_MAX)
    };
    if talk.said.as_ref().is_some_and(|said| said.sponsor.sums.of(run) > 0.0) {
        Some(Rule::Sponsor)
    } else if has_gap() {
        Some(Rule::LongGap)
    } else if talk.confidence.mean(run) < CONFIDENCE_MIN {
        Some(Rule::Unsure)
    } else if !(first..=last).any(|topic| most_beyond(&topics.ranges[topic])) {
        Some(Rule::CrossesTopic)
    } else {
        None
    }
}

fn judged(talk: &Talk, run: &Run, judgement: &Judgement, wish: &Wish, ranker: &impl Ranker) -> Judged {
    let middle = run.start + run.len() / 2;
    Judged {
        span: snap(&talk.units, run, &talk.cuts, wish.max),
        score: judgement.raw(ranker.bias()),
        topic: talk.topics.of_sentence[middle],
        words: talk.units.sentences[run.start].words.start..talk.units.sentences[run.end - 1].words.end,
        text: talk.vocabulary.vector(run),
    }
}

/// One span's row of the table.
struct Row<'a> {
    features: &'a [usize],
    percentiles: &'a [f64],
    judgement: &'a Judgement,
}

fn row<'a>(table: &'a Table, judgements: &'a [Judgement], at: usize) -> Row<'a> {
    Row { features: &table.measured, percentiles: &table.percentiles[at], judgement: &judgements[at] }
}

fn candidate(talk: &Talk, run: &Run, span: domain::Span, raw: f64, row: Row<'_>, wish: &Wish) -> Candidate {
    let mut contributions: Vec<Contribution> = Vec::new();
    for ((&at, &percentile), part) in row.features.iter().zip(row.percentiles).zip(&row.judgement.effects) {
        let feature = &FEATURES[at];
        let seen = feature.measure(talk, run, wish);
        contributions.push(Contribution {
            feature: feature.name.to_owned(),
            group: feature.group,
            value: seen.value,
            percentile,
            weight: part.weight,
            effect: part.effect,
            at: seen.at,
        });
    }
    contributions.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
    Candidate {
        span,
        score: raw.clamp(0.0, 100.0),
        title: title::title(talk, run),
        keywords: talk.vocabulary.keywords(run, KEYWORDS),
        text: talk.units.text(run),
        reasons: reasons::reasons(talk, run, &contributions),
        contributions,
    }
}

/// The rules that removed something, in order.
#[derive(Default)]
struct Removals(Vec<Removal>);

impl Removals {
    fn add(&mut self, rule: &str, removed: u32, explanation: String) {
        if removed > 0 || rule == "no_speech" {
            self.0.push(Removal { rule: rule.to_owned(), explanation, removed });
        }
    }

    fn passed(&mut self, passed: &[(usize, Passed)], chosen: usize) {
        let count = |why: Passed| passed.iter().filter(|(_, other)| *other == why).count() as u32;
        self.add("overlaps", count(Passed::Overlaps), "These spans overlap a chosen one that scores better.".to_owned());
        self.add("same_words", count(Passed::SaysTheSame), "These spans say the same as a chosen one.".to_owned());
        let explanation = format!("These spans differ from the {chosen} chosen, but score less than what was needed.");
        self.add("not_needed", count(Passed::NotNeeded), explanation);
    }
}
