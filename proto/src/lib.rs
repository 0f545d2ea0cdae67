//! The wire contract: how events look outside the process. No IO.
//!
//! `envelope` is what every log stores and every surface shows; `wire` ties an aggregate's events to their type names and bytes;
//! one file per aggregate maps domain ⇄ protobuf with exhaustive matches. Nothing here decides anything.
//! Fields are only ever added; an unknown type decodes to `None`, never to an error.

pub mod asyncapi;
mod clip;
pub mod cloudevents;
mod convert;
pub mod envelope;
mod event;
pub mod job;
mod model;
mod publication;
pub mod schema;
mod transcript;
mod video;
pub mod wire;
mod workspace;

pub use envelope::{Metadata, NewEvent, Recorded, StreamName};
pub use event::Event;
pub use wire::{DecodeError, Encoded, Wire};

/// The generated messages.
#[allow(unreachable_pub, clippy::all, missing_docs, reason = "generated from clipflow/events/v1/*.proto")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/clipflow.events.v1.rs"));
}

/// The generated messages of the log's own records.
#[allow(unreachable_pub, clippy::all, missing_docs, reason = "generated from clipflow/log/v1/log.proto")]
pub mod log_v1 {
    include!(concat!(env!("OUT_DIR"), "/clipflow.log.v1.rs"));
}
