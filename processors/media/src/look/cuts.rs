//! Where one shot ends and the next begins.

use super::gop::Group;
use super::small::Tiny;
use domain::artefact::Shot;
use domain::{MediaTime, Span};

/// Content change from one frame to the next that is a cut; the threshold of PySceneDetect's content detector, found on films.
pub(super) const CUT_CONTENT: f32 = 27.0;

/// A palette change between neighbouring key frames that, with a key frame off the beat, needs no second look.
const SURE_PALETTE: f32 = 0.12;

/// Smaller changes than these between neighbouring key frames are motion and light.
const SAME_PALETTE: f32 = 0.03;
const SAME_CONTENT: f32 = 12.0;

/// A longer group is decoded whole: it hides too much. (x264 puts 250 frames between key frames unless told otherwise.)
pub(super) const LONG_GROUP: MediaTime = MediaTime::from_millis(12_000);

/// A shorter shot is a flash or a wipe, not a shot.
const SHOT_MIN: MediaTime = MediaTime::from_millis(500);

/// What is known about the end of a group from its key frames alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing changes.
    Same,
    /// The next group starts with a cut, and there is no other.
    CutAtEnd,
    /// Its frames must be looked at.
    Decode,
}

/// Judges a group by its key frame, the next one, and the next group; the last group has none of these.
pub(super) fn judge(group: &Group, here: &Tiny, next: Option<(&Group, &Tiny)>) -> Verdict {
    if group.has_spike || group.end.minus(group.start) > LONG_GROUP {
        return Verdict::Decode;
    }
    let Some((next_group, there)) = next else { return Verdict::Same };
    let (palette, content) = (here.palette_change(there), here.content_change(there));
    if palette < SAME_PALETTE && content < SAME_CONTENT {
        Verdict::Same
    } else if next_group.is_off_beat && palette >= SURE_PALETTE && content >= CUT_CONTENT {
        Verdict::CutAtEnd
    } else {
        Verdict::Decode
    }
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
