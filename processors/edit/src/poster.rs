//! Which frame stands for a rendition.

use crate::Timeline;
use crate::reframe::{Crop, centre_at};
use domain::artefact::{FaceSample, LayoutSegment, Shot};

/// Frames this near to a cut are often blended or half-decoded, and a viewer who sees the next one is puzzled.
const CUT_DISTANCE_SECONDS: f64 = 0.3;
/// Eyes and mouths move in the first moment of a span: a poster from before is often mid-breath.
const EARLIEST_SECONDS: f64 = 0.3;
/// Without any sampled frame the poster is taken here, as a part of the rendition.
const BLIND_PART: f64 = 0.2;
/// Mean luma that faces are well seen at.
const GOOD_LUMA: f32 = 0.45;
/// A face this wide, as a part of the picture, is large enough; wider ones gain nothing.
const GOOD_FACE_WIDTH: f32 = 0.15;

/// What each property adds at most; a face counts most, then sharpness, then light, then being early.
mod weight {
    pub(super) const FACE: f64 = 1.0;
    pub(super) const FACE_SIZE: f64 = 0.5;
    pub(super) const SHARPNESS: f64 = 0.8;
    pub(super) const LIGHT: f64 = 0.5;
    pub(super) const EARLY: f64 = 0.25;
    pub(super) const STILL_MOUTH: f64 = 0.15;
}

/// Returns the frame of the rendition that makes the best poster: sharp, well lit, with a face inside the crop, away from cuts, early.
#[must_use]
pub fn frame(timeline: &Timeline, shots: &[Shot], faces: &[FaceSample], layout: &[LayoutSegment], crop: Crop) -> u64 {
    let last = timeline.frames - 1;
    let sharpest = faces.iter().map(|sample| sample.sharpness).fold(f32::MIN_POSITIVE, f32::max);
    let distance = timeline.frames_in(CUT_DISTANCE_SECONDS);
    let cuts: Vec<u64> = shots
        .iter()
        .map(|shot| shot.span.start())
        .filter(|start| timeline.range.contains(*start))
        .map(|start| timeline.frame_of(start))
        .collect();
    let is_near_cut = |frame: u64| cuts.iter().any(|cut| cut.abs_diff(frame) < distance);
    let mut best: Option<(f64, u64)> = None;
    for sample in faces.iter().filter(|sample| timeline.range.contains(sample.at_us)) {
        let frame = timeline.frame_of(sample.at_us).min(last);
        let mut score = merit(sample, frame, layout, crop, sharpest);
        score += weight::EARLY * (1.0 - frame as f64 / timeline.frames as f64);
        if is_near_cut(frame) || frame < timeline.frames_in(EARLIEST_SECONDS) {
            // Any other frame is better, but a span that has nothing else still gets its best.
            score -= 10.0;
        }
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, frame));
        }
    }
    best.map_or((timeline.frames as f64 * BLIND_PART) as u64, |(_, frame)| frame)
}

fn merit(sample: &FaceSample, frame: u64, layout: &[LayoutSegment], crop: Crop, sharpest: f32) -> f64 {
    let shown = sample.faces.iter().filter(|face| match centre(layout, frame, crop) {
        Some(centre) => crop.holds_core(centre, face.rect),
        None => true,
    });
    let widest = shown.max_by(|a, b| a.rect.width.total_cmp(&b.rect.width));
    let face = widest.map_or(0.0, |face| {
        let size = f64::from((face.rect.width / GOOD_FACE_WIDTH).min(1.0));
        weight::FACE + weight::FACE_SIZE * size - weight::STILL_MOUTH * f64::from(face.mouth_motion.clamp(0.0, 0.1)) * 10.0
    });
    let sharp = f64::from((sample.sharpness / sharpest).clamp(0.0, 1.0));
    let light = f64::from((1.0 - (sample.luma - GOOD_LUMA).abs() / GOOD_LUMA).clamp(0.0, 1.0));
    face + weight::SHARPNESS * sharp + weight::LIGHT * light
}

fn centre(layout: &[LayoutSegment], frame: u64, crop: Crop) -> Option<f64> {
    let segment = layout.iter().find(|segment| (segment.first_frame..segment.first_frame + segment.frames).contains(&frame))?;
    centre_at(&segment.layout, frame - segment.first_frame, crop)
}
