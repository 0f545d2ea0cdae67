//! Order, then validate: how a log without conditional appends gets them. Pure; see ARCHITECTURE.md, "The log on Kafka".
//!
//! Commits are put in order first, whatever they expect. One rule then looks at them in that order and says which count: [`rule::judge`].
//! What it says is written down as [`output::Output`]s, each with its place, so that a reader drops what it has seen. Two sequencers that
//! work at the same time write the same outputs in the same order, so neither needs to know of the other.

pub mod output;
pub mod rule;

pub use output::{Assembler, Body, Disorder, Output, Place, by_commit};
pub use rule::{Answer, CommitKey, Decision, PartitionState, StreamKey, judge, validate};
