//! Transcribes a 16 kHz mono 16-bit WAV file to JSON on standard output, and says on standard error how long it took.
//!
//! usage: transcribe MODEL_FOLDER FILE.wav [BATCH=8] [BEAM=1] [RUNS=1]

use anyhow::{Context, Result, ensure};
use domain::MediaTime;
use speech::{Device, Options, Whisper};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, file, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: transcribe MODEL_FOLDER FILE.wav [BATCH] [BEAM] [RUNS]")
    };
    let number = |index: usize, default: usize| rest.get(index).map_or(Ok(default), |text| text.parse());
    let options = Options { batch_size: number(0, 8)?, beam_size: number(1, 1)?, ..Options::default() };
    let samples = read_wav(Path::new(file))?;
    let started = Instant::now();
    let whisper = Whisper::load(Path::new(model), Device::Auto)?;
    eprintln!("loaded in {:.2} s", started.elapsed().as_secs_f64());
    for run in 0..number(2, 1)? {
        let started = Instant::now();
        let transcript = whisper.transcribe(&samples, MediaTime::ZERO, &options, &mut |_| {})?;
        eprintln!(
            "{} words of {:.0} s in {:.2} s",
            transcript.words().count(),
            transcript.duration_us.seconds(),
            started.elapsed().as_secs_f64()
        );
        if run == 0 {
            writeln!(std::io::stdout(), "{}", serde_json::to_string(&transcript)?)?;
        }
    }
    Ok(())
}

/// Reads the samples after the `data` header.
fn read_wav(path: &Path) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let at = bytes.windows(4).position(|window| window == b"data").context("it has no data chunk")?;
    ensure!(bytes.get(22..28) == Some(&[1, 0, 0x80, 0x3e, 0, 0]), "it is not 16 kHz mono");
    Ok(bytes[at + 8..].chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect())
}
