//! From faces in sampled frames to faces that are followed through a shot.

use super::{Scene, Stretch};
use domain::artefact::{Rect, TrackedFace};

/// How long a face may go unseen and still be the same one; its place in between is on the straight line.
const GAP_SECONDS: f64 = 1.0;
/// How long a face is taken to stay where it was before it was first and after it was last seen.
const HOLD_SECONDS: f64 = 0.5;
/// Boxes that overlap less than this, and are also apart by more than [`REACH`], are different faces.
const IOU_MIN: f32 = 0.2;
/// How far a face may be from where it was expected after a fifth of a second, in parts of its own width; twice that after two.
const REACH: f32 = 0.8;
/// The fifth of a second that [`REACH`] speaks of.
const REACH_SECONDS: f64 = 0.2;
/// It grows no further than this: faces that were lost for long turn up anywhere.
const REACH_GROWTH_MAX: f32 = 2.5;
/// How much a face may grow or shrink between samples.
const GROWTH_MAX: f32 = 1.6;
/// A face seen in fewer samples is taken for a false alarm …
const SIGHTINGS_MIN: usize = 3;
/// … and so is one that is seen in a smaller part of the samples of its shot, …
const SHARE_MIN: f64 = 0.12;
/// … or that is this much narrower than the widest of its shot: a face in the background is nobody to follow.
const WIDTH_SHARE_MIN: f64 = 0.3;
/// More people than this are a crowd: nobody follows them one by one.
const TRACKS_MAX: usize = 5;

/// One sighting of a face.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    /// Frame of the rendition.
    pub(super) frame: u64,
    /// Where it is.
    pub(super) rect: Rect,
    /// How much its mouth moved since the sample before.
    pub(super) mouth_motion: f32,
}

/// A face followed through a shot, in time order.
#[derive(Clone, Debug)]
pub(super) struct Track {
    /// Sightings in frame order, at least one.
    pub(super) sightings: Vec<Sighting>,
    hold_frames: u64,
}

impl Track {
    /// Returns where the face is in a frame; `None` when it is not in the picture.
    pub(super) fn rect_at(&self, frame: u64) -> Option<Rect> {
        let after = self.sightings.partition_point(|sighting| sighting.frame <= frame);
        let (before, next) = (after.checked_sub(1).map(|index| self.sightings[index]), self.sightings.get(after));
        match (before, next) {
            (Some(before), Some(next)) => Some(between(before, *next, frame)),
            (Some(before), None) => (frame - before.frame <= self.hold_frames).then_some(before.rect),
            (None, Some(next)) => (next.frame - frame <= self.hold_frames).then_some(next.rect),
            (None, None) => None,
        }
    }

    /// Returns the mean width of its boxes.
    pub(super) fn width(&self) -> f64 {
        self.sightings.iter().map(|sighting| f64::from(sighting.rect.width)).sum::<f64>() / self.sightings.len() as f64
    }

    /// Takes out single wrong boxes: every edge becomes the middle one of three neighbours in time. Steady movement stays as it is.
    fn without_outliers(mut self) -> Self {
        let rects: Vec<Rect> = self.sightings.iter().map(|sighting| sighting.rect).collect();
        for (sighting, three) in self.sightings.iter_mut().skip(1).zip(rects.windows(3)) {
            let middle = |edge: fn(&Rect) -> f32| {
                let (a, b, c) = (edge(&three[0]), edge(&three[1]), edge(&three[2]));
                a.min(b).max(a.max(b).min(c))
            };
            sighting.rect = Rect { x: middle(|r| r.x), y: middle(|r| r.y), width: middle(|r| r.width), height: middle(|r| r.height) };
        }
        self
    }

    fn last(&self) -> &Sighting {
        &self.sightings[self.sightings.len() - 1]
    }

    /// Returns where the face would be if it went on as it did between the last two sightings.
    fn expected(&self, frame: u64) -> Rect {
        let last = self.last();
        let Some(before) = self.sightings.len().checked_sub(2).map(|index| self.sightings[index]) else { return last.rect };
        let part = (frame - last.frame) as f32 / (last.frame - before.frame) as f32;
        let (x, y) = (last.rect.x - before.rect.x, last.rect.y - before.rect.y);
        Rect { x: last.rect.x + x * part, y: last.rect.y + y * part, ..last.rect }
    }
}

