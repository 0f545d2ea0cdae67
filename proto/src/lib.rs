//! The wire contract: how events look outside the process. No IO.
//!
//! `envelope` is what every log stores and every surface shows; `wire` ties an aggregate's events to their type names and bytes;
//! one file per aggregate maps domain ⇄ protobuf with exhaustive matches. Nothing here decides anything.

pub mod envelope;
pub mod wire;

pub use envelope::{Metadata, NewEvent, Recorded, StreamName};
pub use wire::{DecodeError, Encoded, Wire};
