//! What holds of every detection, whatever the talk.

use crate::made::{Made, Voice};
use domain::artefact::{Analysis, Detection, Prosody, Transcript};
use domain::{MediaTime, Span};
use proptest::prelude::*;
use score::ranker::{Linear, Ranker};
use score::{Wish, detect};

const WORDS: [&str; 40] = [
    "why",
    "never",
    "the",
    "and",
    "so",
    "you",
    "because",
    "it",
    "river",
    "bridge",
    "engine",
    "garden",
    "mistake",
    "love",
    "crashed",
    "window",
    "three",
    "seven",
    "um",
    "basically",
    "sponsored",
    "by",
    "welcome",
    "lesson",
    "is",
    "that's",
    "teacher",
    "music",
    "silver",
    "market",
    "doctor",
    "cloud",
    "letter",
    "paper",
    "dragon",
    "silence",
    "winter",
    "number",
    "table",
    "people",
];

/// A made-up sentence: its words, its mark, its voice.
fn sentence() -> impl Strategy<Value = (Vec<usize>, usize, i8, u16)> {
    (prop::collection::vec(0..WORDS.len(), 1..18), 0usize..5, -8i8..8, prop_oneof![Just(150u16), 200u16..900, 1_000u16..7_000])
}

fn talk() -> impl Strategy<Value = (Transcript, Analysis)> {
    (prop::collection::vec(sentence(), 0..70), 0u64..3_000, any::<bool>(), any::<bool>()).prop_map(
        |(sentences, lead, has_sound, is_english)| {
            let mut made = Made::new();
            made.language = if is_english { "en" } else { "de" };
            made.silence(lead);
            for (words, mark, level, pause) in sentences {
                let text: Vec<&str> = words.iter().map(|&word| WORDS[word]).collect();
                let text = format!("{}{}", text.join(" "), [".", "?", "!", "", ","][mark]);
                let voice =
                    Voice { level_db: -25.0 + f32::from(level), pitch_hz: 120.0 + f32::from(level), pause_after_ms: u64::from(pause) };
                made.say(&text, voice);
            }
            let (transcript, mut analysis) = made.finish();
            if !has_sound {
                analysis.prosody = Prosody::default();
            }
            (transcript, analysis)
        },
    )
}

fn wish() -> impl Strategy<Value = Wish> {
    (prop::option::of(0u32..15), 5u64..40, 0u64..80).prop_map(|(count, min, more)| Wish {
        count,
        min: MediaTime::from_millis(min * 1_000),
        max: MediaTime::from_millis((min + more) * 1_000),
    })
}

