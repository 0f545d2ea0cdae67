//! `clipflow bench`: one stage at a time, for `just bench`.

use super::bench_stores;
use crate::cli::{Bench, Shared};
use crate::engine::models_folder;
use anyhow::Context as _;
use domain::artefact::{Analysis, CaptionStyle, EncoderSettings, MediaFacts, Ratio, RenderSettings, Word};
use domain::{BlobRef, MediaTime, Span};
use media::{encode, listen, look, probe};
use processors::CHUNK_MAX;
use serde_json::{Value, json};
use speech::{Device, Options, Whisper};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What is rendered: the first half minute.
const RENDERED: MediaTime = MediaTime::from_millis(30_000);

pub(crate) async fn run(shared: &Shared, command: Bench) -> anyhow::Result<()> {
    let models = models_folder(shared)?;
    let result = match command {
        Bench::Transcribe { file, model, .. } => blocking(move || transcribe(&file, &models.join(model))).await?,
        Bench::Analyze { file, .. } => blocking(move || analyze(&file)).await?,
        Bench::Render { file, .. } => blocking(move || render(&file)).await?,
        Bench::Lake { events } => bench_stores::lake(events).await?,
        Bench::Rows { events, cluster } => bench_stores::rows(events, &cluster).await?,
    };
    writeln!(std::io::stdout(), "{result}")?;
    Ok(())
}

async fn blocking(work: impl FnOnce() -> anyhow::Result<Value> + Send + 'static) -> anyhow::Result<Value> {
    tokio::task::spawn_blocking(work).await.context("the measured work panicked")?
}

/// Sound to words, without loading the model: its peers are measured so.
fn transcribe(file: &Path, model: &Path) -> anyhow::Result<Value> {
    let whisper = Whisper::load(model, Device::Auto)?;
    media::init()?;
    let started = Instant::now();
    let wav = tempfile::NamedTempFile::new()?;
    let heard = listen::listen(file, wav.path(), &mut |_| {})?;
    let samples = listen::read_wav(wav.path(), None)?;
    let speech = speech::vad::speech(&samples);
    let mut words: Vec<Value> = Vec::new();
    for chunk in speech::vad::chunks(&speech, heard.duration_us, CHUNK_MAX) {
        let piece = listen::read_wav(wav.path(), Some(chunk))?;
        let transcript = whisper.transcribe(&piece, chunk.start(), &Options::default(), &mut |_| {})?;
        words.extend(transcript.words().map(shown));
    }
    Ok(json!({ "seconds": started.elapsed().as_secs_f64(), "words": words }))
}

fn shown(word: &Word) -> Value {
    json!({ "text": word.text, "start": word.span.start().seconds(), "end": word.span.end().seconds() })
}

/// Shots, faces, loudness and prosody, side by side as in the main job.
fn analyze(file: &Path) -> anyhow::Result<Value> {
    let facts = probe::probe(file, probe::Limits::default())?;
    let started = Instant::now();
    let wav = tempfile::NamedTempFile::new()?;
    let (heard, seen) = std::thread::scope(|scope| {
        let hearing = scope.spawn(|| listen::listen(file, wav.path(), &mut |_| {}));
        let seen = look::look(file, &facts, &mut |_| {});
        (hearing.join(), seen)
    });
    let heard = heard.map_err(|_| anyhow::anyhow!("listening panicked"))??;
    let seen = seen?;
    let rate = facts.video.context("the file has no picture")?.frame_rate;
    let cuts: Vec<_> = seen.shots.iter().skip(1).map(|shot| rate.nearest_frame(shot.span.start())).collect();
    let faces: usize = seen.key_frames.iter().map(|frame| frame.faces.len()).sum();
    let seconds = started.elapsed().as_secs_f64();
    Ok(json!({ "seconds": seconds, "cuts": cuts, "key_frames": seen.key_frames.len(), "faces": faces, "loudness": heard.loudness }))
}

/// Half a minute with everything the render stage does: faces, plan, encode.
fn render(file: &Path) -> anyhow::Result<Value> {
    let facts = probe::probe(file, probe::Limits::default())?;
    let started = Instant::now();
    let folder = tempfile::tempdir()?;
    let list = {
        let span = Span::new(MediaTime::ZERO, RENDERED.min(facts.duration_us))?;
        let faces = look::faces_in(file, &facts, span, 5.0, &mut |_| {})?;
        let loudness = listen::loudness_of(file, span)?;
        let analysis = Analysis { shots: vec![], key_frames: vec![], loudness, prosody: domain::artefact::Prosody::default() };
        let words = spoken(&facts, span);
        let blob = BlobRef { sha256: domain::blob::Digest([0; 32]), bytes: 0, media_type: "video/mp4".into() };
        let source =
            edit::Source { blob, facts: &facts, shots: &analysis.shots, faces: &faces, levels: &analysis.prosody, words: &words, loudness };
        let settings = RenderSettings::full_size(Ratio::Portrait, EncoderSettings::default());
        edit::plan(&source, &edit::Wish { span, ratio: Ratio::Portrait, style: CaptionStyle::Karaoke, settings })?
    };
    let out = folder.path().join("clip.mp4");
    let rendered = encode::render(file, &facts, &list, &out, &mut |_| {}, &AtomicBool::new(false))?;
    Ok(json!({ "seconds": started.elapsed().as_secs_f64(), "frames": rendered.frames, "layout": list.layout, "bytes": rendered.bytes }))
}

/// Words at the pace of speech, so that captions change as often as they would.
fn spoken(facts: &MediaFacts, span: Span) -> Vec<Word> {
    const WORD_MS: u64 = 400;
    let end = span.end().min(facts.duration_us).millis() / WORD_MS;
    let word = |index: u64| {
        let span = Span::new(MediaTime::from_millis(index * WORD_MS), MediaTime::from_millis((index + 1) * WORD_MS - 50)).ok()?;
        Some(Word { span, text: format!("word{index}"), probability: 1.0 })
    };
    (0..end).filter_map(word).collect()
}
