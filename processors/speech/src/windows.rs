//! Packs speech into windows of at most the model's length and maps their times back.
//!
//! Silence is left out, so every second that the model hears costs what a second of speech costs and nothing is guessed for silence.

use crate::model::mel::SAMPLE_RATE;
use std::ops::Range;

/// One or more pieces of speech that are heard together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    /// Sample ranges of the audio, in order.
    pub(crate) pieces: Vec<Range<usize>>,
    /// Seconds of speech in the windows before this one.
    pub(crate) offset: f64,
}

/// Packs pieces of speech, none longer than `samples_max`, into as few windows as their order allows.
pub(crate) fn pack(speech: &[Range<usize>], samples_max: usize) -> Vec<Window> {
    let mut windows: Vec<Window> = vec![];
    let mut heard = 0;
    for piece in speech {
        match windows.last_mut() {
            Some(window) if window.samples() + piece.len() <= samples_max => window.pieces.push(piece.clone()),
            _ => windows.push(Window { pieces: vec![piece.clone()], offset: heard as f64 / SAMPLE_RATE as f64 }),
        }
        heard += piece.len();
    }
    windows
}

impl Window {
    /// Returns how many samples it holds.
    pub(crate) fn samples(&self) -> usize {
        self.pieces.iter().map(Range::len).sum()
    }

    /// Returns how many seconds it lasts.
    pub(crate) fn seconds(&self) -> f64 {
        self.samples() as f64 / SAMPLE_RATE as f64
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

    /// Returns the audio's second for a second of the window, kept inside the piece.
    pub(crate) fn original(&self, seconds: f64, piece: usize) -> f64 {
        let before: usize = self.pieces[..piece].iter().map(Range::len).sum();
        let range = &self.pieces[piece];
        let sample = range.start as f64 + seconds * SAMPLE_RATE as f64 - before as f64;
        sample.clamp(range.start as f64, range.end as f64) / SAMPLE_RATE as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_share_a_window_while_they_fit() {
        let windows = pack(&[0..10, 20..25, 40..50], 15);
        assert_eq!(windows.iter().map(|window| window.pieces.len()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(windows[1].offset, 15.0 / 16_000.0);
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
    }
}
