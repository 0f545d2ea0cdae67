//! Decoded sound, in order.

use super::{DecodeError, Opened, Track, Wanted, media_time};
use domain::{MediaTime, Span};
use gstreamer as gst;
use gstreamer_app as gst_app;
use std::path::Path;

/// What the samples shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcm {
    /// Samples per second per channel; `None` keeps the file's own.
    pub rate_hz: Option<u32>,
    /// Channels; `None` keeps the file's own.
    pub channels: Option<u32>,
}

/// Consecutive samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// When the first of them is heard, in stream time.
    pub at: MediaTime,
    /// Samples per second per channel.
    pub rate_hz: u32,
    /// Channels.
    pub channels: u32,
    /// Interleaved, full scale is −1 to 1.
    pub samples: Vec<f32>,
}

/// A file's sound, in order of time.
pub struct Sound {
    opened: Opened,
    sink: gst_app::AppSink,
    span: Option<Span>,
}

impl Pcm {
    /// Returns GStreamer's words for it.
    pub(crate) fn caps(self) -> String {
        let mut caps = "audio/x-raw,format=F32LE,layout=interleaved".to_string();
        if let Some(rate) = self.rate_hz {
            caps.push_str(&format!(",rate={rate}"));
        }
        if let Some(channels) = self.channels {
            caps.push_str(&format!(",channels={channels}"));
        }
        caps
    }
}

impl Sound {
    /// Opens `path` for the sound inside `span`, trimmed to the sample, or for all of it.
    ///
    /// # Errors
    /// [`DecodeError`] if there is no sound that can be decoded.
    pub fn open(path: &Path, span: Option<Span>, pcm: Pcm) -> Result<Self, DecodeError> {
        let chain = format!(
            "audioconvert name=first dithering=none ! audioresample ! {} ! appsink name=sound sync=false max-buffers=64 enable-last-sample=false",
            pcm.caps()
        );
        let opened = Opened::new(path, Wanted { track: Track::Sound, chain: &chain, gate: None }, span)?;
        let sink = opened.sink("sound");
        Ok(Self { opened, sink, span })
    }

    /// Returns the next samples, or `None` after the last.
    ///
    /// # Errors
    /// [`DecodeError`] if the file turns out to be damaged.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        while let Some(sample) = self.opened.pull(&self.sink)? {
            let Some(chunk) = as_chunk(&sample) else { continue };
            let Some(span) = self.span else { return Ok(Some(chunk)) };
            if chunk.at >= span.end() {
                return Ok(None);
            }
            if let Some(trimmed) = trim(chunk, span) {
                return Ok(Some(trimmed));
            }
        }
        Ok(None)
    }
}

/// Returns the samples of a sample; `None` for one without time or content.
pub(crate) fn as_chunk(sample: &gst::Sample) -> Option<Chunk> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let structure = sample.caps()?.structure(0)?;
    let (rate_hz, channels) = (structure.get::<i32>("rate").ok()? as u32, structure.get::<i32>("channels").ok()? as u32);
    let buffer = sample.buffer()?;
    let at = media_time(segment.to_stream_time(buffer.pts()?)?);
    let bytes = buffer.map_readable().ok()?;
    let samples = bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
    Some(Chunk { at, rate_hz, channels, samples })
}

/// Returns the part of a chunk that is inside the span.
fn trim(mut chunk: Chunk, span: Span) -> Option<Chunk> {
    let width = chunk.channels as usize;
    let count = chunk.samples.len() / width;
    // Rounding to the nearest sample: truncation would lose one sample per chunk.
    let samples_before = |at: MediaTime| ((u128::from(at.minus(chunk.at).0) * u128::from(chunk.rate_hz) + 500_000) / 1_000_000) as usize;
    let (from, to) = (samples_before(span.start()).min(count), samples_before(span.end()).min(count));
    if from >= to {
        return None;
    }
    chunk.at = chunk.at.max(span.start());
    chunk.samples.truncate(to * width);
    chunk.samples.drain(..from * width);
    Some(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(at_ms: u64) -> Chunk {
        Chunk { at: MediaTime::from_millis(at_ms), rate_hz: 1_000, channels: 2, samples: (0..20).map(|index| index as f32).collect() }
    }

    fn span(start_ms: u64, end_ms: u64) -> Span {
        Span::new(MediaTime::from_millis(start_ms), MediaTime::from_millis(end_ms)).expect("the test's span is not empty")
    }

    #[test]
    fn a_chunk_is_trimmed_to_the_sample_at_both_ends() {
        let trimmed = trim(chunk(100), span(103, 105)).expect("it overlaps");
        assert_eq!((trimmed.at, trimmed.samples), (MediaTime::from_millis(103), vec![6.0, 7.0, 8.0, 9.0]));
    }

    #[test]
    fn a_chunk_outside_the_span_vanishes() {
        assert_eq!(trim(chunk(100), span(110, 120)), None);
        assert_eq!(trim(chunk(100), span(50, 100)), None);
    }
}
