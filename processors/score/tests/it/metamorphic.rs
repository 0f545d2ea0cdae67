//! Rules that hold between two runs: what must not matter does not, and what must, does.

use crate::made::{CALM, Made, monologue, sentences};
use crate::planted::{self, MEDIUM, Planted};
use domain::artefact::{Analysis, Detection, Face, KeyFrame, Prosody, Rect, Shot, Transcript};
use domain::{MediaTime, Span};
use score::ranker::Linear;
use score::{Wish, detect};

fn found(transcript: &Transcript, analysis: &Analysis) -> Detection {
    detect(transcript, analysis, transcript.duration_us, &Wish::default(), &Linear::frozen())
}

fn spans(detection: &Detection) -> Vec<Span> {
    detection.chosen.iter().map(|clip| clip.span).collect()
}

fn talks() -> Vec<Planted> {
    (1..=6).map(|seed| planted::talk(seed, MEDIUM)).collect()
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for planted in talks() {
        let json = || serde_json::to_string(&found(&planted.transcript, &planted.analysis)).unwrap();
        assert_eq!(json(), json());
    }
}

#[test]
fn a_louder_recording_ranks_the_same() {
    for planted in talks() {
        for gain in [-9.5, 6.0, 13.3] {
            let mut louder = planted.analysis.clone();
            louder.prosody.level_db.iter_mut().for_each(|level| *level += gain);
            let (before, after) = (found(&planted.transcript, &planted.analysis), found(&planted.transcript, &louder));
            assert_eq!(spans(&before), spans(&after), "gain {gain}");
        }
    }
}

#[test]
fn a_deeper_voice_ranks_the_same() {
    for planted in talks() {
        let mut deeper = planted.analysis.clone();
        deeper.prosody.pitch_hz.iter_mut().for_each(|pitch| *pitch *= 0.75);
        assert_eq!(spans(&found(&planted.transcript, &planted.analysis)), spans(&found(&planted.transcript, &deeper)));
    }
}

/// The same talk `by` later, after silence.
fn shifted(planted: &Planted, by: MediaTime) -> (Transcript, Analysis) {
    let later = |span: Span| Span::new(span.start().plus(by), span.end().plus(by)).unwrap();
    let mut transcript = planted.transcript.clone();
    transcript.duration_us = transcript.duration_us.plus(by);
    for segment in &mut transcript.segments {
        segment.span = later(segment.span);
        segment.words.iter_mut().for_each(|word| word.span = later(word.span));
    }
    let mut analysis = planted.analysis.clone();
    let frames = (by.millis() / u64::from(analysis.prosody.step_ms)) as usize;
    let before = |track: &mut Vec<f32>, value: f32| drop(track.splice(0..0, std::iter::repeat_n(value, frames)));
    before(&mut analysis.prosody.level_db, -70.0);
    before(&mut analysis.prosody.pitch_hz, 0.0);
    before(&mut analysis.prosody.zero_crossing_rate, 0.02);
    (transcript, analysis)
}

#[test]
fn a_talk_that_begins_later_gives_the_same_clips_later() {
    let by = MediaTime::from_millis(47_000);
    for planted in talks() {
        let (transcript, analysis) = shifted(&planted, by);
        let (before, after) = (found(&planted.transcript, &planted.analysis), found(&transcript, &analysis));
        let moved: Vec<Span> = spans(&before).iter().map(|span| Span::new(span.start().plus(by), span.end().plus(by)).unwrap()).collect();
        assert_eq!(moved, spans(&after));
        let scores = |detection: &Detection| detection.chosen.iter().map(|clip| clip.score).collect::<Vec<_>>();
        assert_eq!(scores(&before), scores(&after));
    }
}

#[test]
fn what_is_said_twice_is_chosen_once() {
    let text = include_str!("../data/monologue.txt");
    let part = text.split("\n\n").find(|part| part.contains("worst day of my life")).unwrap();
    let mut made = Made::new();
    for part in text.split("\n\n").skip(1).chain([part]) {
        made.say_all(sentences(part).iter().map(String::as_str), CALM);
        made.silence(900);
    }
    let (transcript, analysis) = made.finish();
    let found = found(&transcript, &analysis);
    let told = |sentence: &String| found.chosen.iter().filter(|clip| clip.text.contains(sentence.as_str())).count();
    let times: Vec<usize> = sentences(part).iter().map(told).collect();
    assert!(times.contains(&1) && times.iter().all(|&times| times <= 1), "{times:?}");
    assert!(found.removals.iter().any(|removal| removal.rule == "same_words"));
}

