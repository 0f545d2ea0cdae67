//! The one loaded model, on threads of its own.
//!
//! A model is hundreds of megabytes and uses every core by itself, so one is kept and one chunk is heard at a time.

use crate::failure::Fault;
use anyhow::Context as _;
use domain::artefact::Transcript;
use domain::{MediaTime, Span};
use speech::{Device, LanguageError, LoadError, Options, Whisper};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Speech that is looked at to find the language: one window of the model.
const LANGUAGE_WINDOW: MediaTime = MediaTime::from_millis(30_000);

/// Speech is looked for in pieces of this length, so that hours of sound are never in memory at once.
const SPEECH_PIECE: MediaTime = MediaTime::from_millis(600_000);

/// Loads models and hears with them.
#[derive(Clone)]
pub(super) struct Ear {
    models: PathBuf,
    device: Device,
    loaded: Arc<Mutex<Option<(String, Whisper)>>>,
}

/// Returns where somebody speaks in a 16 kHz WAV of this length.
pub(super) async fn find_speech(wav: PathBuf, length: MediaTime) -> Result<Vec<Span>, Fault> {
    let finding = tokio::task::spawn_blocking(move || {
        let mut speech: Vec<Span> = Vec::new();
        let mut start = MediaTime::ZERO;
        while let Ok(piece) = Span::new(start, start.plus(SPEECH_PIECE).min(length)) {
            let samples = media::listen::read_wav(&wav, Some(piece))?;
            for span in speech::vad::speech(&samples) {
                append(&mut speech, start.plus(span.start()), start.plus(span.end()));
            }
            start = piece.end();
        }
        anyhow::Ok(speech)
    });
    Ok(finding.await.context("the thread that looks for speech panicked")??)
}

/// Appends a span; one that was cut by the end of a piece grows instead.
fn append(speech: &mut Vec<Span>, start: MediaTime, end: MediaTime) {
    let joined = speech.last().filter(|last| last.end() >= start).map(|last| last.start());
    if joined.is_some() {
        speech.pop();
    }
    speech.extend(Span::new(joined.unwrap_or(start), end));
}

impl Ear {
    pub(super) fn new(models: PathBuf, device: Device) -> Self {
        Self { models, device, loaded: Arc::default() }
    }

    /// Returns the language that is spoken at the start of `chunk`.
    pub(super) async fn language(&self, model: &str, wav: PathBuf, chunk: Span) -> Result<String, Fault> {
        self.with(model, move |whisper| {
            let end = chunk.end().min(chunk.start().plus(LANGUAGE_WINDOW));
            let window = Span::new(chunk.start(), end).unwrap_or(chunk);
            let (language, _probability) = whisper.detect_language(&media::listen::read_wav(&wav, Some(window))?)?;
            Ok(language)
        })
        .await
    }

    /// Hears one chunk; times are the video's.
    pub(super) async fn hear(
        &self,
        model: &str,
        wav: PathBuf,
        chunk: Span,
        language: &str,
        mut progress: impl FnMut(f32) + Send + 'static,
    ) -> Result<Transcript, Fault> {
        let options = Options { language: Some(language.into()), ..Options::default() };
        self.with(model, move |whisper| {
            let samples = media::listen::read_wav(&wav, Some(chunk))?;
            whisper.transcribe(&samples, chunk.start(), &options, &mut progress)
        })
        .await
    }

    /// Finds the time of each word of a transcript that has none.
    pub(super) async fn align(&self, model: &str, wav: PathBuf, mut transcript: Transcript) -> Result<Transcript, Fault> {
        self.with(model, move |whisper| {
            let samples = media::listen::read_wav(&wav, None)?;
            whisper.align(&samples, &mut transcript.segments)?;
            Ok(transcript)
        })
        .await
    }

    async fn with<T: Send + 'static>(
        &self,
        model: &str,
        work: impl FnOnce(&mut Whisper) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let (ear, model) = (self.clone(), model.to_owned());
        let hearing = tokio::task::spawn_blocking(move || {
            let mut loaded = ear.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            let mut kept = match loaded.take() {
                Some((name, whisper)) if name == model => whisper,
                _ => load(&ear.models, &model, ear.device)?,
            };
            let outcome = work(&mut kept).map_err(classify);
            *loaded = Some((model, kept));
            outcome
        });
        hearing.await.context("the thread that hears panicked")?
    }
}

fn load(models: &Path, name: &str, device: Device) -> Result<Whisper, Fault> {
    let folder = models.join(name);
    if !domain::model::is_name(name) || !folder.is_dir() {
        let reason = format!("the model {name} is not installed: run `clipflow models pull {name}`, then try again");
        return Err(Fault::permanent("MODEL_MISSING", reason));
    }
    Whisper::load(&folder, device).map_err(classify)
}

/// A damaged model and an unknown language stay so; anything else may pass.
fn classify(error: anyhow::Error) -> Fault {
    if let Some(load) = error.downcast_ref::<LoadError>() {
        return Fault::permanent("MODEL_UNUSABLE", load);
    }
    if let Some(language) = error.downcast_ref::<LanguageError>() {
        return Fault::permanent("UNKNOWN_LANGUAGE", language);
    }
    Fault::Transient(error)
}
