//! Tests of the whole crate at its public boundary.
#![allow(clippy::unwrap_used, reason = "tests")]

mod blobs;
mod conformance;
mod consume;
mod counter;
mod dispatch;
mod execute;
mod kill;
