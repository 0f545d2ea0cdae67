//! Where the camera is during one piece: still if it can be, else the smoothest path that keeps the faces in the crop.
//!
//! L1 trend filtering (Kim, Koh, Boyd, Gorinevsky 2009; Grundmann, Kwatra, Essa 2011): the absolute values of distance to the
//! target, speed, change of speed and change of acceleration are weighed against one another, which gives stretches of rest, of
//! even pans and of even acceleration. Solved by iteratively reweighted least squares, one banded system per round.

use super::Scene;
use super::crop::{Crop, FACE_CORE};
use super::tracks::Track;

/// The camera stands still when the target moves less than this part of the crop (the rule of AutoFlip).
const STILL_RANGE: f64 = 0.3;
/// Knots of the path a second; between them it is straight.
const KNOTS_PER_SECOND: f64 = 15.0;
/// Room that is kept around a whole face where the crop has it.
const FACE_MARGIN: f64 = 1.15;
/// Part of the crop that a whole face may fill; a larger one is kept by its core only.
const FACE_FILL: f64 = 0.9;
/// Where a face should be in a crop that moves up and down: this part of its height above the middle.
const HEADROOM: f64 = 0.1;

/// Weights against one second of being off target by the whole picture, in seconds, seconds² and seconds³.
mod weight {
    pub(super) const SPEED: f64 = 1.5;
    pub(super) const SPEED_CHANGE: f64 = 5.0;
    pub(super) const ACCELERATION_CHANGE: f64 = 1.5;
    /// Leaving the faces is as bad as being this many times as far off target.
    pub(super) const OUTSIDE: f64 = 200.0;
    /// Keeps the system solvable where no target is seen.
    pub(super) const RIDGE: f64 = 1e-7;
}
/// Rounds of reweighting; the residuals change by less than a hundredth of a pixel after about 35.
const ROUNDS: usize = 45;
/// Residuals count as zero below this, at first …
const EPSILON_FIRST: f64 = 0.05;
/// … and at last: a hundredth of a pixel.
const EPSILON_LAST: f64 = 5e-6;
/// By how much it shrinks each round.
const EPSILON_RATIO: f64 = 0.75;

/// What one knot asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knot {
    /// Where the middle of the crop should be; `None` where no face is seen.
    pub(super) target: Option<f64>,
    /// Where it must be, lowest and highest, for the faces to be inside.
    pub(super) low: f64,
    /// See `low`.
    pub(super) high: f64,
}

