//! The real router over real HTTP on loopback, with embedded stores in a temporary folder.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod auth;
mod jobs;
mod live;
mod media;
mod mutations;
mod queries;
mod restart;
mod schema;
mod site;
mod tus;
