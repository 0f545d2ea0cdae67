//! Planted highlights: ours against everything that is easier to write.

use crate::made::Random;
use crate::planted::{self, Difficulty, Planted};
use domain::artefact::Detection;
use domain::{MediaTime, Span};
use score::ranker::{Effect, Judgement, Linear, Ranker};
use score::{Talk, Wish, detect, evaluate};

const SEEDS: u64 = 24;

/// Judges by chance.
struct Chance(u64);

impl Ranker for Chance {
    fn name(&self) -> &str {
        "chance"
    }

    fn bias(&self) -> f64 {
        50.0
    }

    fn judge(&self, features: &[usize], rows: &[Vec<f64>]) -> Vec<Judgement> {
        let mut random = Random(self.0);
        let row = |_| {
            let mut effects = vec![Effect::default(); features.len()];
            effects[0].effect = random.between(-40.0, 40.0);
            Judgement { effects }
        };
        rows.iter().map(row).collect()
    }
}

fn spans(found: &Detection) -> Vec<Span> {
    found.chosen.iter().map(|clip| clip.span).collect()
}

fn by(planted: &Planted, ranker: &impl Ranker) -> Vec<Span> {
    spans(&detect(&planted.transcript, &planted.analysis, planted.transcript.duration_us, &Wish::default(), ranker))
}

fn weights(lines: &str) -> Linear {
    format!("name part\nbias 50\n{lines}").parse().unwrap()
}

/// Spans of 35 s one after the other.
fn uniform(planted: &Planted) -> Vec<Span> {
    let length = MediaTime::from_millis(35_000);
    let starts = (0..).map(|at| MediaTime(at * length.0)).take_while(|start| start.plus(length) <= planted.transcript.duration_us);
    starts.map(|start| Span::new(start, start.plus(length)).unwrap()).collect()
}

/// The longest sentences with what follows them, to 35 s.
fn longest_sentences(planted: &Planted) -> Vec<Span> {
    let talk = Talk::new(&planted.transcript, &planted.analysis, planted.transcript.duration_us);
    let mut sentences: Vec<Span> = talk.units.sentences.iter().map(|sentence| sentence.span).collect();
    sentences.sort_by_key(|span| std::cmp::Reverse(span.duration()));
    let mut chosen: Vec<Span> = Vec::new();
    for span in sentences {
        let clip = Span::new(span.start(), span.start().plus(MediaTime::from_millis(35_000))).unwrap();
        if chosen.iter().all(|other| other.intersection(clip).is_none()) {
            chosen.push(clip);
        }
    }
    chosen.truncate(8);
    chosen
}

/// Whole topics, most of one piece first: what a segmentation alone gives.
fn topics(planted: &Planted) -> Vec<Span> {
    let talk = Talk::new(&planted.transcript, &planted.analysis, planted.transcript.duration_us);
    let mut ranges = talk.topics.ranges.clone();
    ranges.sort_by_key(|range| range.len());
    ranges.iter().map(|range| talk.units.span(range)).collect()
}

#[derive(Clone, Copy, Default)]
struct Figures {
    r1_at_5: f64,
    r1_at_7: f64,
    map_at_5: f64,
    map_at_75: f64,
    map: f64,
    ndcg_at_5: f64,
    ndcg_at_10: f64,
}

fn figures(predicted: &[Span], truth: &[Span]) -> Figures {
    // Graded by how much of a highlight is hit: 0 to 4, as annotators would.
    let grade = |span: &Span| (truth.iter().map(|other| other.iou(*span)).fold(0.0, f64::max) * 4.0).round();
    let grades: Vec<f64> = predicted.iter().map(grade).collect();
    let all = vec![4.0; truth.len()];
    Figures {
        r1_at_5: evaluate::recall_at_1(predicted, truth, 0.5),
        r1_at_7: evaluate::recall_at_1(predicted, truth, 0.7),
        map_at_5: evaluate::average_precision(predicted, truth, 0.5),
        map_at_75: evaluate::average_precision(predicted, truth, 0.75),
        map: evaluate::average_precision_mean(predicted, truth),
        ndcg_at_5: evaluate::ndcg(&grades, &all, 5),
        ndcg_at_10: evaluate::ndcg(&grades, &all, 10),
    }
}

fn mean(all: &[Figures]) -> Figures {
    let mean = |of: fn(&Figures) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    Figures {
        r1_at_5: mean(|f| f.r1_at_5),
        r1_at_7: mean(|f| f.r1_at_7),
        map_at_5: mean(|f| f.map_at_5),
        map_at_75: mean(|f| f.map_at_75),
        map: mean(|f| f.map),
        ndcg_at_5: mean(|f| f.ndcg_at_5),
        ndcg_at_10: mean(|f| f.ndcg_at_10),
    }
}

type Method<'a> = (&'a str, Box<dyn Fn(&Planted, u64) -> Vec<Span>>);

fn compare(name: &str, how: Difficulty) -> (Figures, Vec<(&'static str, Figures)>) {
    let energy = weights("hook_energy 10\nenergy_peak 20\nenergy_mean 20");
    let lexicon = weights("hook_words 20\narousal 20\nconclusion 20");
    let methods: Vec<Method<'static>> = vec![
        ("ours", Box::new(|planted, _| by(planted, &Linear::frozen()))),
        ("random", Box::new(|planted, seed| by(planted, &Chance(seed)))),
        ("uniform", Box::new(|planted, _| uniform(planted))),
        ("longest sentence", Box::new(|planted, _| longest_sentences(planted))),
        ("topics only", Box::new(|planted, _| topics(planted))),
        ("energy only", Box::new(move |planted, _| by(planted, &energy))),
        ("lexicon only", Box::new(move |planted, _| by(planted, &lexicon))),
    ];
    println!("\nplanted highlights, {name}, seeds 1 to {SEEDS}");
    println!("{:18} R1@.5  R1@.7  mAP@.5 mAP@.75 mAP    NDCG@5 NDCG@10", "");
    let talks: Vec<Planted> = (1..=SEEDS).map(|seed| planted::talk(seed, how)).collect();
    let mut table = Vec::new();
    for (method, run) in methods {
        let each: Vec<Figures> = talks.iter().zip(1..).map(|(planted, seed)| figures(&run(planted, seed), &planted.highlights)).collect();
        let f = mean(&each);
        println!(
            "{method:18} {:.3}  {:.3}  {:.3}  {:.3}   {:.3}  {:.3}  {:.3}",
            f.r1_at_5, f.r1_at_7, f.map_at_5, f.map_at_75, f.map, f.ndcg_at_5, f.ndcg_at_10
        );
        table.push((method, f));
    }
    let (_, ours) = table.remove(0);
    (ours, table)
}

fn assert_best(name: &str, how: Difficulty, margin: f64) {
    let (ours, others) = compare(name, how);
    for (method, figures) in others {
        assert!(ours.r1_at_5 >= figures.r1_at_5 + margin, "{name}: R1@.5 is not {margin} above {method}");
        assert!(ours.map >= figures.map + margin, "{name}: mAP is not {margin} above {method}");
    }
}

#[test]
fn easy_highlights_are_found_before_every_baseline() {
    assert_best("easy", planted::EASY, 0.1);
}

#[test]
fn weaker_highlights_are_found_before_every_baseline() {
    assert_best("medium", planted::MEDIUM, 0.15);
}

#[test]
fn faint_highlights_among_many_decoys_are_found_before_every_baseline() {
    assert_best("hard", planted::HARD, 0.08);
}
