//! The lake: everything that happened as Delta tables, for questions that no read model answers and for training.
//!
//! Any Delta reader opens them. A table is append-only and is written exactly once: one Delta commit carries rows and the position up to
//! which they reach, as an application transaction, so that a writer that crashed, or a second one, skips what is there already.
//! This is the only crate that knows Delta, Arrow and DataFusion; its public types are ours. Nothing here decides anything, and no table
//! is read to write another: the lake can be thrown away and made again from the log.

mod batch;
pub mod follow;
mod origin;
mod place;
mod pool;
pub mod query;
pub mod tables;
pub mod upkeep;
pub mod writer;

pub use place::{Bucket, Lake, Settings};