#[test]
fn unrelated_talk_at_the_end_leaves_the_best_clip() {
    for seed in 1..=6 {
        let planted = planted::talk(seed, planted::EASY);
        let best = found(&planted.transcript, &planted.analysis).chosen[0].span;
        let mut longer = planted.transcript.clone();
        let mut made = Made::new();
        made.silence(planted.transcript.duration_us.millis() + 1_000);
        for _ in 0..3 {
            made.say_all(
                [
                    "The rain came down on the roof for hours.",
                    "We counted drops and drank our tea.",
                    "Nothing else took place that afternoon.",
                ],
                CALM,
            );
        }
        let (extra, sound) = made.finish();
        longer.segments.extend(extra.segments);
        longer.duration_us = extra.duration_us;
        let mut analysis = planted.analysis.clone();
        let heard = analysis.prosody.level_db.len();
        analysis.prosody.level_db.extend(&sound.prosody.level_db[heard..]);
        analysis.prosody.pitch_hz.extend(&sound.prosody.pitch_hz[heard..]);
        analysis.prosody.zero_crossing_rate.extend(&sound.prosody.zero_crossing_rate[heard..]);
        assert!(found(&longer, &analysis).chosen[0].span.iou(best) > 0.9, "seed {seed}");
    }
}

#[test]
fn without_picture_or_sound_clips_are_still_found_and_it_is_said() {
    let planted = planted::talk(3, MEDIUM);
    let silent = Analysis { shots: Vec::new(), key_frames: Vec::new(), loudness: None, prosody: Prosody::default() };
    let found = found(&planted.transcript, &silent);
    assert!(found.chosen.len() >= 4);
    assert_eq!(found.degraded.len(), 2);
    assert!(found.chosen.iter().all(|clip| clip.contributions.iter().all(|part| part.feature != "faces" && part.feature != "energy_peak")));
}

#[test]
fn a_language_without_word_lists_is_ranked_by_voice_and_structure() {
    let mut planted = planted::talk(4, planted::EASY);
    planted.transcript.language = "xx".to_owned();
    let found = found(&planted.transcript, &planted.analysis);
    assert!(found.chosen.len() >= 4);
    assert!(found.degraded.iter().any(|sentence| sentence.contains("\"xx\"")));
    assert!(
        found.chosen.iter().all(|clip| clip.contributions.iter().all(|part| part.feature != "hook_words" && part.feature != "arousal"))
    );
    let hits = found.chosen.iter().filter(|clip| planted.highlights.iter().any(|span| span.iou(clip.span) > 0.5)).count();
    assert!(hits >= 3, "only {hits} of {} chosen are highlights", found.chosen.len());
}

#[test]
fn faces_count_where_there_is_a_picture() {
    let mut planted = planted::talk(5, MEDIUM);
    let face = Face { rect: Rect { x: 0.4, y: 0.2, width: 0.2, height: 0.3 }, confidence: 9.0 };
    let favourite = planted.highlights[2];
    let duration = planted.transcript.duration_us;
    let times = (0..duration.millis() / 2_000).map(|at| MediaTime::from_millis(at * 2_000));
    let frame = |at| KeyFrame {
        at_us: at,
        luma: 0.5,
        sharpness: 80.0,
        motion: 0.01,
        faces: if favourite.contains(at) { vec![face] } else { Vec::new() },
    };
    planted.analysis.key_frames = times.map(frame).collect();
    planted.analysis.shots = vec![Shot { span: Span::new(MediaTime::ZERO, duration).unwrap() }];
    let found = found(&planted.transcript, &planted.analysis);
    let clip = found.chosen.iter().find(|clip| clip.span.iou(favourite) > 0.5).unwrap();
    let faces = clip.contributions.iter().find(|part| part.feature == "faces").unwrap();
    assert!(faces.effect > 0.0 && faces.value > 0.8);
    assert!(found.degraded.is_empty());
}

#[test]
fn sponsors_are_never_proposed() {
    let (transcript, analysis, _) = monologue();
    let found = found(&transcript, &analysis);
    assert!(found.chosen.len() >= 4);
    assert!(found.chosen.iter().all(|clip| !clip.text.contains("Millstone")));
    assert!(found.removals.iter().any(|removal| removal.rule == "sponsor"));
}

#[test]
fn a_teaser_is_not_chosen_beside_the_story_it_is_taken_from() {
    let text = include_str!("../data/monologue.txt");
    let story = text.split("\n\n").find(|part| part.contains("worst day of my life")).unwrap();
    let teaser: Vec<String> = sentences(story).into_iter().skip(5).take(5).collect();
    let mut made = Made::new();
    made.say_all(teaser.iter().map(String::as_str), CALM);
    made.silence(1_200);
    for part in text.split("\n\n").skip(1) {
        made.say_all(sentences(part).iter().map(String::as_str), CALM);
        made.silence(900);
    }
    let (transcript, analysis) = made.finish();
    let chosen = found(&transcript, &analysis).chosen;
    let cried = chosen.iter().filter(|clip| clip.text.contains("I sat down on a flour sack")).count();
    assert!(cried <= 1, "the same moment is chosen {cried} times");
}
