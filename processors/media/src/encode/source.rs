//! Decodes a piece of the original: its frames one by one, or its sound at once.
//!
//! Everything is compared in *stream time*: a demuxer puts edit lists into the segment, so a buffer's own time stamp may be frames off.

use super::frame::Frame;
use super::timeline::SAMPLE_RATE;
use crate::decode::{DecodeError, damage};
use anyhow::{Context, Result, anyhow, bail};
use domain::{MediaTime, Span};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use std::path::Path;

/// How far before the in point decoding starts: seeking is exact in buffer time, and an edit list moves that by a few frames.
const EARLY: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// How far past the out point decoding goes on, for the same reason.
const LATE: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// Longest wait for opening, seeking or one buffer: decoding 10 s of key-frame distance in 4K on a busy core takes half of this.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// Frames that are decoded ahead: enough to keep two threads busy, few enough that 4K frames take 50 MB.
const FRAMES_AHEAD: u32 = 4;

/// How much later than half a frame a picture may come and still be shown: time stamps in Matroska are rounded to milliseconds.
const ROUNDING: gst::ClockTime = gst::ClockTime::from_mseconds(1);

/// Decoded frames in time order, each upright.
pub(crate) struct FrameReader {
    decoder: Decoder,
    rotation_degrees: u16,
    /// The frame that is shown now.
    current: Option<Frame>,
    /// The frame after it and when it appears.
    next: Option<(gst::ClockTime, gst::Buffer, gst_video::VideoInfo)>,
    tolerance: gst::ClockTime,
}

impl FrameReader {
    /// Opens `source` for the frames of `span`; `frame_time` is how long a frame of the rendition lasts.
    pub(crate) fn open(source: &Path, span: Span, rotation_degrees: u16, frame_time: MediaTime) -> Result<Self> {
        let tail = "queue max-size-buffers=2 max-size-bytes=0 max-size-time=0 ! videoconvert ! video/x-raw,format=I420,colorimetry=bt709 ! appsink name=out sync=false";
        let decoder = Decoder::open(source, span, "video/x-raw(ANY)", tail)?;
        decoder.sink.set_max_buffers(FRAMES_AHEAD);
        let tolerance = (time(frame_time) / 2).saturating_sub(ROUNDING);
        damage::forget();
        let mut reader = Self { decoder, rotation_degrees, current: None, next: None, tolerance };
        reader.next = reader.decode()?;
        if reader.next.is_none() {
            bail!("the video has no picture at {}", span.start());
        }
        Ok(reader)
    }

    /// Returns the frame that is shown at `at`: the last one that appears before half a frame later.
    /// Times must not fall from call to call; before the first frame and after the last one, that one is held.
    pub(crate) fn frame_at(&mut self, at: MediaTime) -> Result<&Frame> {
        let until = time(at) + self.tolerance;
        while let Some((appears, ..)) = &self.next {
            if *appears > until && self.current.is_some() {
                break;
            }
            let newest = self.next.take();
            self.next = self.decode()?;
            let is_last = self.next.as_ref().is_none_or(|(appears, ..)| *appears > until);
            if let Some((_, buffer, info)) = newest.filter(|_| is_last) {
                self.current = Some(Frame::new(buffer, &info, self.rotation_degrees)?);
            }
        }
        self.current.as_ref().context("the video has no picture")
    }

    fn decode(&mut self) -> Result<Option<(gst::ClockTime, gst::Buffer, gst_video::VideoInfo)>> {
        while let Some(sample) = self.decoder.next()? {
            let Some(appears) = stream_time(&sample) else { continue };
            let caps = sample.caps().context("a decoded frame has no format")?;
            let info = gst_video::VideoInfo::from_caps(caps)?;
            let buffer = sample.buffer_owned().context("a decoded frame has no pixels")?;
            damage::leaves();
            damage::enters(MediaTime(appears.useconds()));
            if let Some(damage) = damage::of_picture() {
                return Err(DecodeError::Damaged(damage).into());
            }
            return Ok(Some((appears, buffer, info)));
        }
        Ok(None)
    }
}

