//! A dense camera path as few keys.

use super::Crop;
use domain::artefact::CameraKey;

/// How far the simplified path may leave the dense one, in pixels of the rendition: a fifth is not seen.
const TOLERANCE_PX: f64 = 0.2;

/// Returns the fewest keys found by splitting at the farthest point (Ramer, Douglas, Peucker); the path begins at frame 0.
pub(super) fn simplified(path: &[(u64, f64)], crop: Crop) -> Vec<CameraKey> {
    let tolerance = TOLERANCE_PX * crop.extent / f64::from(crop.pixels);
    let last = path.len() - 1;
    let mut is_kept = vec![false; path.len()];
    is_kept[0] = true;
    is_kept[last] = true;
    let mut open = vec![(0, last)];
    while let Some((from, to)) = open.pop() {
        let Some((farthest, distance)) = farthest(path, from, to) else { continue };
        if distance > tolerance {
            is_kept[farthest] = true;
            open.push((from, farthest));
            open.push((farthest, to));
        }
    }
    let mut keys: Vec<CameraKey> =
        path.iter().zip(is_kept).filter(|(_, is_kept)| *is_kept).map(|((frame, centre), _)| crop.key(*frame, *centre)).collect();
    if let [first, second] = keys.as_slice()
        && (crop.centre_of(first) - crop.centre_of(second)).abs() <= tolerance
    {
        keys.truncate(1);
    }
    keys
}

/// Returns the point that is farthest from the straight line between two others, and how far.
fn farthest(path: &[(u64, f64)], from: usize, to: usize) -> Option<(usize, f64)> {
    let ((first_frame, first), (last_frame, last)) = (path[from], path[to]);
    let slope = (last - first) / (last_frame - first_frame).max(1) as f64;
    let distance = |index: usize| (path[index].1 - first - slope * (path[index].0 - first_frame) as f64).abs();
    (from + 1..to).map(|index| (index, distance(index))).max_by(|a, b| a.1.total_cmp(&b.1))
}
