//! Packs speech into windows of at most the model's length and maps their times back.
//!
//! Silence is left out, so every second that the model hears costs what a second of speech costs and nothing is guessed for silence.

use crate::model::mel::SAMPLE_RATE;
use crate::vad::Piece;
use std::ops::Range;

/// A full window is cut at its longest pause after this part of it: a sentence that is cut in two is often lost.
const CUT_AFTER: f64 = 0.75;

/// Attention often enters a word after a pause a little early; the reference lets it, without a limit.
const LEAD_SECONDS: f64 = 0.25;

/// One or more pieces of speech that are heard together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    /// Sample ranges of the audio, in order.
    pub(crate) pieces: Vec<Range<usize>>,
    /// Seconds of speech in the windows before this one.
    pub(crate) offset: f64,
}

/// Packs pieces of speech, none longer than `samples_max`, into windows in their order.
pub(crate) fn pack(speech: &[Piece], samples_max: usize) -> Vec<Window> {
    let mut windows: Vec<Window> = vec![];
    let mut heard = 0;
    let mut left = speech;
    while !left.is_empty() {
        let (these, others) = left.split_at(window_pieces(left, samples_max));
        windows.push(Window { pieces: these.iter().map(|piece| piece.samples.clone()).collect(), offset: seconds(heard) });
        heard += these.iter().map(|piece| piece.samples.len()).sum::<usize>();
        left = others;
    }
    windows
}

/// Returns how many of the first pieces make a window.
fn window_pieces(speech: &[Piece], samples_max: usize) -> usize {
    let mut samples = 0;
    let mut cut = (1, 0);
    for (index, piece) in speech.iter().enumerate() {
        samples += piece.samples.len();
        if samples > samples_max {
            return cut.0;
        }
        // Up to `CUT_AFTER`, a later cut is better; after it, a longer pause.
        let is_late = samples as f64 >= samples_max as f64 * CUT_AFTER;
        let pause = if is_late { piece.pause_after } else { 0 };
        if pause >= cut.1 {
            cut = (index + 1, pause);
        }
    }
    speech.len()
}

/// Deals windows out to batches of at most `batch_max`, alike in size and as many as `streams` can work off in equal shares.
pub(crate) fn batches(windows: &[Window], streams: usize, batch_max: usize) -> Vec<&[Window]> {
    let count = windows.len().div_ceil(streams * batch_max) * streams;
    let edge = |batch: usize| windows.len() * batch / count;
    (0..count).map(|batch| &windows[edge(batch)..edge(batch + 1)]).filter(|batch| !batch.is_empty()).collect()
}

fn seconds(samples: usize) -> f64 {
    samples as f64 / SAMPLE_RATE as f64
}

impl Window {
    /// Returns how many samples it holds.
    pub(crate) fn samples(&self) -> usize {
        self.pieces.iter().map(Range::len).sum()
    }

    /// Returns how many seconds it lasts.
    pub(crate) fn seconds(&self) -> f64 {
        seconds(self.samples())
    }

    /// Returns its pieces one after the other.
    pub(crate) fn audio(&self, samples: &[f32]) -> Vec<f32> {
        self.pieces.iter().flat_map(|piece| &samples[piece.clone()]).copied().collect()
    }

    /// Returns which piece is heard `seconds` into the window.
    pub(crate) fn piece_at(&self, seconds: f64) -> usize {
        let mut left = (seconds.max(0.0) * SAMPLE_RATE as f64) as usize;
        for (index, piece) in self.pieces.iter().enumerate() {
            if left < piece.len() {
                return index;
            }
            left -= piece.len();
        }
        self.pieces.len() - 1
    }

    /// Returns the audio's second for a second of the window, kept inside the piece and at most `LEAD_SECONDS` before it.
    pub(crate) fn original(&self, seconds: f64, piece: usize) -> f64 {
        let before: usize = self.pieces[..piece].iter().map(Range::len).sum();
        let range = &self.pieces[piece];
        let second = (range.start as f64 - before as f64) / SAMPLE_RATE as f64 + seconds;
        let (start, end) = (range.start as f64 / SAMPLE_RATE as f64, range.end as f64 / SAMPLE_RATE as f64);
        second.clamp((start - LEAD_SECONDS).max(0.0), end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(samples: Range<usize>, pause_after: usize) -> Piece {
        Piece { samples, pause_after }
    }

    fn sizes(windows: &[Window]) -> Vec<usize> {
        windows.iter().map(|window| window.pieces.len()).collect()
    }

    #[test]
    fn pieces_share_a_window_while_they_fit() {
        let windows = pack(&[piece(0..10, 9), piece(20..25, 9), piece(40..50, 9)], 15);
        assert_eq!(sizes(&windows), [2, 1]);
        assert_eq!(windows[1].offset, 15.0 / 16_000.0);
    }

    #[test]
    fn a_full_window_is_cut_at_its_longest_late_pause() {
        let speech = [piece(0..40, 90), piece(50..90, 30), piece(90..98, 5), piece(98..140, 5)];
        assert_eq!(sizes(&pack(&speech, 100)), [2, 2]);
    }

    #[test]
    fn one_piece_may_fill_a_window() {
        assert_eq!(sizes(&pack(&[piece(0..100, 1), piece(110..210, 1)], 100)), [1, 1]);
    }

    #[test]
    fn batches_are_alike_and_fill_all_streams() {
        let windows = |count: usize| pack(&vec![piece(0..100, 1); count], 100);
        let sizes =
            |count, streams, batch_max| batches(&windows(count), streams, batch_max).iter().map(|batch| batch.len()).collect::<Vec<_>>();
        assert_eq!(sizes(12, 2, 8), [6, 6]);
        assert_eq!(sizes(27, 2, 8), [6, 7, 7, 7]);
        assert_eq!(sizes(9, 1, 8), [4, 5]);
        assert_eq!(sizes(1, 2, 8), [1]);
        assert!(sizes(0, 2, 8).is_empty());
    }

    #[test]
    fn times_go_back_to_where_they_were_heard() {
        let second = SAMPLE_RATE;
        let window = Window { pieces: vec![second..3 * second, 10 * second..11 * second], offset: 0.0 };
        assert_eq!(window.piece_at(1.9), 0);
        assert_eq!(window.piece_at(2.0), 1);
        assert_eq!(window.original(0.5, 0), 1.5);
        assert_eq!(window.original(2.5, 1), 10.5);
        assert_eq!(window.original(9.0, 1), 11.0, "nothing is placed in silence");
        assert_eq!(window.original(0.5, 1), 10.0 - LEAD_SECONDS, "or only a little before speech");
    }
}
