//! Says what a file is, or why ClipFlow does not take it.
//!
//! Three looks, from cheap to dear: the first bytes (only containers are let through, so a playlist never reaches GStreamer),
//! GStreamer's Discoverer (tracks, codecs, duration), and decoding the first and the last seconds (is it all there, at what rate).
//! [`check_whole`] is the fourth, as its time grows with the file: it reads everything and decodes nothing.

mod container;
mod discover;
mod ebml;
mod nal;
mod rate;
mod whole;
mod windows;

pub use whole::check_whole;

use crate::MissingPlugins;
use crate::decode::{Damage, DecodeError};
use domain::MediaTime;
use domain::artefact::MediaFacts;
use serde::{Deserialize, Serialize};
use std::path::Path;
use thiserror::Error;

/// Longest video that is taken: six hours, which bounds the memory and disk of every later stage.
pub const DURATION_LIMIT: MediaTime = MediaTime(6 * 3_600 * 1_000_000);

/// Largest picture that is taken, per side: 8K in either orientation.
pub const SIDE_LIMIT_PIXELS: u32 = 8_192;

/// Largest file that is taken: six hours at 70 Mbit/s.
pub const FILE_LIMIT_BYTES: u64 = 200 * 1024 * 1024 * 1024;

/// What is taken at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest duration.
    pub duration_us: MediaTime,
    /// Most pixels across or down.
    pub side_pixels: u32,
    /// Most bytes.
    pub file_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { duration_us: DURATION_LIMIT, side_pixels: SIDE_LIMIT_PIXELS, file_bytes: FILE_LIMIT_BYTES }
    }
}

/// Why a file is not taken. The text is one sentence that also says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Zero bytes.
    #[error("the file is empty; choose the video again")]
    Empty,
    /// It is no container of picture or sound.
    #[error("this is not a video ({found}); choose a video file such as MP4, MOV, MKV or WebM")]
    NotAVideo {
        /// What it looks like.
        found: String,
    },
    /// It lists other files.
    #[error("this is a playlist, not a video; give the address of the video itself or download it first")]
    Playlist,
    /// Its end is missing.
    #[error("the file is cut off ({found}); copy or download it again")]
    Truncated {
        /// What is there and what is missing.
        found: String,
    },
    /// It plays too long.
    #[error("the video is {duration} long but at most {limit} is taken; split it first")]
    TooLong {
        /// How long it is.
        duration: MediaTime,
        /// What is taken.
        limit: MediaTime,
    },
    /// It has too many bytes.
    #[error("the file has {bytes} bytes but at most {limit} are taken; encode it at a lower bit rate")]
    TooLarge {
        /// How many it has.
        bytes: u64,
        /// What is taken.
        limit: u64,
    },
    /// Its picture is too large.
    #[error("the picture has {width}×{height} pixels but at most {limit} per side are taken; scale it down first")]
    TooManyPixels {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// What is taken per side.
        limit: u32,
    },
    /// It is copy-protected.
    #[error("the file is encrypted; export it without copy protection")]
    Encrypted,
    /// No decoder is installed.
    #[error("no decoder for {what} is installed; convert the file to H.264 video with AAC sound in MP4")]
    UnsupportedCodec {
        /// What would be decoded.
        what: String,
    },
    /// The data contradict themselves.
    #[error("the file is damaged ({reason}); export or download it again")]
    Damaged {
        /// What was found.
        reason: String,
    },
    /// Some of the data contradict themselves.
    #[error("{0}")]
    DamagedAt(Damage),
}

impl Refusal {
    /// Returns the stable name that APIs and events show.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "EMPTY",
            Self::NotAVideo { .. } => "NOT_A_VIDEO",
            Self::Playlist => "PLAYLIST",
            Self::Truncated { .. } => "TRUNCATED",
            Self::TooLong { .. } => "TOO_LONG",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::TooManyPixels { .. } => "TOO_MANY_PIXELS",
            Self::Encrypted => "ENCRYPTED",
            Self::UnsupportedCodec { .. } => "UNSUPPORTED_CODEC",
            Self::Damaged { .. } | Self::DamagedAt(_) => "DAMAGED",
        }
    }
}

/// Why a file could not be probed.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The file is at fault, for good.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// GStreamer is incomplete.
    #[error(transparent)]
    MissingPlugins(#[from] MissingPlugins),
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[from] std::io::Error),
}

impl From<DecodeError> for ProbeError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::MissingPlugins(missing) => Self::MissingPlugins(missing),
            DecodeError::Encrypted => Refusal::Encrypted.into(),
            DecodeError::Unsupported { what } => Refusal::UnsupportedCodec { what }.into(),
            DecodeError::Broken { reason } => Refusal::Damaged { reason }.into(),
            DecodeError::Damaged(damage) => Refusal::DamagedAt(damage).into(),
            DecodeError::Absent(_) | DecodeError::Stalled => Refusal::Damaged { reason: error.to_string() }.into(),
        }
    }
}

/// Says what the file at `path` is.
///
/// A file with only sound or only a picture is no error: the facts say which is missing, and the caller decides.
///
/// # Errors
/// [`ProbeError::Refused`] if the file is at fault; the other variants are the machine's fault.
pub fn probe(path: &Path, limits: Limits) -> Result<MediaFacts, ProbeError> {
    let container = container::recognise(path, limits.file_bytes)?;
    crate::init()?;
    let mut facts = discover::discover(path, container, limits)?;
    windows::check(path, &mut facts)?;
    Ok(facts)
}
