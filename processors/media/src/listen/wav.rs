//! The one WAV format that stages exchange: 16 kHz, mono, 16 bits.

use domain::{MediaTime, Span};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use thiserror::Error;

/// Samples per second: what speech models take.
pub const WAV_RATE_HZ: u32 = 16_000;

/// Length of the header that is written and expected.
const HEADER_BYTES: u64 = 44;

/// Full scale of 16 bits.
const FULL_SCALE: f32 = 32_768.0;

/// Why a WAV cannot be read.
#[derive(Debug, Error)]
pub enum WavError {
    /// It is another format.
    #[error("not a 16 kHz mono 16-bit WAV as the listen stage writes it")]
    Format,
    /// It cannot be read.
    #[error("reading the extracted sound failed")]
    Read(#[from] io::Error),
}

/// Writes samples, and their count into the header at the end.
pub(super) struct WavWriter {
    file: BufWriter<File>,
    samples: u64,
}

impl WavWriter {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&header(0))?;
        Ok(Self { file, samples: 0 })
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    pub(super) fn write(&mut self, samples: &[f32]) -> io::Result<()> {
        for sample in samples {
            let rounded = (sample * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1.0) as i16;
            self.file.write_all(&rounded.to_le_bytes())?;
        }
        self.samples += samples.len() as u64;
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<()> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header(self.samples * 2))?;
        file.sync_all()
    }
}

/// Reads the samples inside `span`, or all; what lies behind the end of the file is left out.
///
/// # Errors
/// [`WavError`] unless [`super::listen`] wrote the file.
pub fn read_wav(path: &Path, span: Option<Span>) -> Result<Vec<f32>, WavError> {
    let mut file = File::open(path)?;
    let mut head = [0; HEADER_BYTES as usize];
    file.read_exact(&mut head).map_err(|_| WavError::Format)?;
    let data_bytes = u32::from_le_bytes([head[40], head[41], head[42], head[43]]);
    if head != header(u64::from(data_bytes)) {
        return Err(WavError::Format);
    }
    let total = u64::from(data_bytes) / 2;
    let sample_at = |at: MediaTime| (at.0.saturating_mul(u64::from(WAV_RATE_HZ)).saturating_add(500_000) / 1_000_000).min(total);
    let (from, to) = match span {
        Some(span) => (sample_at(span.start()), sample_at(span.end())),
        None => (0, total),
    };
    file.seek(SeekFrom::Start(HEADER_BYTES + from * 2))?;
    let mut bytes = vec![0; (to - from) as usize * 2];
    file.read_exact(&mut bytes)?;
    Ok(bytes.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / FULL_SCALE).collect())
}

fn header(data_bytes: u64) -> [u8; HEADER_BYTES as usize] {
    // Six hours are 691 MB, so the sizes always fit.
    let data_bytes = data_bytes as u32;
    let mut head = [0; HEADER_BYTES as usize];
    head[0..4].copy_from_slice(b"RIFF");
    head[4..8].copy_from_slice(&(data_bytes + HEADER_BYTES as u32 - 8).to_le_bytes());
    head[8..16].copy_from_slice(b"WAVEfmt ");
    head[16..20].copy_from_slice(&16u32.to_le_bytes());
    head[20..22].copy_from_slice(&1u16.to_le_bytes());
    head[22..24].copy_from_slice(&1u16.to_le_bytes());
    head[24..28].copy_from_slice(&WAV_RATE_HZ.to_le_bytes());
    head[28..32].copy_from_slice(&(WAV_RATE_HZ * 2).to_le_bytes());
    head[32..34].copy_from_slice(&2u16.to_le_bytes());
    head[34..36].copy_from_slice(&16u16.to_le_bytes());
    head[36..40].copy_from_slice(b"data");
    head[40..44].copy_from_slice(&data_bytes.to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_what_was_written_is_read_back() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.wav");
        let mut wav = WavWriter::create(&path).expect("it can be created");
        wav.write(&(0..16_000).map(|index| index as f32 / FULL_SCALE).collect::<Vec<_>>()).expect("it can be written");
        wav.write(&[2.0, -2.0]).expect("it can be written");
        wav.finish().expect("it can be finished");

        let all = read_wav(&path, None).expect("it can be read");
        assert_eq!((all.len(), all[123] * FULL_SCALE), (16_002, 123.0));
        assert_eq!((all[16_000], all[16_001]), (32_767.0 / FULL_SCALE, -1.0), "clipped, not wrapped");
        let span = Span::new(MediaTime::from_millis(500), MediaTime::from_millis(9_000)).expect("not empty");
        let part = read_wav(&path, Some(span)).expect("it can be read");
        assert_eq!((part.len(), part[0] * FULL_SCALE), (8_002, 8_000.0));
    }

    #[test]
    fn another_file_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.wav");
        std::fs::write(&path, [7; 100]).expect("it can be written");
        assert!(matches!(read_wav(&path, None), Err(WavError::Format)));
    }
}
