//! The built program, from the outside: what a person types, sees and finds in the folders afterwards.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod bad_input;
mod film;
mod full_disk;
mod jobs;
mod outcome;
mod resume;
mod room;
mod tidy;
