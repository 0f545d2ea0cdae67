//! Where one shot ends and the next begins.

use super::gop::Group;
use super::small::{Change, Tiny};
use domain::artefact::Shot;
use domain::{MediaTime, Span};

/// Content change from one frame to the next that is a cut. PySceneDetect's content detector takes 27 on a copy with hard pixels;
/// averaged pixels change a tenth less.
const CUT_CONTENT: f32 = 25.0;

/// Less content change is a cut too if the palette changes at once, which motion never does (0.02 at most on test talks).
const CUT_CONTENT_WITH_PALETTE: f32 = 15.0;
const CUT_PALETTE: f32 = 0.1;

/// A palette change between neighbouring key frames that, with a key frame off the beat, needs no second look.
const SURE_PALETTE: f32 = 0.12;
const SURE_CONTENT: f32 = 18.0;

/// Smaller changes than these up to a key frame off the beat are motion and light, which fool encoders too.
const SAME_PALETTE: f32 = 0.03;
const SAME_CONTENT: f32 = 12.0;

/// With a key frame on the beat and no large unit to explain it, a palette change this great may be a cut.
const ON_BEAT_PALETTE: f32 = 0.15;

/// A longer group is decoded whole: it hides too much. (x264 puts 250 frames between key frames unless told otherwise.)
pub(super) const LONG_GROUP: MediaTime = MediaTime::from_millis(12_000);

/// A shorter shot is a flash or a wipe, not a shot.
const SHOT_MIN: MediaTime = MediaTime::from_millis(500);

/// What is to be done about a group, judged from its key frames and sizes alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// How many of its units are decoded; if all, the first unit of the next group as well.
    pub units: usize,
    /// Frames after this are not judged, as some between them may not be decoded.
    pub until: MediaTime,
    /// Whether the next group surely starts with a cut.
    pub is_cut_at_end: bool,
}

impl Plan {
    /// All units of a group, and the frame after it.
    pub(super) const ALL: Self = Self { units: usize::MAX, until: MediaTime(u64::MAX), is_cut_at_end: false };
}

/// Judges a group by the next one and how much its key frame differs; the last group has neither.
pub(super) fn plan(group: &Group, next: Option<(&Group, Change)>) -> Plan {
    if group.end.minus(group.start) > LONG_GROUP {
        return Plan::ALL;
    }
    let inside = match group.spike {
        Some(spike) => Plan { units: spike.units, until: spike.at, is_cut_at_end: false },
        None => Plan::default(),
    };
    // Without a key frame after it, only its own frames can tell; there is one such group.
    let Some((next_group, change)) = next else { return Plan::ALL };
    if next_group.is_off_beat {
        if change.palette < SAME_PALETTE && change.content < SAME_CONTENT {
            return inside;
        }
        let is_sure = change.palette >= SURE_PALETTE && change.content >= SURE_CONTENT;
        return if is_sure { Plan { is_cut_at_end: true, ..inside } } else { Plan::ALL };
    }
    // On the beat a cut is rare, and everything that moves for seconds looks like one.
    if group.spike.is_none() && is_great(change) { Plan::ALL } else { inside }
}

/// Tells whether frames that are seconds apart differ so much that there must be a cut between them, or a slow change.
pub(super) fn is_great(change: Change) -> bool {
    change.palette >= ON_BEAT_PALETTE && change.content >= CUT_CONTENT
}

/// Tells whether a cut lies between two frames that follow each other.
pub(super) fn is_cut(before: &Tiny, after: &Tiny) -> bool {
    let Change { content, palette } = Change::between(before, after);
    content >= CUT_CONTENT || content >= CUT_CONTENT_WITH_PALETTE && palette >= CUT_PALETTE
}

/// Returns the shots between cuts; cuts that come too soon after another are dropped.
pub(super) fn shots(mut cuts: Vec<MediaTime>, duration: MediaTime) -> Vec<Shot> {
    cuts.sort_unstable();
    let mut shots = Vec::new();
    let mut start = MediaTime::ZERO;
    for cut in cuts {
        let leaves_a_shot = cut.minus(start) >= SHOT_MIN && duration.minus(cut) >= SHOT_MIN;
        if let (true, Ok(span)) = (leaves_a_shot, Span::new(start, cut)) {
            shots.push(Shot { span });
            start = cut;
        }
    }
    shots.extend(Span::new(start, duration).map(|span| Shot { span }));
    shots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shots_cover_the_video_and_are_never_flashes() {
        let seconds = |list: &[f64]| list.iter().map(|&at| MediaTime::from_seconds(at)).collect::<Vec<_>>();
        let found = shots(seconds(&[5.0, 2.0, 2.2, 9.8]), MediaTime::from_seconds(10.0));
        let bounds: Vec<_> = found.iter().map(|shot| (shot.span.start().seconds(), shot.span.end().seconds())).collect();
        assert_eq!(bounds, [(0.0, 2.0), (2.0, 5.0), (5.0, 10.0)]);
        assert_eq!(shots(vec![], MediaTime::ZERO), []);
    }
}
