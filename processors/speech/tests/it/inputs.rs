//! Bad and empty input: a named refusal or an empty transcript, never a crash.

use crate::media::{decode, golden, media, tiny_en};
use domain::MediaTime;
use speech::{Device, DeviceError, LanguageError, LoadError, Options, Whisper, vad};
use std::path::Path;

fn random_model() -> Whisper {
    Whisper::load(&golden().join("random-80"), Device::Cpu).unwrap()
}

fn load_error(dir: &Path) -> LoadError {
    Whisper::load(dir, Device::Cpu).err().expect("it must be refused").downcast().unwrap()
}

#[test]
fn a_missing_folder_is_named() {
    let error = load_error(Path::new("no-such-model"));
    assert!(matches!(error, LoadError::NoFolder(_)));
    assert!(error.to_string().contains("no-such-model"));
}

#[test]
fn a_folder_without_weights_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(load_error(folder.path()), LoadError::NoWeights(_)));
}

#[test]
fn a_cut_off_or_foreign_weights_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    for bytes in [&b""[..], b"\x06\0\0\0\x0c\0WhisperSpec\0\x03\0\0\0\x94\0", b"\x06\0\0\0\x0c\0Transformer\0", b"<html>not found</html>"] {
        std::fs::write(folder.path().join("model.bin"), bytes).unwrap();
        let error = load_error(folder.path());
        assert!(matches!(error, LoadError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("fetch the model again"), "{error}");
    }
}

#[test]
fn a_real_model_that_was_cut_off_is_refused() {
    let Some(model) = tiny_en() else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json"] {
        std::fs::copy(model.join(name), folder.path().join(name)).unwrap();
    }
    let whole = std::fs::read(model.join("model.bin")).unwrap();
    std::fs::write(folder.path().join("model.bin"), &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(load_error(folder.path()), LoadError::Damaged { .. }));
}

#[test]
fn weights_that_do_not_fit_the_configuration_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(golden().join("random-80").join(name), folder.path().join(name)).unwrap();
    }
    let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    std::fs::write(folder.path().join("config.json"), config.replace("\"decoder_attention_heads\": 3", "\"decoder_attention_heads\": 5"))
        .unwrap();
    assert!(matches!(load_error(folder.path()), LoadError::Unsupported { .. }));
}

#[test]
fn an_unknown_language_is_refused_with_the_known_ones() {
    let options = Options { language: Some("tlh".to_owned()), ..Options::default() };
    let error = random_model().transcribe(&[0.0; 16_000], MediaTime::ZERO, &options, &mut |_| {}).unwrap_err();
    assert_eq!(error.downcast::<LanguageError>().unwrap(), LanguageError::Unknown { asked: "tlh".to_owned(), known: "en, de".to_owned() });
}

#[test]
fn an_english_model_refuses_other_languages() {
    let Some(model) = tiny_en() else { return };
    let whisper = Whisper::load(&model, Device::Cpu).unwrap();
    assert!(!whisper.is_multilingual());
    assert_eq!(whisper.detect_language(&[]).unwrap(), ("en".to_owned(), 1.0));
    let options = Options { language: Some("de".to_owned()), ..Options::default() };
    let error = whisper.transcribe(&[0.0; 16_000], MediaTime::ZERO, &options, &mut |_| {}).unwrap_err();
    assert_eq!(error.downcast::<LanguageError>().unwrap(), LanguageError::EnglishOnly("de".to_owned()));
}

#[test]
fn a_missing_cuda_device_is_refused() {
    let error = Whisper::load(&golden().join("random-80"), Device::Cuda(99)).err().unwrap();
    assert!(matches!(error.downcast::<DeviceError>().unwrap(), DeviceError::NoCuda { asked: 99, .. }));
}

#[test]
fn empty_silent_and_very_short_sound_gives_an_empty_transcript() {
    let whisper = random_model();
    for samples in [vec![], vec![0.1; 1], vec![0.0; 300], vec![0.0; 16_000 * 40]] {
        let transcript = whisper.transcribe(&samples, MediaTime::from_seconds(7.0), &Options::default(), &mut |_| {}).unwrap();
        assert!(transcript.segments.is_empty(), "{} samples", samples.len());
        assert_eq!(transcript.duration_us, MediaTime::from_seconds(samples.len() as f64 / 16_000.0));
    }
    assert!(vad::speech(&[]).is_empty());
    assert!(whisper.detect_language(&[0.0; 16_000]).is_err());
}

#[test]
fn times_count_from_the_offset() {
    let (Some(model), Some(path)) = (tiny_en(), media("jfk.flac")) else { return };
    let (whisper, samples) = (Whisper::load(&model, Device::Cpu).unwrap(), decode(&path));
    let heard = |offset| whisper.transcribe(&samples, offset, &Options::default(), &mut |_| {}).unwrap();
    let (early, late) = (heard(MediaTime::ZERO), heard(MediaTime::from_seconds(3_600.0)));
    let difference = |a: MediaTime, b: MediaTime| b.0 - a.0;
    assert!(early.words().zip(late.words()).all(|(a, b)| difference(a.span.start(), b.span.start()) == 3_600_000_000));
}

#[test]
fn speech_is_found_where_somebody_speaks() {
    let Some(path) = media("voice-42s.mp4") else { return };
    let speech = vad::speech(&decode(&path));
    let at = MediaTime::from_seconds;
    assert!(speech.iter().any(|span| span.contains(at(5.0))) && speech.iter().any(|span| span.contains(at(40.2))), "{speech:?}");
    assert!(!speech.iter().any(|span| span.contains(at(30.0))), "{speech:?}");
    assert!(speech.windows(2).all(|pair| pair[0].end() < pair[1].start()), "{speech:?}");
}
