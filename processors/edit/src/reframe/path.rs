//! Where the camera is during one piece: still if it can be, else the smoothest path that keeps the faces in the crop.

use super::Scene;
use super::crop::{Axis, Crop, FACE_CORE};
use super::tracks::Track;
use super::trend::{self, Bounds, Knot};

/// The camera stands still when the target moves less than this part of the crop (the rule of AutoFlip).
const STILL_RANGE: f64 = 0.3;
/// A path that moves less than this part of the crop, five pixels of 1080, is stood still: such a drift only looks unsteady.
const DRIFT: f64 = 0.005;
/// Knots of the path a second; between them it is straight.
const KNOTS_PER_SECOND: f64 = 15.0;
/// Room that is kept around a whole face where the crop has it.
const FACE_MARGIN: f64 = 1.15;
/// Part of the crop that a whole face may fill; a larger one is kept by its core only.
const FACE_FILL: f64 = 0.9;
/// Where a face should be in a crop that moves up and down: this part of its height above the middle.
const HEADROOM: f64 = 0.1;

/// Returns where the middle of the crop is, as (frame of the piece, place along the axis), from frame 0 to the last.
pub(super) fn camera(tracks: &[&Track], first_frame: u64, frames: u64, scene: &Scene<'_>) -> Vec<(u64, f64)> {
    let spacing = scene.timeline.frames_in(1.0 / KNOTS_PER_SECOND);
    let last = frames - 1;
    let count = last.div_ceil(spacing) + 1;
    let knots: Vec<Knot> = (0..count).map(|index| knot(tracks, first_frame + (index * spacing).min(last), scene.crop)).collect();
    if let Some(place) = still(&knots, scene.crop) {
        return vec![(0, place)];
    }
    let places = trend::solve(&knots, spacing as f64 / scene.timeline.rate.per_second());
    let (left, right) =
        places.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(left, right), place| (left.min(*place), right.max(*place)));
    let (lowest, highest) = scene.crop.bounds();
    if right - left < DRIFT * scene.crop.extent {
        return vec![(0, f64::midpoint(left, right).clamp(lowest, highest))];
    }
    let mut path: Vec<(u64, f64)> = (0..count).zip(places).map(|(index, place)| (index * spacing, place.clamp(lowest, highest))).collect();
    end_at(&mut path, last);
    path
}

/// Moves the last knot back to the last frame, on the line it lies on.
fn end_at(path: &mut [(u64, f64)], last: u64) {
    if let [.., before, end] = path
        && end.0 > last
    {
        let part = (last - before.0) as f64 / (end.0 - before.0) as f64;
        *end = (last, before.1 + (end.1 - before.1) * part);
    }
}

/// Returns what the camera should do in a frame that shows these faces.
fn knot(tracks: &[&Track], frame: u64, crop: Crop) -> Knot {
    let (lowest, highest) = crop.bounds();
    let mut face = (f64::INFINITY, f64::NEG_INFINITY);
    let mut core = face;
    for rect in tracks.iter().filter_map(|track| track.rect_at(frame)) {
        let (middle, size) = crop.along(rect);
        let widened = |(low, high): (f64, f64), part: f64| (low.min(middle - size * part / 2.0), high.max(middle + size * part / 2.0));
        (face, core) = (widened(face, FACE_MARGIN), widened(core, FACE_CORE));
    }
    if face.0 > face.1 {
        let anywhere = Bounds { low: lowest, high: highest };
        return Knot { target: None, face: anywhere, core: anywhere };
    }
    let core_bounds = bounds(core, crop);
    let face_bounds = if face.1 - face.0 <= crop.extent * FACE_FILL { bounds(face, crop) } else { core_bounds };
    let headroom = if crop.axis == Axis::Down { HEADROOM * crop.extent } else { 0.0 };
    let target = (f64::midpoint(face.0, face.1) + headroom).clamp(face_bounds.low, face_bounds.high);
    Knot { target: Some(target), face: face_bounds, core: core_bounds }
}

/// Returns where the crop can be to hold `kept`. What is larger than the crop is shown by its middle, what leaves the picture by
/// the crop at the border.
fn bounds(kept: (f64, f64), crop: Crop) -> Bounds {
    let (lowest, highest) = crop.bounds();
    let middle = f64::midpoint(kept.0, kept.1);
    let fits = kept.1 - kept.0 <= crop.extent;
    let (low, high) = if fits { (kept.1 - crop.extent / 2.0, kept.0 + crop.extent / 2.0) } else { (middle, middle) };
    Bounds { low: low.clamp(lowest, highest), high: high.clamp(lowest, highest) }
}

/// Returns the place that shows every face without moving, when the targets are near to one another.
fn still(knots: &[Knot], crop: Crop) -> Option<f64> {
    let mut targets: Vec<f64> = knots.iter().filter_map(|knot| knot.target).collect();
    let (Some(first), Some(last)) = (targets.iter().copied().reduce(f64::min), targets.iter().copied().reduce(f64::max)) else {
        return Some(0.5);
    };
    if last - first >= STILL_RANGE * crop.extent {
        return None;
    }
    targets.sort_by(f64::total_cmp);
    let shared = |of: fn(&Knot) -> Bounds| {
        let low = knots.iter().map(|knot| of(knot).low).fold(f64::NEG_INFINITY, f64::max);
        let high = knots.iter().map(|knot| of(knot).high).fold(f64::INFINITY, f64::min);
        (low <= high).then(|| targets[targets.len() / 2].clamp(low, high))
    };
    shared(|knot| knot.face).or_else(|| shared(|knot| knot.core))
}
