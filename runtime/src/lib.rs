//! All shared IO: the log, what writes to it and follows it, blobs, downloads, telemetry.
//!
//! No domain rule lives here: this crate moves commands to deciders and events to consumers, and never looks into a payload.

pub mod blobs;
pub mod clock;
pub mod consume;
pub mod consumers;
pub mod disk;
pub mod dispatch;
pub mod execute;
pub mod fetch;
pub mod ids;
pub mod log;
pub mod models;
pub mod progress;
pub mod retry;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod token;
