//! Every rule of ClipFlow, pure: no IO, no async, no clock, no randomness, no environment.
//!
//! Time and ids come in as arguments; rules live in `decide`, facts in events, and nothing here knows how they are stored.
//!
//! # Glossary
//! One word per thing, everywhere (code, API, docs):
//! - *video*: the long source. *transcript*: its words with times. *analysis*: its shots, faces, loudness and prosody.
//! - *candidate*: a span that detection considered. *clip*: a candidate that was proposed. *span*: half-open `[start, end)` in film time;
//!   its ends are the *in point* and the *out point*. *hook*: the first three seconds of a span.
//! - *feature*: a measured number about a span. *contribution*: what one feature added to a *score*, and where in the video it was seen.
//! - *render*: making a *rendition* (one file in one *aspect ratio*). *reframe*: choosing the part of the picture that a rendition shows;
//!   *layout*: how it is arranged. *caption cue*: words shown together. *poster*: a clip's still picture. *loudness*: integrated, in LUFS.
//! - *decision list*: the artefact that alone reproduces a rendition from the original.
//! - *workspace*: the tenant and the scope of order. *stream*: one aggregate's events. *version*: an event's place in its stream, from 0.
//!   *position*: its place in its partition, from 0. *commit*: events appended together. *cause*: the event or command behind an event.
//! - *projection*: a fold of the log into a *read model*. *checkpoint*: the position that a consumer has finished.
//! - *job*: work that a *processor* does because of an event. A job that it cannot even give up in an event is *parked*, and can be *replayed*.
//! - *publication*: a clip on a *channel* of a *platform*. *model*: weights with a digest, that transcribe or rank.

pub mod artefact;
pub mod blob;
pub mod clip;
pub mod decider;
pub mod id;
pub mod job;
pub mod model;
pub mod publication;
#[cfg(test)]
mod testing;
pub mod time;
pub mod transcript;
pub mod video;
pub mod workspace;

pub use blob::BlobRef;
pub use decider::Decider;
pub use time::{MediaTime, Span, Timestamp};
