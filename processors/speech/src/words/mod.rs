//! When each word is spoken: from cross-attention by dynamic time warping, then tidied as the reference does.

mod alignment;
mod dtw;
mod tidy;

pub(crate) use alignment::{Aligner, Heard};
pub(crate) use tidy::{Timing, merge_punctuation, tidy};
