//! The stages of the main job: an event in, work, events out.
//!
//! A processor keeps no state and reads no read model: `job` looks at one event, `run` works and gives the outcome to an aggregate.
//! A permanent failure is an event with a sentence for people; a transient one is an `Err`, which `runtime::dispatch` tries again.

mod analyze;
mod failure;
mod ingest;
mod render;
mod score;
mod tools;
mod transcribe;

pub use analyze::Analyze;
pub use ingest::Ingest;
pub use render::Render;
pub use score::Score;
pub use tools::Tools;
pub use transcribe::{CHUNK_MAX, Transcribe};
