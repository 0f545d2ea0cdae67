//! Damage in H.264 and H.265 that shows without decoding: a unit is a row of lengths and pieces (NAL units), which tiles it exactly,
//! and no piece of a picture contains a run of zeros, which the standards forbid because decoders look for the next piece by it.

use gstreamer as gst;

/// Three zeros are forbidden. More are asked for, as careless encoders exist; whoever zeroes a part of a file zeroes thousands.
const ZEROS: usize = 16;

/// Which of the two, as far as pieces differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standard {
    H264,
    H265,
}

/// How units are written that can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    standard: Standard,
    /// Bytes of each length.
    length_bytes: usize,
}

impl Layout {
    /// Returns the layout of a track; `None` for what cannot be checked.
    pub(super) fn of(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0)?;
        // Where the decoder's set-up says how long a length is, minus one.
        let (standard, place) = match structure.name().as_str() {
            "video/x-h264" => (Standard::H264, 4),
            "video/x-h265" => (Standard::H265, 21),
            _ => return None,
        };
        if structure.get::<&str>("stream-format").is_ok_and(|format| format == "byte-stream") {
            return None;
        }
        let set_up = structure.get::<gst::Buffer>("codec_data").ok()?;
        let set_up = set_up.map_readable().ok()?;
        let length_bytes = usize::from(set_up.get(place)? & 3) + 1;
        Some(Self { standard, length_bytes })
    }

    /// Tells whether a unit has no visible damage.
    pub(super) fn is_sound(self, mut unit: &[u8]) -> bool {
        // What is shorter than a length is padding.
        while let Some((length, rest)) = unit.split_at_checked(self.length_bytes) {
            let length = length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            let Some((piece, after)) = rest.split_at_checked(length) else { return false };
            if !self.is_sound_piece(piece) {
                return false;
            }
            unit = after;
        }
        true
    }

    fn is_sound_piece(self, piece: &[u8]) -> bool {
        let [first, ..] = *piece else { return false };
        let is_forbidden = first & 0x80 != 0;
        let is_picture = match self.standard {
            Standard::H264 => (1..=5).contains(&(first & 0x1f)),
            Standard::H265 => (first >> 1 & 0x3f) < 32,
        };
        !(is_forbidden || is_picture && has_zeros(piece))
    }
}

/// Tells whether there is a run of zeros with something after it: at the very end zeros are padding.
fn has_zeros(piece: &[u8]) -> bool {
    let Some(last) = piece.iter().rposition(|&byte| byte != 0) else { return true };
    // A run that long holds a zero at one of these places, and few other bytes there are zeros.
    let mut places = (0..last).step_by(ZEROS);
    places.any(|place| {
        let before = piece[..place].iter().rev().take_while(|&&byte| byte == 0).count();
        before + piece[place..last].iter().take_while(|&&byte| byte == 0).take(ZEROS).count() >= ZEROS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { standard: Standard::H264, length_bytes: 4 };

    /// A unit of two pieces: a header for the decoder and a slice with these bytes in the middle.
    fn unit(middle: &[u8]) -> Vec<u8> {
        let slice = [&[0x65, 0x88, 0x84][..], &[0x5a; 40], middle, &[0x5a; 40]].concat();
        let length = |piece: &[u8]| (piece.len() as u32).to_be_bytes();
        let set_up = [0x67, 0x64];
        [&length(&set_up)[..], &set_up, &length(&slice), &slice].concat()
    }

    #[test]
    fn what_an_encoder_writes_is_sound() {
        assert!(LAYOUT.is_sound(&unit(&[0, 0, 3, 0, 0, 3, 1])));
        let padded = [unit(b"x"), vec![0; 3]].concat();
        assert!(LAYOUT.is_sound(&padded));
    }

    #[test]
    fn a_wrong_length_zeros_and_a_forbidden_bit_are_damage() {
        let whole = unit(b"x");
        assert!(!LAYOUT.is_sound(&whole[..whole.len() - 5]), "the last piece is cut");
        assert!(!LAYOUT.is_sound(&vec![0; whole.len()]), "everything is zero");
        for offset in 0..40 {
            assert!(!LAYOUT.is_sound(&unit(&[vec![7; offset], vec![0; ZEROS]].concat())), "zeros after {offset}");
        }
        let mut forbidden = whole;
        forbidden[4] |= 0x80;
        assert!(!LAYOUT.is_sound(&forbidden));
    }
}
