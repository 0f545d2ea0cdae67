//! The network against PyPI transformers, on two small random models (`tests/golden/make_model.py`).

use crate::media::{decode, floats, golden, media};
use speech::{Device, Precision, Whisper, vad};
use std::path::Path;

const TOLERANCE: f32 = 1e-4;
/// The weights in the program have 16 bits, the reference's have 32.
const VAD_TOLERANCE: f32 = 0.02;

fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len(), "the shapes differ");
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn check(name: &str) {
    let folder = golden().join(name);
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let whisper = Whisper::load_with(&folder, Device::Cpu, Precision::Exact).unwrap();
    let samples: Vec<f32> =
        read("audio.s16").chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect();
    let tokens: Vec<i64> = serde_json::from_slice(&read("tokens.json")).unwrap();
    let mel = difference(&whisper.features(&samples).unwrap(), &floats(&read("mel.f32")));
    let encoder = difference(&whisper.encoder_states(&samples).unwrap(), &floats(&read("encoder.f32")));
    let logits = difference(&whisper.logits(&samples, &tokens).unwrap(), &floats(&read("logits.f32")));
    assert!(mel < TOLERANCE && encoder < TOLERANCE && logits < TOLERANCE, "{name}: mel {mel}, encoder {encoder}, logits {logits}");
}

#[test]
fn a_model_of_80_mels_computes_what_transformers_computes() {
    check("random-80");
}

#[test]
fn a_model_of_128_mels_computes_what_transformers_computes() {
    check("random-128");
}

#[test]
fn a_model_of_any_size_transcribes_and_knows_its_languages() {
    let whisper = Whisper::load(&golden().join("random-80"), Device::Cpu).unwrap();
    assert!(whisper.is_multilingual());
    assert_eq!(whisper.languages(), ["en", "de"]);
    let Some(path) = media("jfk.flac") else { return };
    let samples = decode(&path);
    let (language, probability) = whisper.detect_language(&samples).unwrap();
    assert!(["en", "de"].contains(&language.as_str()) && (0.5..=1.0).contains(&probability));
    for beam_size in [1, 3] {
        let options = speech::Options { beam_size, ..speech::Options::default() };
        let first = whisper.transcribe(&samples, domain::MediaTime::ZERO, &options, &mut |_| {}).unwrap();
        let second = whisper.transcribe(&samples, domain::MediaTime::ZERO, &options, &mut |_| {}).unwrap();
        assert_eq!(first, second, "sampling is seeded");
    }
}

#[test]
fn voice_activity_is_what_the_reference_finds() {
    let Some(path) = media("jfk.flac") else { return };
    let expected: Vec<f32> = serde_json::from_slice(&std::fs::read(Path::new(&golden().join("vad.json"))).unwrap()).unwrap();
    let difference = difference(&vad::probabilities(&decode(&path)), &expected);
    assert!(difference < VAD_TOLERANCE, "{difference}");
}
