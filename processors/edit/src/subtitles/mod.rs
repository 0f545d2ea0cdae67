//! Subtitle files: written beside a rendition, and read as the transcript that somebody brings along.

mod ass;
mod blocks;
mod markup;
mod read;
mod whisper;
mod write;

pub use ass::ass;
pub use read::{Fault, Imported, MAX_BYTES, MAX_CUES, Unreadable, read};
pub use write::{srt, vtt};
