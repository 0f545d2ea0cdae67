//! Decoded pictures, in order.

use super::disposable::is_disposable;
use super::open::Gate;
use super::{DecodeError, Opened, ROUNDING_US, Track, Wanted, media_time, unit_time};
use domain::{MediaTime, Span};
use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Few pictures are in flight: each is 3 MB at 1080p, and the reader is nearly always the slower side.
const CHAIN: &str =
    "videoconvert name=first ! appsink name=pictures sync=false max-buffers=3 enable-last-sample=false caps=video/x-raw,format=I420";

/// An encoded unit (usually one picture) as it arrives at the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// When it is shown, in stream time.
    pub at: MediaTime,
    /// Encoded size.
    pub bytes: u32,
    /// Whether decoding can start here.
    pub is_key: bool,
}

/// Which units are decoded.
#[derive(Clone)]
pub enum Pick {
    /// All of them.
    All,
    /// Pictures no further apart than about this, and all that they are made of. Half of a usual film is made of nothing else,
    /// so that this costs little more than half.
    OneIn(MediaTime),
    /// Those for which the function, called once per unit in decoding order, returns true.
    /// A stream is only decodable if each unit comes with the key unit before it and all between.
    Units(Arc<dyn Fn(Unit) -> bool + Send + Sync>),
}

/// A file's pictures, in order of time.
pub struct Frames {
    opened: Opened,
    sink: gst_app::AppSink,
    span: Option<Span>,
}

/// One decoded picture in planar 4:2:0.
pub struct Frame {
    /// When it is shown, in stream time.
    pub at: MediaTime,
    /// How long it is shown, when the file says so.
    pub duration: Option<MediaTime>,
    picture: gst_video::VideoFrame<gst_video::video_frame::Readable>,
}

impl Frames {
    /// Opens `path` for the pictures inside `span`, or for all of them.
    ///
    /// # Errors
    /// [`DecodeError`] if there is no picture that can be decoded.
    pub fn open(path: &Path, span: Option<Span>, pick: Pick) -> Result<Self, DecodeError> {
        let gate: Option<Gate> = match pick {
            Pick::All => None,
            Pick::OneIn(time) => Some(sparse(time)),
            Pick::Units(choose) => Some(Arc::new(move |pad, buffer| choose(unit(pad, buffer)))),
        };
        let opened = Opened::new(path, Wanted { track: Track::Picture, chain: CHAIN, gate }, span)?;
        let sink = opened.sink("pictures");
        Ok(Self { opened, sink, span })
    }

    /// Returns the next picture, or `None` after the last one.
    ///
    /// # Errors
    /// [`DecodeError`] if the file turns out to be damaged.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        while let Some(sample) = self.opened.pull(&self.sink)? {
            let Some(frame) = as_frame(&sample) else { continue };
            let Some(span) = self.span else { return Ok(Some(frame)) };
            if frame.at.plus(MediaTime(ROUNDING_US)) >= span.end() {
                return Ok(None);
            }
            if frame.at.plus(MediaTime(ROUNDING_US)) >= span.start() {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Fails if the decoder complained of a picture that was wanted; pictures that lean on it are damaged too.
    ///
    /// # Errors
    /// [`DecodeError::Damaged`]; only in a media process.
    pub fn fail_if_damaged(&self) -> Result<(), DecodeError> {
        let end = self.span.map_or(MediaTime(u64::MAX), Span::end);
        self.opened.fail_if_damaged(end)
    }
}

impl Frame {
    /// Returns how many pixels there are across.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.picture.width()
    }

    /// Returns how many pixels there are down.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.picture.height()
    }

    /// Returns the bytes of plane 0 (luma), 1 (blue) or 2 (red), and the bytes per row.
    ///
    /// # Panics
    /// For any other plane.
    #[must_use]
    pub fn plane(&self, index: u32) -> (&[u8], usize) {
        let bytes = self.picture.plane_data(index).expect("planar 4:2:0 has planes 0 to 2");
        (bytes, self.picture.plane_stride()[index as usize] as usize)
    }
}

fn as_frame(sample: &gst::Sample) -> Option<Frame> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let buffer = sample.buffer_owned()?;
    let at = media_time(segment.to_stream_time(buffer.pts()?)?);
    let duration = buffer.duration().map(media_time);
    let picture = gst_video::VideoFrame::from_buffer_readable(buffer, &info).ok()?;
    Some(Frame { at, duration, picture })
}

/// Keeps what other pictures are made of, and as many more as are needed to have one in each `time`.
fn sparse(time: MediaTime) -> Gate {
    let covered_us = AtomicU64::new(0);
    Arc::new(move |pad, buffer| {
        let at = unit(pad, buffer).at;
        if at.0 < covered_us.load(Ordering::Relaxed) && is_disposable(pad, buffer) {
            return false;
        }
        covered_us.fetch_max(at.plus(time).0, Ordering::Relaxed);
        true
    })
}

fn unit(pad: &gst::Pad, buffer: &gst::Buffer) -> Unit {
    let at = unit_time(pad, buffer);
    let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    Unit { at, bytes: u32::try_from(buffer.size()).unwrap_or(u32::MAX), is_key }
}
