//! Which moment of the original each frame and each sample of a rendition shows. Pure.

use anyhow::{Result, bail, ensure};
use domain::artefact::DecisionList;
use domain::{MediaTime, Span};

/// Samples per second of every rendition.
pub(crate) const SAMPLE_RATE: u32 = 48_000;

/// Longest rendition. Its sound is held in memory, 23 MB a minute; clips are far shorter.
const DURATION_SECONDS_MAX: f64 = 1_800.0;

/// How far the ranges' total may differ from the number of frames: one frame of rounding per end.
const FRAMES_OFF_MAX: u64 = 1;

/// The ranges of a decision list on the grid of the rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// Pieces in order; together they cover every frame.
    pub(crate) pieces: Vec<Piece>,
}

/// One range of the original in the rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// What is taken.
    pub(crate) source: Span,
    /// The frame of the rendition that shows its in point.
    pub(crate) first_frame: u64,
    /// How many frames it fills.
    pub(crate) frames: u64,
}

impl Timeline {
    pub(crate) fn new(list: &DecisionList) -> Result<Self> {
        let (rate, frames) = (list.picture.frame_rate, list.picture.frames);
        ensure!(frames > 0, "the decision list has no frames");
        ensure!(rate.numerator > 0 && rate.denominator > 0, "the decision list has no frame rate");
        ensure!(list.duration().seconds() <= DURATION_SECONDS_MAX, "a rendition may last up to {DURATION_SECONDS_MAX} s");
        let mut pieces = Vec::with_capacity(list.ranges.len());
        let mut elapsed = MediaTime::ZERO;
        for range in &list.ranges {
            let first_frame = rate.nearest_frame(elapsed);
            elapsed = elapsed.plus(range.duration());
            let piece = Piece { source: *range, first_frame, frames: rate.nearest_frame(elapsed).saturating_sub(first_frame) };
            if piece.frames > 0 {
                pieces.push(piece);
            }
        }
        let Some(last) = pieces.last_mut() else { bail!("the ranges of the decision list are shorter than one frame") };
        let total = last.first_frame + last.frames;
        if total.abs_diff(frames) > FRAMES_OFF_MAX || frames <= last.first_frame {
            bail!("the ranges of the decision list fill {total} frames, its picture has {frames}");
        }
        last.frames = frames - last.first_frame;
        Ok(Self { pieces })
    }
}

impl Piece {
    /// Returns the moment of the original that `frame` of the rendition shows.
    pub(crate) fn source_time(&self, list: &DecisionList, frame: u64) -> MediaTime {
        self.source.start().plus(list.picture.frame_rate.time_of(frame - self.first_frame))
    }

    /// Returns the first sample of the rendition that belongs to this piece, and the first that does not.
    pub(crate) fn samples(&self, list: &DecisionList) -> (usize, usize) {
        (sample_of_frame(list, self.first_frame), sample_of_frame(list, self.first_frame + self.frames))
    }
}

/// Returns the sample that plays when `frame` appears.
pub(crate) fn sample_of_frame(list: &DecisionList, frame: u64) -> usize {
    let rate = list.picture.frame_rate;
    let scaled = u128::from(frame) * u128::from(SAMPLE_RATE) * u128::from(rate.denominator) + u128::from(rate.numerator) / 2;
    (scaled / u128::from(rate.numerator)) as usize
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use domain::BlobRef;
    use domain::artefact::{EncoderSettings, FrameRate, Picture, Ratio};
    use domain::blob::Digest;

    pub(crate) fn list(ranges: &[(u64, u64)], rate: (u32, u32), frames: u64) -> DecisionList {
        DecisionList {
            version: 1,
            source: BlobRef { sha256: Digest([0; 32]), bytes: 0, media_type: "video/mp4".into() },
            ranges: ranges.iter().map(|(start, end)| Span::new(MediaTime(*start), MediaTime(*end)).unwrap()).collect(),
            picture: Picture {
                ratio: Ratio::Portrait,
                width: 1080,
                height: 1920,
                frame_rate: FrameRate { numerator: rate.0, denominator: rate.1 },
                frames,
            },
            layout: vec![],
            captions: None,
            audio: None,
            encoder: EncoderSettings {
                video_encoder: "x264enc".into(),
                preset: "veryfast".into(),
                crf: 21,
                key_frame_frames: 60,
                audio_bitrate_bps: 160_000,
            },
            poster_frame: 0,
        }
    }

    #[test]
    fn ranges_follow_one_another_without_gap() {
        let list = list(&[(1_000_000, 2_000_000), (5_000_000, 5_500_000)], (30, 1), 45);
        let timeline = Timeline::new(&list).unwrap();
        assert_eq!(timeline.pieces.iter().map(|piece| (piece.first_frame, piece.frames)).collect::<Vec<_>>(), [(0, 30), (30, 15)]);
        assert_eq!(timeline.pieces[1].source_time(&list, 31), MediaTime(5_033_333));
        assert_eq!(timeline.pieces[1].samples(&list), (48_000, 72_000));
    }

    #[test]
    fn the_last_range_takes_up_one_frame_of_rounding() {
        let short = list(&[(0, 990_000)], (30_000, 1001), 30);
        assert_eq!(Timeline::new(&short).unwrap().pieces[0].frames, 30);
    }

    #[test]
    fn a_list_whose_ranges_do_not_fill_its_frames_is_refused() {
        let refused = Timeline::new(&list(&[(0, 1_000_000)], (30, 1), 60)).unwrap_err();
        assert_eq!(refused.to_string(), "the ranges of the decision list fill 30 frames, its picture has 60");
    }

    #[test]
    fn samples_of_ntsc_rates_never_drift() {
        let list = list(&[(0, 10_010_000)], (30_000, 1001), 300);
        assert_eq!(sample_of_frame(&list, 300), 480_480);
    }
}
