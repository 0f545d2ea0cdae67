//! Tests against real engines; `just test-live` starts them and says where they are.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests learn from the environment where the engines are")]

mod bad_input;
mod json;
mod kafka;
mod snapshots;
mod tokens;
mod work;
