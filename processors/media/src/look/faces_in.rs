//! Faces, sampled densely inside one span.

use super::face::FaceFinder;
use super::mouth;
use super::small::{Grey, Shrinker, Tiny};
use crate::decode::{DecodeError, Frames, Pick};
use domain::artefact::{Face, FaceSample, MediaFacts, Rect, TrackedFace};
use domain::{MediaTime, Span};
use std::path::Path;

/// Most samples per second; more than the frames of any usual video would be meaningless.
const RATE_MAX: f64 = 60.0;

/// The whole picture is searched this often; in between, only the surroundings of known faces are, at a tenth of the cost.
const WHOLE_EVERY: MediaTime = MediaTime::from_millis(1_000);

/// A palette change between samples after which no face is where it was.
const NEW_SCENE_PALETTE: f32 = 0.08;

/// Two boxes that overlap this much show the same face.
const SAME_FACE_IOU: f32 = 0.3;

/// A face's width is the median of this many boxes: ten seconds of five samples each.
const WIDTHS: usize = 50;

struct Before {
    tiny: Tiny,
    grey: Grey,
    faces: Vec<Followed>,
    searched_at: MediaTime,
}

/// A face, and how wide its boxes were so far: each shakes, and their median does not.
struct Followed {
    rect: Rect,
    widths: Vec<f32>,
}

/// Samples the faces inside `span`, `rate` times a second.
///
/// A sample is the first decoded frame at or after its time; half of the frames of the span are decoded, so keep spans short.
///
/// # Errors
/// [`DecodeError`]; a file without picture gives [`DecodeError::Absent`].
pub fn faces_in(
    path: &Path,
    facts: &MediaFacts,
    span: Span,
    rate: f64,
    progress: &mut dyn FnMut(f32),
) -> Result<Vec<FaceSample>, DecodeError> {
    let rotation = facts.video.as_ref().map_or(0, |video| video.rotation_degrees);
    let step = MediaTime::from_seconds(1.0 / rate.clamp(1.0 / 3_600.0, RATE_MAX));
    let mut frames = Frames::open(path, Some(span), Pick::OneIn(MediaTime(step.0 / 2)))?;
    let (mut shrinker, mut finder) = (Shrinker::default(), FaceFinder::new());
    let mut samples = Vec::new();
    let mut before: Option<Before> = None;
    let mut due = span.start();
    while let Some(frame) = frames.next_frame()? {
        if frame.at < due && !samples.is_empty() {
            continue;
        }
        while due <= frame.at {
            due = due.plus(step);
        }
        let (tiny, grey) = (shrinker.tiny(&frame), shrinker.grey(&frame, rotation));
        let near = before.as_ref().and_then(|before| follow(&mut finder, &mut shrinker, before, &tiny, &grey, frame.at));
        let searched_at = if let (Some(_), Some(before)) = (&near, &before) { before.searched_at } else { frame.at };
        let found = near.unwrap_or_else(|| finder.find(&grey));
        let looked = found.iter().map(|face| with_mouth(&mut shrinker, face, &grey, before.as_ref()));
        let (faces, followed): (Vec<TrackedFace>, Vec<Followed>) = looked.unzip();
        samples.push(FaceSample { at_us: frame.at, faces, sharpness: grey.sharpness(), luma: grey.mean() });
        before = Some(Before { tiny, grey, faces: followed, searched_at });
        progress((frame.at.minus(span.start()).seconds() / span.duration().seconds()) as f32);
    }
    // The rendition would show the damage, and is only made after this.
    frames.fail_if_damaged()?;
    Ok(samples)
}

/// Finds the faces of the sample before again; `None` if the whole picture must be searched.
fn follow(finder: &mut FaceFinder, shrinker: &mut Shrinker, before: &Before, tiny: &Tiny, grey: &Grey, at: MediaTime) -> Option<Vec<Face>> {
    let is_new = before.tiny.palette_change(tiny) >= NEW_SCENE_PALETTE;
    if is_new || before.faces.is_empty() && at.minus(before.searched_at) >= WHOLE_EVERY || at.minus(before.searched_at) >= WHOLE_EVERY {
        return None;
    }
    before.faces.iter().map(|face| finder.find_near(shrinker, grey, face.rect)).collect()
}

fn with_mouth(shrinker: &mut Shrinker, face: &Face, grey: &Grey, before: Option<&Before>) -> (TrackedFace, Followed) {
    let same = before.and_then(|before| {
        let closest = before.faces.iter().max_by(|a, b| a.rect.iou(face.rect).total_cmp(&b.rect.iou(face.rect)))?;
        (closest.rect.iou(face.rect) >= SAME_FACE_IOU).then_some((&before.grey, closest))
    });
    let mut widths = same.map(|(_, then)| then.widths.clone()).unwrap_or_default();
    widths.truncate(WIDTHS - 1);
    widths.insert(0, face.rect.width);
    let mouth_motion = same.and_then(|(grey_before, then)| mouth::motion(shrinker, [grey_before, grey], then.rect, median(&widths)));
    let tracked = TrackedFace { rect: face.rect, confidence: face.confidence, mouth_motion: mouth_motion.unwrap_or(0.0) };
    (tracked, Followed { rect: face.rect, widths })
}

fn median(values: &[f32]) -> f32 {
    let mut sorted = values.to_vec();
    let middle = sorted.len() / 2;
    *sorted.select_nth_unstable_by(middle, f32::total_cmp).1
}
