//! Which part of the picture a rendition shows, frame by frame.
//!
//! Shots inside the span → face tracks → who speaks → an arrangement per piece of a shot → a camera path per piece.
//! The camera never moves across a cut, and stands still wherever that keeps the face in the picture.
//! The crop is always as large as the ratio allows, so the camera moves along one axis only.

mod arrange;
mod crop;
mod keys;
mod path;
mod shots;
mod speaker;
mod tracks;
mod trend;

pub(crate) use arrange::SHORTEST_SECONDS;
pub(crate) use crop::centre_at;
pub use crop::{Axis, Crop};
pub use shots::{Stretch, inside as stretches};

use crate::Timeline;
use domain::artefact::{FaceSample, Layout, LayoutSegment, Prosody, Shot};

/// What reframing looks at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Frames of the rendition.
    pub timeline: &'a Timeline,
    /// Largest crop of the wanted ratio.
    pub crop: Crop,
    /// Shots of the original, in order.
    pub shots: &'a [Shot],
    /// Sampled frames, in time order.
    pub faces: &'a [FaceSample],
    /// Prosody of the whole original.
    pub levels: &'a Prosody,
}

/// Parts of the picture that a crop must keep for a centre crop to be acceptable where nobody is seen; below it the whole
/// picture is shown, so that slides stay readable.
const CENTRE_CROP_KEEPS: f64 = 0.8;

/// Returns the arrangement of every frame: segments follow one another from frame 0 without a gap.
#[must_use]
pub fn layout(scene: &Scene<'_>) -> Vec<LayoutSegment> {
    if scene.crop.is_whole() {
        let camera = vec![scene.crop.key(0, 0.5)];
        return vec![LayoutSegment { first_frame: 0, frames: scene.timeline.frames, layout: Layout::Single { camera } }];
    }
    let stretches = shots::inside(scene.shots, scene.timeline);
    let tracked: Vec<_> = stretches.iter().map(|stretch| tracks::follow(stretch, scene)).collect();
    let pieces = arrange::pieces(&stretches, &tracked, scene);
    pieces.into_iter().map(|piece| segment(&piece, scene)).collect()
}

fn segment(piece: &arrange::Piece<'_>, scene: &Scene<'_>) -> LayoutSegment {
    let layout = match &piece.target {
        arrange::Target::Whole if scene.crop.extent >= CENTRE_CROP_KEEPS => Layout::Single { camera: vec![scene.crop.key(0, 0.5)] },
        arrange::Target::Whole => Layout::FitBlur,
        arrange::Target::Faces(tracks) => {
            let path = path::camera(tracks, piece.first_frame, piece.frames, scene);
            Layout::Single { camera: keys::simplified(&path, scene.crop) }
        }
    };
    LayoutSegment { first_frame: piece.first_frame, frames: piece.frames, layout }
}
