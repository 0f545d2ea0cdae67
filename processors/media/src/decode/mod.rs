//! Opens a file for decoding and hands out its pictures and sound with exact stream times.
//!
//! Everything else in this crate reads media through [`Frames`] and [`Sound`]; this module must not know what they are read for.
//! Times are *stream times*: a demuxer may shift time stamps (an edit list for B-frames, a transport stream's clock), and only
//! the segment says by how much, so a raw time stamp is never used.

pub(crate) mod damage;
mod disposable;
mod open;
mod padded;
mod picture;
mod sound;

pub use damage::Damage;
pub use picture::{Frame, Frames, Pick, Unit};
pub use sound::{Chunk, Pcm, Sound};

pub(crate) use damage::hear;
pub(crate) use open::{Opened, Wanted, is_container};
pub(crate) use padded::take_padded;
pub(crate) use sound::as_chunk;

use crate::MissingPlugins;
use domain::{MediaTime, Span};
use gstreamer as gst;
use gstreamer::prelude::*;
use std::fmt;
use std::time::Duration;
use thiserror::Error;

/// How long nothing may come out before decoding counts as stalled: a slow disk needs seconds, a hung decoder never ends.
pub const STALL_LIMIT: Duration = Duration::from_secs(60);

/// A seek goes this much before a span, because decoders clip their first buffer after a seek; the rest is trimmed here.
const SEEK_EARLY_MS: u64 = 200;

/// A seek ends this much after a span, because a resampler holds its last samples back.
const SEEK_LATE_MS: u64 = 100;

/// Frame times are rounded to microseconds on both sides: a frame this little before an in point still belongs to it.
const ROUNDING_US: u64 = 500;

/// What a file can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// A picture.
    Picture,
    /// Sound.
    Sound,
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Picture => "picture",
            Self::Sound => "sound",
        })
    }
}

/// Why a file cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// GStreamer is incomplete.
    #[error(transparent)]
    MissingPlugins(#[from] MissingPlugins),
    /// The track does not exist.
    #[error("the file has no {0}")]
    Absent(Track),
    /// No decoder is installed for it.
    #[error("no decoder for {what} is installed; convert the file to H.264 video with AAC sound in MP4")]
    Unsupported {
        /// What would be decoded, in GStreamer's words.
        what: String,
    },
    /// It is protected.
    #[error("the file is encrypted; export it without copy protection")]
    Encrypted,
    /// The data contradict themselves.
    #[error("the file is damaged ({reason}); export or download it again")]
    Broken {
        /// What GStreamer said.
        reason: String,
    },
    /// A part of it cannot be decoded.
    #[error("{0}")]
    Damaged(Damage),
    /// Nothing came out any more.
    #[error("decoding stalled for {} s; the file is probably damaged, export or download it again", STALL_LIMIT.as_secs())]
    Stalled,
}

impl DecodeError {
    /// Returns the stable name that APIs show.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MissingPlugins(_) => "MISSING_PLUGIN",
            Self::Absent(Track::Picture) => "NO_PICTURE",
            Self::Absent(Track::Sound) => "NO_SOUND",
            Self::Unsupported { .. } => "UNSUPPORTED_CODEC",
            Self::Encrypted => "ENCRYPTED",
            Self::Broken { .. } | Self::Damaged(_) => "DAMAGED",
            Self::Stalled => "STALLED",
        }
    }
}

/// Returns a GStreamer time as film time, rounded to a microsecond.
fn media_time(time: gst::ClockTime) -> MediaTime {
    MediaTime((time.nseconds() + 500) / 1_000)
}

/// Returns when an encoded unit at a pad is shown or heard.
pub(crate) fn unit_time(pad: &gst::Pad, unit: &gst::BufferRef) -> MediaTime {
    let segment = pad.sticky_event::<gst::event::Segment>(0);
    let segment = segment.as_ref().and_then(|event| event.segment().downcast_ref::<gst::ClockTime>());
    // A unit that is decoded but never shown has no stream time; it belongs to the picture at the start.
    unit.pts().and_then(|pts| segment?.to_stream_time(pts)).map(media_time).unwrap_or_default()
}

/// Returns where to seek for a span, with room on both sides to trim.
fn seek_range(span: Span) -> (gst::ClockTime, gst::ClockTime) {
    let start = gst::ClockTime::from_useconds(span.start().0).saturating_sub(gst::ClockTime::from_mseconds(SEEK_EARLY_MS));
    (start, gst::ClockTime::from_useconds(span.end().0) + gst::ClockTime::from_mseconds(SEEK_LATE_MS))
}
