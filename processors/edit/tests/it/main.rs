//! What the crate promises, tested from outside with made-up films.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod captions;
mod film;
mod outside;
mod plans;
mod reframing;
mod subtitles;
