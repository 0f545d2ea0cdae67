//! The lake on real folders: what is written, how often, and who may ask what.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests: moments and folders come from the machine"
)]

mod again;
mod ask;
mod hostile;
mod killed;
mod past;
mod scene;
mod written;
