//! What the crate promises, tested from outside with made-up films.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![allow(clippy::disallowed_methods, reason = "tests learn from the environment where their tools and media are")]

mod captions;
mod film;
mod outside;
mod plans;
mod reframing;
mod subtitles;
