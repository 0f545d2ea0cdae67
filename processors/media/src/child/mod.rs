//! Runs media work in a child process of the same binary, so that a hostile file can only hurt a process that has nothing to lose.
//!
//! The parent writes one [`Request`] with its [`Limits`] as a JSON line to the child's standard input; the child first limits itself
//! (memory, processor time, file size, death with its parent), then works, and answers with JSON lines on its standard output.
//! Nothing here knows what a request means except `work`, where each has one line.

mod parent;
mod serve;
mod work;

pub use serve::serve;

use crate::probe;
use domain::artefact::{DecisionList, FaceSample, Loudness, MediaFacts};
use domain::{MediaTime, Span};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use thiserror::Error;

/// What the child shall do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// [`crate::probe::probe`]; answers [`MediaFacts`].
    Probe {
        /// The file.
        path: PathBuf,
        /// What is taken at most.
        limits: probe::Limits,
    },
    /// [`crate::probe::check_whole`]; answers nothing.
    CheckWhole {
        /// The file.
        path: PathBuf,
        /// What the probe said.
        facts: MediaFacts,
    },
    /// [`crate::listen::listen`]; answers [`crate::listen::Heard`].
    Listen {
        /// The file.
        path: PathBuf,
        /// Where the 16 kHz WAV goes.
        wav_out: PathBuf,
    },
    /// [`crate::look::look`]; answers [`crate::look::Seen`].
    Look {
        /// The file.
        path: PathBuf,
        /// What the probe said.
        facts: MediaFacts,
    },
    /// [`crate::look::faces_in`] and [`crate::listen::loudness_of`]; answers [`Survey`].
    Survey {
        /// The file.
        path: PathBuf,
        /// What the probe said.
        facts: MediaFacts,
        /// Where to look and listen.
        span: Span,
        /// Samples of faces per second.
        rate: f64,
    },
    /// [`crate::encode::render`] and [`crate::poster::poster`]; answers [`crate::encode::Rendered`].
    Render {
        /// The original.
        source: PathBuf,
        /// What the probe said.
        facts: MediaFacts,
        /// What is made.
        list: Box<DecisionList>,
        /// Where the MP4 goes.
        out: PathBuf,
        /// Where the JPEG goes.
        poster: PathBuf,
    },
}

/// What a rendition of a span is planned on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Samples in order.
    pub faces: Vec<FaceSample>,
    /// `None` without sound, or when it is silent.
    pub loudness: Option<Loudness>,
}

/// What a child may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time on the wall, kept by the parent.
    pub wall: Duration,
    /// Processor time in seconds.
    pub cpu_s: u64,
    /// Private memory in bytes.
    pub memory_bytes: u64,
    /// Size of any file it writes.
    pub file_bytes: u64,
}

/// Time for work whose length does not depend on the video: a loaded machine with a cold plugin registry needs most of a minute.
const WALL_BASE: Duration = Duration::from_secs(120);

/// Decoding 1080p takes a fifth of a processor second per second, 4K four times that, encoding two: on a loaded machine, four-fold.
const WALL_PER_MEDIA_SECOND: u32 = 8;

/// Processors that a child may keep busy all the time.
const CPU_PER_WALL: u64 = 8;

/// Frame threads on 4K need about 1 GiB; three times that is a file that means harm.
const MEMORY_LIMIT_BYTES: u64 = 3 * 1024 * 1024 * 1024;

/// Six hours as WAV are 0.7 GB, a rendition of minutes less.
const FILE_LIMIT_BYTES: u64 = 4 * 1024 * 1024 * 1024;

impl Limits {
    /// Returns limits for work on this much of a video.
    #[must_use]
    pub fn for_media(duration: MediaTime) -> Self {
        let wall = WALL_BASE + Duration::from_micros(duration.0) * WALL_PER_MEDIA_SECOND;
        Self { wall, cpu_s: wall.as_secs() * CPU_PER_WALL, memory_bytes: MEMORY_LIMIT_BYTES, file_bytes: FILE_LIMIT_BYTES }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::for_media(MediaTime::ZERO)
    }
}

/// Where work runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runner {
    /// In this process, without limits: for trusted files in tests and tools.
    InProcess,
    /// In a child process.
    Child {
        /// The binary whose `arguments` lead to [`serve`].
        exe: PathBuf,
        /// Such as a hidden subcommand.
        arguments: Vec<String>,
    },
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChildError {
    /// The work itself failed; trying again gives the same.
    #[error("{message}")]
    Refused {
        /// Stable name, such as `NOT_A_VIDEO`.
        code: String,
        /// One sentence that says what to do.
        message: String,
    },
    /// The machine lets it down (a full disk, a missing plugin); trying again later may work.
    #[error("{message}")]
    Failed {
        /// Stable name, such as `MISSING_PLUGIN`.
        code: String,
        /// What went wrong.
        message: String,
    },
    /// It took too long.
    #[error("the media work took longer than its limit of {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The process ended without an answer.
    #[error("the media process was killed: {0}")]
    Killed(Death),
    /// The caller asked to stop.
    #[error("the media work was cancelled")]
    Cancelled,
    /// The process could not be started or talked to.
    #[error("the media process cannot be used: {0}")]
    Unusable(String),
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Death {
    /// It asked for more memory than its limit.
    #[error("it needed more memory than its limit")]
    OutOfMemory,
    /// It wrote a larger file than its limit.
    #[error("it wrote a larger file than its limit")]
    FileTooLarge,
    /// It crashed.
    #[error("it crashed ({how}); last words: {last_words}")]
    Crashed {
        /// Signal or exit status.
        how: String,
        /// The end of what it wrote to standard error.
        last_words: String,
    },
}

impl ChildError {
    /// Tells whether trying again is pointless.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// What travels to the child.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    request: Request,
    limits: Limits,
    /// Process id of the parent: a child whose parent is another one has been orphaned already.
    parent: u32,
}

/// What travels back, one per line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Progress(f32),
    Done(serde_json::Value),
    Failed { code: String, message: String, is_permanent: bool },
}

/// Why a request gives no result; the child's half of [`ChildError`].
#[derive(Debug)]
struct Failure {
    code: String,
    message: String,
    is_permanent: bool,
}

impl From<Failure> for ChildError {
    fn from(Failure { code, message, is_permanent }: Failure) -> Self {
        if is_permanent { Self::Refused { code, message } } else { Self::Failed { code, message } }
    }
}

/// Does `request` where `runner` says and returns its answer.
///
/// Blocks; the child dies when `cancel` is set, when a limit is passed, or when this thread ends.
///
/// # Errors
/// [`ChildError`].
pub fn call<T: DeserializeOwned>(
    runner: &Runner,
    request: Request,
    limits: Limits,
    progress: &mut dyn FnMut(f32),
    cancel: &AtomicBool,
) -> Result<T, ChildError> {
    let answer = match runner {
        Runner::InProcess => work::perform(request, progress, cancel)?,
        Runner::Child { exe, arguments } => parent::ask(exe, arguments, request, limits, progress, cancel)?,
    };
    serde_json::from_value(answer).map_err(|error| ChildError::Unusable(format!("its answer has another shape: {error}")))
}
