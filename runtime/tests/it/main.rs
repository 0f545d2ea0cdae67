//! Tests of the whole crate at its public boundary.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests learn from the environment where their tools and media are")]

mod blob_kill;
mod blobs;
mod conformance;
mod consume;
mod counter;
mod dispatch;
mod execute;
mod fetch;
mod kill;
mod models;
mod packed;
mod sequencer;
mod sequencer_model;
mod server;
mod sqlite;