/// Returns where the middle of the crop is, as (frame of the piece, place along the axis), from frame 0 to the last.
pub(super) fn camera(tracks: &[&Track], first_frame: u64, frames: u64, scene: &Scene<'_>) -> Vec<(u64, f64)> {
    let spacing = scene.timeline.frames_in(1.0 / KNOTS_PER_SECOND);
    let last = frames - 1;
    let count = last.div_ceil(spacing) + 1;
    let knots: Vec<Knot> = (0..count).map(|index| knot(tracks, first_frame + (index * spacing).min(last), scene.crop)).collect();
    if let Some(place) = still(&knots, scene.crop) {
        return vec![(0, place), (last.max(1), place)];
    }
    let places = solve(&knots, spacing as f64 / scene.timeline.rate.per_second());
    let (lowest, highest) = scene.crop.bounds();
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

fn knot(tracks: &[&Track], frame: u64, crop: Crop) -> Knot {
    let (lowest, highest) = crop.bounds();
    let mut face = (f64::INFINITY, f64::NEG_INFINITY);
    let mut core = face;
    for rect in tracks.iter().filter_map(|track| track.rect_at(frame)) {
        let (middle, size) = crop.along(rect);
        let around = |part: f64| (middle - size * part / 2.0, middle + size * part / 2.0);
        let ((face_low, face_high), (core_low, core_high)) = (around(FACE_MARGIN), around(FACE_CORE));
        face = (face.0.min(face_low), face.1.max(face_high));
        core = (core.0.min(core_low), core.1.max(core_high));
    }
    if face.0 > face.1 {
        return Knot { target: None, low: lowest, high: highest };
    }
    let headroom = if crop.axis == super::Axis::Down { HEADROOM * crop.extent } else { 0.0 };
    let kept = if face.1 - face.0 <= crop.extent * FACE_FILL { face } else { core };
    let middle = f64::midpoint(kept.0, kept.1);
    // A core larger than the crop is shown by its middle; one at the border by the crop that lies at the border.
    let (low, high) =
        if kept.1 - kept.0 <= crop.extent { (kept.1 - crop.extent / 2.0, kept.0 + crop.extent / 2.0) } else { (middle, middle) };
    let (low, high) = (low.clamp(lowest, highest), high.clamp(lowest, highest));
    Knot { target: Some((middle + headroom).clamp(low, high)), low, high }
}

/// Returns the place that shows every face without moving, when the targets are near to one another.
fn still(knots: &[Knot], crop: Crop) -> Option<f64> {
    let mut targets: Vec<f64> = knots.iter().filter_map(|knot| knot.target).collect();
    if targets.is_empty() {
        return Some(0.5);
    }
    targets.sort_by(f64::total_cmp);
    let low = knots.iter().map(|knot| knot.low).fold(f64::NEG_INFINITY, f64::max);
    let high = knots.iter().map(|knot| knot.high).fold(f64::INFINITY, f64::min);
    let is_near = targets[targets.len() - 1] - targets[0] < STILL_RANGE * crop.extent;
    (is_near && low <= high).then(|| targets[targets.len() / 2].clamp(low, high))
}

/// Half the bandwidth of the system: third differences reach three knots back.
const REACH: usize = 3;
/// Rows of a symmetric banded matrix: `[row][d]` is the entry at (`row`, `row - d`).
type Banded = Vec<[f64; REACH + 1]>;

/// Coefficients of first, second and third differences, newest knot first.
const DIFFERENCES: [&[f64]; 3] = [&[1.0, -1.0], &[1.0, -2.0, 1.0], &[1.0, -3.0, 3.0, -1.0]];

/// Returns the path with the smallest sum over all knots, `seconds` apart.
pub(super) fn solve(knots: &[Knot], seconds: f64) -> Vec<f64> {
    let mut places = first_guess(knots);
    let smoothness = [weight::SPEED, weight::SPEED_CHANGE / seconds, weight::ACCELERATION_CHANGE / (seconds * seconds)];
    let mut epsilon = EPSILON_FIRST;
    for _ in 0..ROUNDS {
        let mut matrix: Banded = vec![[0.0; REACH + 1]; places.len()];
        let mut right = vec![0.0; places.len()];
        for (row, knot) in knots.iter().enumerate() {
            pull(&mut matrix[row][0], &mut right[row], knot, places[row], seconds, epsilon);
        }
        for (coefficients, weight) in DIFFERENCES.into_iter().zip(smoothness) {
            let reach = coefficients.len();
            for newest in reach - 1..places.len() {
                let residual: f64 = (0..reach).map(|back| coefficients[back] * places[newest - back]).sum();
                let weight = weight / residual.abs().max(epsilon);
                for (back, left) in coefficients.iter().enumerate() {
                    for (more, other) in coefficients.iter().enumerate().skip(back) {
                        matrix[newest - back][more - back] += weight * left * other;
                    }
                }
            }
        }
        places = solve_banded(matrix, right);
        epsilon = (epsilon * EPSILON_RATIO).max(EPSILON_LAST);
    }
    places
}

fn first_guess(knots: &[Knot]) -> Vec<f64> {
    let mut last = knots.iter().find_map(|knot| knot.target).unwrap_or(0.5);
    let mut guess = Vec::with_capacity(knots.len());
    for knot in knots {
        last = knot.target.unwrap_or(last);
        guess.push(last);
    }
    guess
}

/// Adds what one knot asks for: being near its target, and between its bounds.
fn pull(diagonal: &mut f64, right: &mut f64, knot: &Knot, place: f64, seconds: f64, epsilon: f64) {
    let target = knot.target.unwrap_or(place);
    let near = knot.target.map_or(0.0, |target| seconds / (place - target).abs().max(epsilon)) + weight::RIDGE;
    *diagonal += near;
    *right += near * target;
    // max(0, r) = (|r| + r) / 2: the first half is reweighted as everywhere, the second is a constant pull.
    let outside = weight::OUTSIDE * seconds / 2.0;
    for (bound, direction) in [(knot.high, 1.0), (knot.low, -1.0)] {
        let stiffness = outside / (place - bound).abs().max(epsilon);
        *diagonal += stiffness;
        *right += stiffness * bound - outside * direction;
    }
}

/// Solves a symmetric, positive definite banded system by its L·D·Lᵀ factors.
fn solve_banded(mut matrix: Banded, mut right: Vec<f64>) -> Vec<f64> {
    let count = right.len();
    for row in 0..count {
        for back in (1..=REACH.min(row)).rev() {
            let column = row - back;
            let mut value = matrix[row][back];
            for further in back + 1..=REACH.min(row) {
                if further - back <= REACH {
                    value -= matrix[row][further] * matrix[column][further - back];
                }
            }
            // Kept multiplied by its pivot until the row is done.
            matrix[row][back] = value;
        }
        let mut pivot = matrix[row][0];
        for back in 1..=REACH.min(row) {
            let scaled = matrix[row][back];
            let factor = scaled / matrix[row - back][0];
            pivot -= scaled * factor;
            matrix[row][back] = factor;
        }
        matrix[row][0] = pivot;
        for back in 1..=REACH.min(row) {
            right[row] -= matrix[row][back] * right[row - back];
        }
    }
    for row in (0..count).rev() {
        let mut value = right[row] / matrix[row][0];
        for ahead in 1..=REACH.min(count - 1 - row) {
            value -= matrix[row + ahead][ahead] * right[row + ahead];
        }
        right[row] = value;
    }
    right
}
