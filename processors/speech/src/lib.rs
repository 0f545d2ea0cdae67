//! Words out of sound: Whisper and voice activity on LibTorch.
//!
//! The only crate that names LibTorch, and no type of it appears in a signature here. Audio comes in as 16 kHz mono samples;
//! nothing here decodes media, fetches models or knows of events.
//!
//! A [`Whisper`] belongs to one thread at a time and uses every core: its batches are heard side by side. LibTorch's worker threads spin while they wait unless the environment has
//! `OMP_WAIT_POLICY=passive` *before the process starts*: see [`WAIT_POLICY`].

mod align;
mod decode;
mod device;
mod error;
mod model;
mod segments;
mod streams;
mod tokens;
mod transcribe;
pub mod vad;
mod weights;
mod whisper;
mod windows;
mod words;

pub use device::Device;
pub use error::{DeviceError, LanguageError, LoadError};
pub use model::Precision;
pub use transcribe::Options;
pub use whisper::Whisper;

/// The environment variable, and its value, that keeps LibTorch's idle threads from taking the processor from everyone else.
///
/// It is read when the library is loaded, so a program has to be started with it, or start itself again.
pub const WAIT_POLICY: (&str, &str) = ("OMP_WAIT_POLICY", "passive");
