//! Tests of the whole crate at its public boundary.
#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;