fn check(transcript: &Transcript, wish: &Wish, found: &Detection) -> Result<(), TestCaseError> {
    let ranker = Linear::frozen();
    let words: Vec<Span> = transcript.words().map(|word| word.span).collect();
    for clip in &found.chosen {
        prop_assert!(clip.span.end() <= transcript.duration_us);
        prop_assert!(clip.span.duration() >= wish.min && clip.span.duration() <= wish.max, "{} of {wish:?}", clip.span.duration());
        let cuts_a_word = |at: MediaTime| words.iter().any(|word| word.start() < at && at < word.end());
        prop_assert!(!cuts_a_word(clip.span.start()) && !cuts_a_word(clip.span.end()));
        let raw = ranker.bias() + clip.contributions.iter().map(|part| part.effect).sum::<f64>();
        prop_assert!((raw.clamp(0.0, 100.0) - clip.score).abs() < 1e-9);
        prop_assert!(clip.contributions.windows(2).all(|pair| pair[0].effect.abs() >= pair[1].effect.abs()));
        for part in &clip.contributions {
            prop_assert!((0.0..=1.0).contains(&part.percentile) && part.value.is_finite());
            prop_assert!(part.at.intersection(clip.span).is_some(), "{} at {} outside {}", part.feature, part.at, clip.span);
        }
        prop_assert!(clip.reasons.iter().all(|reason| reason.text.contains(':')), "{:?} names no second", clip.reasons);
        prop_assert!(!clip.title.is_empty() && !clip.title.ends_with([',', ' ']) && clip.keywords.len() <= 6);
    }
    prop_assert!(found.chosen.windows(2).all(|pair| pair[0].score >= pair[1].score));
    for (at, clip) in found.chosen.iter().enumerate() {
        prop_assert!(found.chosen[..at].iter().all(|other| other.span.iou(clip.span) <= 0.3));
    }
    if found.chosen.is_empty() && wish.count != Some(0) {
        prop_assert!(!found.removals.is_empty(), "nothing chosen and nobody says why");
    }
    prop_assert!(found.removals.iter().all(|removal| removal.explanation.ends_with('.')));
    // Every span that was considered was either chosen or removed by exactly one later rule.
    let length_rules = ["no_speech", "too_short", "too_long"];
    let later: u32 =
        found.removals.iter().filter(|removal| !length_rules.contains(&removal.rule.as_str())).map(|removal| removal.removed).sum();
    prop_assert_eq!(later + found.chosen.len() as u32, found.considered);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_detection_keeps_its_promises((transcript, analysis) in talk(), wish in wish()) {
        let found = detect(&transcript, &analysis, transcript.duration_us, &wish, &Linear::frozen());
        check(&transcript, &wish, &found)?;
    }

    #[test]
    fn a_wished_count_is_met_where_that_many_spans_stand_apart((transcript, analysis) in talk(), count in 1u32..6) {
        let wish = Wish { count: Some(count), ..Wish::default() };
        let found = detect(&transcript, &analysis, transcript.duration_us, &wish, &Linear::frozen());
        prop_assert!(found.chosen.len() <= count as usize);
        let passed = found.removals.iter().any(|removal| removal.rule == "not_needed");
        prop_assert!(!passed || found.chosen.len() == count as usize, "{} of {count} while others were left", found.chosen.len());
    }
}

#[test]
fn a_three_minute_talk_gives_four_clips() {
    for seed in 1..=10u64 {
        let mut random = crate::made::Random(seed);
        let mut made = Made::new();
        while made.seconds() < 180.0 {
            let words: Vec<&str> = (0..5 + random.below(12)).map(|_| random.pick(&WORDS[8..])).collect();
            let voice = Voice { level_db: -25.0, pitch_hz: 120.0, pause_after_ms: 300 };
            made.say(&format!("{}.", words.join(" ")), voice);
        }
        let (transcript, analysis) = made.finish();
        let found = detect(&transcript, &analysis, transcript.duration_us, &Wish::default(), &Linear::frozen());
        assert!(found.chosen.len() >= 4, "seed {seed}: {}", found.chosen.len());
        let apart = |at: usize| found.chosen[..at].iter().all(|other| other.span.intersection(found.chosen[at].span).is_none());
        assert!((0..found.chosen.len()).all(apart));
    }
}

fn outcome(build: impl FnOnce(&mut Made)) -> (Vec<String>, Vec<String>) {
    let mut made = Made::new();
    build(&mut made);
    let (transcript, analysis) = made.finish();
    let found = detect(&transcript, &analysis, transcript.duration_us, &Wish::default(), &Linear::frozen());
    assert!(found.chosen.is_empty());
    found.removals.into_iter().map(|removal| (removal.rule, removal.explanation)).unzip()
}

#[test]
fn nothing_to_clip_says_why() {
    let (rules, sentences) = outcome(|made| made.silence(30_000));
    assert_eq!(rules, ["no_speech"]);
    assert_eq!(sentences, ["Nobody speaks in this video, so there is nothing to clip."]);

    let (rules, sentences) = outcome(|made| made.say_all(["This is far too short."], crate::made::CALM));
    assert_eq!(rules, ["too_short"]);
    assert!(sentences[0].starts_with("The talk lasts 1.6 s") && sentences[0].ends_with("at least 15 s."), "{sentences:?}");

    let (rules, _) = outcome(|made| {
        for _ in 0..4 {
            made.say("Somebody says a few words about the weather and stops.", Voice { pause_after_ms: 9_000, ..crate::made::CALM });
        }
    });
    assert!(rules.contains(&"long_gap".to_owned()), "{rules:?}");
}
