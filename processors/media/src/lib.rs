//! All media work on GStreamer: probe, decode, analyse, draw captions, encode.
//!
//! The one crate that names GStreamer; its public types are ours. Every function is synchronous and takes file paths, never a URL,
//! so that callers put it on their own threads and nothing here can be talked into fetching something.
//! Hostile files are expected: production calls go through [`child`], which runs the same functions in a process with limits.
//!
//! Input side: [`probe`], [`listen`], [`look`] (shots, key frames, dense faces of a span, [`decode`] (what they share).
//! Output side: [`encode`], [`captions`], [`poster`].

pub mod captions;
pub mod child;
pub mod decode;
pub mod encode;
mod init;
pub mod listen;
pub mod look;
pub mod poster;
pub mod probe;

pub use init::{MissingPlugin, MissingPlugins, init};
