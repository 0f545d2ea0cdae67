//! Times the input side on one file: `analyse FILE` prints what each stage took and the cuts it found, as JSON.

use anyhow::Result;
use domain::{MediaTime, Span};
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> Result<()> {
    let path = PathBuf::from(std::env::args_os().nth(1).ok_or_else(|| anyhow::anyhow!("usage: analyse FILE"))?);
    let start = Instant::now();
    let facts = media::probe::probe(&path, media::probe::Limits::default())?;
    let probe_s = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let wav = tempfile::NamedTempFile::new()?;
    let (heard, seen) = std::thread::scope(|scope| {
        let heard = scope.spawn(|| timed(|| media::listen::listen(&path, wav.path(), &mut |_| {})));
        let seen = timed(|| media::look::look(&path, &facts, &mut |_| {}));
        (heard.join().expect("listening does not panic"), seen)
    });
    let both_s = start.elapsed().as_secs_f64();
    let ((heard, listen_s), (seen, look_s)) = (heard, seen);
    let seen = seen?;
    let (faces, faces_s) = timed(|| faces(&path, &facts));
    let faces = faces?;

    let report = serde_json::json!({
        "facts": facts,
        "probe_s": probe_s,
        "listen_s": listen_s,
        "look_s": look_s,
        "listen_and_look_s": both_s,
        "faces_in_20_s": faces_s,
        "face_samples": faces.len(),
        "face_samples_with_face": faces.iter().filter(|sample| !sample.faces.is_empty()).count(),
        "loudness": heard?.loudness,
        "key_frames": seen.key_frames.len(),
        "key_frames_with_face": seen.key_frames.iter().filter(|frame| !frame.faces.is_empty()).count(),
        "cuts_s": seen.shots.iter().skip(1).map(|shot| shot.span.start().seconds()).collect::<Vec<_>>(),
    });
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &report)?;
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed().as_secs_f64())
}

/// Samples the faces of up to 20 s from the middle.
fn faces(path: &Path, facts: &domain::artefact::MediaFacts) -> Result<Vec<domain::artefact::FaceSample>> {
    let middle = MediaTime(facts.duration_us.0 / 2);
    let span = Span::new(middle, middle.plus(MediaTime::from_millis(20_000)).min(facts.duration_us))?;
    Ok(media::look::faces_in(path, facts, span, 5.0, &mut |_| {})?)
}