fn between(before: Sighting, next: Sighting, frame: u64) -> Rect {
    let part = (frame - before.frame) as f32 / (next.frame - before.frame) as f32;
    let mix = |a: f32, b: f32| a + (b - a) * part;
    Rect {
        x: mix(before.rect.x, next.rect.x),
        y: mix(before.rect.y, next.rect.y),
        width: mix(before.rect.width, next.rect.width),
        height: mix(before.rect.height, next.rect.height),
    }
}

/// Returns the faces that matter in a shot, widest first.
pub(super) fn follow(stretch: &Stretch, scene: &Scene<'_>) -> Vec<Track> {
    let timeline = scene.timeline;
    let limits = Limits {
        gap_frames: timeline.frames_in(GAP_SECONDS),
        hold_frames: timeline.frames_in(HOLD_SECONDS),
        reach_frames: timeline.frames_in(REACH_SECONDS),
    };
    let mut tracks: Vec<Track> = Vec::new();
    let mut samples = 0;
    let from = scene.faces.partition_point(|sample| timeline.frame_of(sample.at_us) < stretch.first_frame);
    let to = scene.faces.partition_point(|sample| timeline.frame_of(sample.at_us) < stretch.end());
    for sample in &scene.faces[from..to] {
        // A frame shows the original until the next one, so the sample belongs to the frame that is nearest to it.
        let frame = timeline.frame_of(sample.at_us);
        if !timeline.range.contains(sample.at_us) {
            continue;
        }
        samples += 1;
        let seen = sample.faces.iter().filter(|face| face.rect.width > 0.0 && face.rect.height > 0.0).copied().collect();
        link(&mut tracks, seen, frame, &limits);
    }
    let sightings_min = SIGHTINGS_MIN.min(samples).max((SHARE_MIN * samples as f64).ceil() as usize);
    tracks.retain(|track| track.sightings.len() >= sightings_min);
    // Ties keep the order in which faces appeared, so the outcome does not depend on anything but the samples.
    tracks.sort_by(|a, b| b.width().total_cmp(&a.width()));
    if let Some(widest) = tracks.first().map(Track::width) {
        tracks.retain(|track| track.width() >= widest * WIDTH_SHARE_MIN);
    }
    tracks.truncate(TRACKS_MAX);
    tracks.into_iter().map(Track::without_outliers).collect()
}

/// The times above in frames.
struct Limits {
    gap_frames: u64,
    hold_frames: u64,
    reach_frames: u64,
}

/// Adds the faces of one sample to the tracks they continue, best match first; the others begin tracks.
fn link(tracks: &mut Vec<Track>, mut seen: Vec<TrackedFace>, frame: u64, limits: &Limits) {
    loop {
        let mut best: Option<(f32, usize, usize)> = None;
        for (index, track) in tracks.iter().enumerate() {
            let last = track.last();
            if last.frame >= frame || frame - last.frame > limits.gap_frames {
                continue;
            }
            for (face, candidate) in seen.iter().enumerate() {
                let growth = ((frame - last.frame) as f32 / limits.reach_frames as f32).clamp(1.0, REACH_GROWTH_MAX);
                // People stop as suddenly as they go on, so both places are looked at.
                let places = [last.rect, track.expected(frame)];
                let likeness = places.map(|place| likeness(place, candidate.rect, REACH * growth)).into_iter().fold(0.0, f32::max);
                if likeness > 0.0 && best.is_none_or(|(most, ..)| likeness > most) {
                    best = Some((likeness, index, face));
                }
            }
        }
        let Some((_, index, face)) = best else { break };
        let TrackedFace { rect, mouth_motion, .. } = seen.remove(face);
        tracks[index].sightings.push(Sighting { frame, rect, mouth_motion });
    }
    for TrackedFace { rect, mouth_motion, .. } in seen {
        tracks.push(Track { sightings: vec![Sighting { frame, rect, mouth_motion }], hold_frames: limits.hold_frames });
    }
}

/// Returns how surely two boxes of neighbouring samples are the same face, 0 when they are not.
fn likeness(before: Rect, after: Rect, reach: f32) -> f32 {
    let size = before.width.max(after.width);
    let growth = size / before.width.min(after.width);
    if growth > GROWTH_MAX {
        return 0.0;
    }
    let ((x0, y0), (x1, y1)) = (before.centre(), after.centre());
    let apart = (x1 - x0).abs().max((y1 - y0).abs()) / size;
    let iou = before.iou(after);
    if iou < IOU_MIN && apart > reach { 0.0 } else { iou + 1.0 / (1.0 + apart) + 1.0 / growth }
}