/// Returns the sound of `span` as interleaved stereo at 48 kHz, exactly as many samples as it lasts; silence where there is none.
pub(crate) fn read_sound(source: &Path, span: Span) -> Result<Vec<f32>> {
    // No queue: it would let the decoder run ahead by chance before the seek, and a decoder that fills noise bands with
    // random numbers (AAC's noise substitution) goes on from where it was, so that the same list would not give the same bytes.
    let tail = "audioconvert ! audioresample quality=8 \
                ! audio/x-raw,format=F32LE,rate=48000,channels=2,layout=interleaved ! appsink name=out sync=false max-buffers=64";
    let decoder = Decoder::open(source, span, "audio/x-raw(ANY)", tail)?;
    let frames = samples_in(time(span.duration())) as usize;
    let mut sound = vec![0.0_f32; frames * 2];
    while let Some(sample) = decoder.next()? {
        let (Some(at), Some(buffer)) = (stream_time(&sample), sample.buffer()) else { continue };
        let offset = samples_in(at) - samples_in(time(span.start()));
        let bytes = buffer.map_readable()?;
        let values = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let skipped = usize::try_from(-offset).unwrap_or(0);
        let first = usize::try_from(offset).unwrap_or(0);
        if first >= frames {
            break;
        }
        sound[first * 2..].iter_mut().zip(values.skip(skipped * 2)).for_each(|(to, from)| *to = from);
    }
    Ok(sound)
}

fn samples_in(time: gst::ClockTime) -> i64 {
    ((u128::from(time.nseconds()) * u128::from(SAMPLE_RATE) + 500_000_000) / 1_000_000_000) as i64
}

fn time(at: MediaTime) -> gst::ClockTime {
    gst::ClockTime::from_useconds(at.0)
}

fn stream_time(sample: &gst::Sample) -> Option<gst::ClockTime> {
    sample.segment()?.downcast_ref::<gst::ClockTime>()?.to_stream_time(sample.buffer()?.pts()?)
}

/// A pipeline that decodes one kind of stream of a file.
struct Decoder {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
}

impl Decoder {
    fn open(source: &Path, span: Span, kind: &str, tail: &str) -> Result<Self> {
        crate::init()?;
        // Other kinds of streams are not even decoded.
        let description = format!("filesrc name=file ! decodebin name=decode caps=\"{kind}\" expose-all-streams=false decode. ! {tail}");
        let pipeline = gst::parse::launch(&description)
            .context("building the decoder")?
            .downcast::<gst::Pipeline>()
            .map_err(|_| anyhow!("the decoder is not a pipeline"))?;
        let element = |name: &str| pipeline.by_name(name).with_context(|| format!("the decoder lacks {name}"));
        element("file")?.set_property("location", source);
        let sink = element("out")?.downcast::<gst_app::AppSink>().map_err(|_| anyhow!("the decoder's end is not an appsink"))?;
        if kind.starts_with("video/") {
            crate::decode::take_padded(&sink);
        }
        let decoder = Self { pipeline, sink };
        decoder.start(span).with_context(|| format!("decoding {}", source.display()))?;
        Ok(decoder)
    }

    fn start(&self, span: Span) -> Result<()> {
        self.reach(gst::State::Paused)?;
        let (from, until) = (time(span.start()).saturating_sub(EARLY), time(span.end()) + LATE);
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        self.pipeline
            .seek(1.0, flags, gst::SeekType::Set, from, gst::SeekType::Set, until)
            .with_context(|| format!("this file cannot be positioned at {}", span.start()))?;
        self.reach(gst::State::Playing)
    }

    fn reach(&self, state: gst::State) -> Result<()> {
        let outcome = self.pipeline.set_state(state).and_then(|_| self.pipeline.state(PATIENCE).0);
        match outcome {
            Ok(gst::StateChangeSuccess::Async) => bail!("the file did not open within {PATIENCE}"),
            Ok(_) => Ok(()),
            Err(_) => Err(self.complaint().unwrap_or_else(|| anyhow!("no decoder takes this stream"))),
        }
    }

    /// Returns the next sample, or `None` at the end.
    fn next(&self) -> Result<Option<gst::Sample>> {
        let sample = self.sink.try_pull_sample(PATIENCE);
        match sample {
            Some(sample) => Ok(Some(sample)),
            None if self.sink.is_eos() => match self.complaint() {
                Some(complaint) => Err(complaint),
                None => Ok(None),
            },
            None => Err(self.complaint().unwrap_or_else(|| anyhow!("decoding stalled for {PATIENCE}"))),
        }
    }

    fn complaint(&self) -> Option<anyhow::Error> {
        complaint(&self.pipeline)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        stop(&self.pipeline);
    }
}

/// Returns the first error that a pipeline reported.
pub(crate) fn complaint(pipeline: &gst::Pipeline) -> Option<anyhow::Error> {
    let message = pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
    let gst::MessageView::Error(error) = message.view() else { return None };
    Some(anyhow!("{}", error.error()))
}

/// Frees what a pipeline holds.
pub(crate) fn stop(pipeline: &gst::Pipeline) {
    if pipeline.set_state(gst::State::Null).is_err() {
        tracing::warn!("a media pipeline did not stop cleanly");
    }
}
