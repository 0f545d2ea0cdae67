//! The shots of the original as stretches of frames of the rendition.

use crate::Timeline;
use domain::artefact::Shot;

/// Shots shorter than this are flashes or false cuts: they stay with the shot before them.
const SHORTEST_SHOT_SECONDS: f64 = 0.6;

/// Frames of the rendition between two cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// First frame.
    pub first_frame: u64,
    /// How many, at least one.
    pub frames: u64,
}

impl Stretch {
    /// Returns the first frame that is not inside.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.first_frame + self.frames
    }
}

/// Returns stretches that cover every frame once. A shot that the span itself cuts short stays one, as its cut is real.
#[must_use]
pub fn inside(shots: &[Shot], timeline: &Timeline) -> Vec<Stretch> {
    let is_lasting = |shot: &&Shot| shot.span.duration().seconds() >= SHORTEST_SHOT_SECONDS;
    let starts = shots.iter().filter(is_lasting).map(|shot| shot.span.start());
    let mut cuts: Vec<u64> = starts.filter(|start| timeline.range.contains(*start)).map(|start| timeline.frame_of(start)).collect();
    cuts.retain(|cut| (1..timeline.frames).contains(cut));
    cuts.sort_unstable();
    cuts.dedup();
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([timeline.frames]);
    starts.zip(ends).map(|(first_frame, end)| Stretch { first_frame, frames: end - first_frame }).collect()
}
