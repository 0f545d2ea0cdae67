//! What the crate does, seen from outside: against transformers, faster-whisper and Silero's own runtime, and on bad input.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "tests learn from the environment where their tools and media are")]

mod golden;
mod inputs;
mod media;
mod reference;
