//! Media on real files: generated with `ffmpeg`, and the real footage beside the repository.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]
#![allow(clippy::disallowed_methods, reason = "tests learn from the environment where their tools and media are")]

mod captions;
mod child;
mod damage;
mod encode;
mod generated;
mod listen;
mod look;
mod poster;
mod probe;
mod speaker;
