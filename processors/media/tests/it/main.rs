//! Media on real files: generated with `ffmpeg`, and the real footage beside the repository.

mod captions;
mod encode;
mod generated;
mod listen;
mod look;
mod poster;
mod probe;
