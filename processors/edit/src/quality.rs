//! Measures of a decision list: used by tests, and by checks of finished renditions.

use crate::reframe::{Crop, SHORTEST_SECONDS, Stretch, centre_at};
use domain::artefact::{DecisionList, Layout, LayoutSegment, Rect};

/// Camera movement slower than this, in pixels of the rendition a second, is not seen as movement.
const STILL_PX_PER_SECOND: f64 = 8.0;

/// How the camera of a rendition moves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CameraQuality {
    /// How often the direction turns round within a segment, per second of the rendition.
    pub reversals_per_second: f64,
    /// Mean speed in pixels of the rendition a second.
    pub px_per_second_mean: f64,
    /// 95th percentile of that speed.
    pub px_per_second_p95: f64,
    /// 95th percentile of the change of acceleration, in pixels a second³, over windows of a fifth of a second.
    pub jerk_p95: f64,
    /// Segments under 1.2 s that are not a whole shot.
    pub short_segments: usize,
}

/// Returns how the camera moves; `cuts` are the frames of the rendition at which the original cuts.
#[must_use]
pub fn camera(list: &DecisionList, crop: Crop, cuts: &[u64]) -> CameraQuality {
    let per_second = list.picture.frame_rate.per_second();
    let px = f64::from(crop.pixels) / crop.extent;
    let (mut speeds, mut jerks, mut reversals) = (Vec::new(), Vec::new(), 0);
    for segment in &list.layout {
        let path: Vec<f64> =
            (0..segment.frames).filter_map(|frame| centre_at(&segment.layout, frame, crop)).map(|place| place * px).collect();
        let velocity: Vec<f64> = path.windows(2).map(|pair| (pair[1] - pair[0]) * per_second).collect();
        reversals += turns(&velocity);
        jerks.extend(jerk(&path, per_second));
        speeds.extend(velocity.into_iter().map(f64::abs));
    }
    let is_whole_shot = |segment: &LayoutSegment| {
        let (start, end) = (segment.first_frame, segment.first_frame + segment.frames);
        (start == 0 || cuts.contains(&start)) && (end == list.picture.frames || cuts.contains(&end))
    };
    let is_short = |segment: &&LayoutSegment| (segment.frames as f64) < SHORTEST_SECONDS * per_second - 1e-6 && !is_whole_shot(segment);
    CameraQuality {
        reversals_per_second: f64::from(reversals) * per_second / list.picture.frames as f64,
        px_per_second_mean: speeds.iter().sum::<f64>() / speeds.len().max(1) as f64,
        px_per_second_p95: percentile_95(speeds),
        jerk_p95: percentile_95(jerks),
        short_segments: list.layout.iter().filter(is_short).count(),
    }
}

/// Returns the part of the given frames, 0 to 1, in which the core of the face is inside what is shown.
#[must_use]
pub fn face_core_inside(list: &DecisionList, crop: Crop, faces: &[(u64, Rect)]) -> f64 {
    let inside = faces.iter().filter(|(frame, face)| {
        let segment = list.layout.iter().find(|segment| (segment.first_frame..segment.first_frame + segment.frames).contains(frame));
        segment.is_some_and(|segment| match &segment.layout {
            Layout::FitBlur => true,
            single @ Layout::Single { .. } => {
                centre_at(single, frame - segment.first_frame, crop).is_some_and(|centre| crop.holds_core(centre, *face))
            }
        })
    });
    inside.count() as f64 / faces.len().max(1) as f64
}

/// Tells whether the segments follow one another from frame 0 and cover every frame once, each with a camera that begins at its
/// first frame, ends inside it and stays inside the picture.
#[must_use]
pub fn is_whole(list: &DecisionList, crop: Crop) -> bool {
    let mut next = 0;
    for segment in &list.layout {
        if segment.first_frame != next || segment.frames == 0 || !has_sound_camera(segment, crop) {
            return false;
        }
        next += segment.frames;
    }
    next == list.picture.frames
}

fn has_sound_camera(segment: &LayoutSegment, crop: Crop) -> bool {
    let Layout::Single { camera } = &segment.layout else { return true };
    let (lowest, highest) = crop.bounds();
    let rounding = 1e-6;
    let is_inside = |place: f64| place >= lowest - rounding && place <= highest + rounding;
    camera.first().is_some_and(|key| key.frame == 0)
        && camera.windows(2).all(|pair| pair[0].frame < pair[1].frame)
        && camera.iter().all(|key| key.frame < segment.frames && is_inside(crop.centre_of(key)))
}

/// Returns the cuts between stretches as frames of the rendition.
#[must_use]
pub fn cuts(stretches: &[Stretch]) -> Vec<u64> {
    stretches.iter().skip(1).map(|stretch| stretch.first_frame).collect()
}

fn turns(velocity: &[f64]) -> u32 {
    let mut direction = 0.0;
    let mut turns = 0;
    for speed in velocity.iter().filter(|speed| speed.abs() > STILL_PX_PER_SECOND) {
        if direction * speed < 0.0 {
            turns += 1;
        }
        direction = speed.signum();
    }
    turns
}

fn jerk(path: &[f64], per_second: f64) -> Vec<f64> {
    // Single frames only show the knots of a piecewise linear path, which nobody sees.
    let window = (per_second / 5.0).round().max(1.0) as usize;
    let seconds = window as f64 / per_second;
    let third = |index: usize| path[index + 3 * window] - 3.0 * path[index + 2 * window] + 3.0 * path[index + window] - path[index];
    (0..path.len().saturating_sub(3 * window)).map(|index| third(index).abs() / seconds.powi(3)).collect()
}

fn percentile_95(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len().max(1) - 1) as f64 * 0.95;
    values.get(index.round() as usize).copied().unwrap_or(0.0)
}
