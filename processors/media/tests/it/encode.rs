//! What is rendered, seen by tools that nobody here wrote: ffprobe, ffmpeg, pyloudnorm.

pub(crate) mod bench;
mod facts;
mod picture;
mod sound;
