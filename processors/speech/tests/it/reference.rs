//! Words and times against PyPI faster-whisper on the same weights (`tests/golden/make_reference.py`).

use crate::media::{decode, golden, media, tiny_en};
use domain::MediaTime;
use domain::artefact::{Segment, Transcript};
use serde::Deserialize;
use speech::{Device, Options, Precision, Whisper};
use std::collections::HashMap;

#[derive(Deserialize)]
struct ReferenceWord {
    text: String,
    start: f64,
}

/// Medians and 95th percentiles of word starts are compared, in seconds.
const MEDIAN_MAX: f64 = 0.060;
const PERCENTILE_95_MAX: f64 = 0.200;

fn transcribe(name: &str, precision: Precision, options: &Options) -> Option<Transcript> {
    let (model, path) = (tiny_en()?, media(name)?);
    let whisper = Whisper::load_with(&model, Device::Cpu, precision).unwrap();
    Some(whisper.transcribe(&decode(&path), MediaTime::ZERO, options, &mut |_| {}).unwrap())
}

fn texts(transcript: &Transcript) -> Vec<&str> {
    transcript.words().map(|word| word.text.as_str()).collect()
}

fn differences(starts: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let mut differences: Vec<f64> = starts.map(|(found, expected)| (found - expected).abs()).collect();
    differences.sort_by(f64::total_cmp);
    (differences[differences.len() / 2], differences[(differences.len() * 95).div_ceil(100) - 1])
}

fn check(name: &str, precision: Precision) {
    let Some(transcript) = transcribe(name, precision, &Options::default()) else { return };
    let mut reference: HashMap<String, Vec<ReferenceWord>> =
        serde_json::from_slice(&std::fs::read(golden().join("words.json")).unwrap()).unwrap();
    let expected = reference.remove(name).unwrap();
    assert_eq!(texts(&transcript), expected.iter().map(|word| word.text.as_str()).collect::<Vec<_>>());
    let starts = transcript.words().zip(&expected).map(|(word, expected)| (word.span.start().seconds(), expected.start));
    let (median, percentile_95) = differences(starts);
    eprintln!("{name} {precision:?}: word starts differ by {median:.3} s in the median, {percentile_95:.3} s at the 95th percentile");
    assert!(median <= MEDIAN_MAX && percentile_95 <= PERCENTILE_95_MAX, "median {median}, 95th percentile {percentile_95}");
    check_order(&transcript.segments);
}

fn check_order(segments: &[Segment]) {
    assert!(segments.windows(2).all(|pair| pair[0].span.end() <= pair[1].span.start()), "segments overlap");
    for segment in segments {
        assert!(segment.words.windows(2).all(|pair| pair[0].span.end() <= pair[1].span.start()), "words overlap");
        assert!(segment.words.iter().all(|word| word.span.start() >= segment.span.start() && word.span.end() <= segment.span.end()));
    }
}

#[test]
fn a_short_speech_has_the_reference_s_words_and_times() {
    check("jfk.flac", Precision::Fast);
    check("jfk.flac", Precision::Exact);
}

#[test]
fn a_voice_over_slides_has_the_reference_s_words_and_times() {
    check("voice-42s.mp4", Precision::Fast);
    check("voice-42s.mp4", Precision::Exact);
}

#[test]
fn nothing_is_invented_for_a_long_silence() {
    let Some(transcript) = transcribe("voice-42s.mp4", Precision::Fast, &Options::default()) else { return };
    let silence = MediaTime::from_seconds(18.0)..MediaTime::from_seconds(40.0);
    let invented: Vec<_> =
        transcript.words().filter(|word| silence.contains(&word.span.start()) || silence.contains(&word.span.end())).collect();
    assert!(invented.is_empty(), "{invented:?}");
    assert_eq!(transcript.words().last().unwrap().text, "Banana.");
}

#[test]
fn windows_heard_together_are_heard_as_if_alone() {
    let (Some(model), Some(path)) = (tiny_en(), media("jfk.flac")) else { return };
    let samples = decode(&path).repeat(4);
    let whisper = Whisper::load(&model, Device::Cpu).unwrap();
    let alone = whisper.transcribe(&samples, MediaTime::ZERO, &Options { batch_size: 1, ..Options::default() }, &mut |_| {}).unwrap();
    let mut parts = vec![];
    let together = whisper.transcribe(&samples, MediaTime::ZERO, &Options::default(), &mut |part| parts.push(part)).unwrap();
    assert_eq!(texts(&alone), texts(&together));
    assert!(parts.is_sorted() && parts.last() == Some(&1.0), "{parts:?}");
}

#[test]
fn beam_search_hears_the_words_too() {
    let Some(transcript) = transcribe("jfk.flac", Precision::Fast, &Options { beam_size: 5, ..Options::default() }) else { return };
    let letters: String =
        texts(&transcript).join(" ").to_lowercase().chars().filter(|letter| letter.is_alphabetic() || *letter == ' ').collect();
    assert_eq!(letters, "and so my fellow americans ask not what your country can do for you ask what you can do for your country");
}

#[test]
fn known_text_gets_the_times_of_its_words() {
    let (Some(model), Some(path)) = (tiny_en(), media("voice-42s.mp4")) else { return };
    let (whisper, samples) = (Whisper::load(&model, Device::Cpu).unwrap(), decode(&path));
    let heard = whisper.transcribe(&samples, MediaTime::ZERO, &Options::default(), &mut |_| {}).unwrap();
    let mut known = heard.segments.clone();
    known.iter_mut().for_each(|segment| segment.words.clear());
    whisper.align(&samples, &mut known).unwrap();
    check_order(&known);
    let found: Vec<_> = known.iter().flat_map(|segment| &segment.words).collect();
    assert_eq!(found.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(), texts(&heard));
    let (median, percentile_95) =
        differences(found.iter().zip(heard.words()).map(|(a, b)| (a.span.start().seconds(), b.span.start().seconds())));
    assert!(median <= MEDIAN_MAX && percentile_95 <= PERCENTILE_95_MAX, "median {median}, 95th percentile {percentile_95}");
}
