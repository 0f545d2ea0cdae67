//! Every decision behind a rendition, as values: which frames, which part of the picture, which words when, how loud, which poster.
//!
//! [`plan`] turns what is known of a video and what is wished for into a decision list; the encoder only carries it out.
//! [`subtitles`] writes the files that lie beside a rendition, and reads transcripts that people bring along.
//! Nothing here does IO, looks at a clock or draws a random number: the same values give the same decision list, to the byte.

pub mod audio;
pub mod cues;
mod plan;
pub mod poster;
pub mod quality;
pub mod reframe;
pub mod subtitles;
mod timeline;

pub use plan::{Refusal, Source, VERSION, Wish, plan};
pub use timeline::Timeline;
