//! Tells which encoded pictures no other picture is made of, so that they can be left out.

use gstreamer as gst;
use gstreamer::prelude::*;

/// Kinds of unit (H.264, table 7-1) that hold a piece of a picture.
const SLICES: std::ops::RangeInclusive<u8> = 1..=5;

/// Tells whether the encoded picture at `pad` can be left out. Only H.264 as MP4 and Matroska keep it says so; of all else, all is kept.
pub(super) fn is_disposable(pad: &gst::Pad, picture: &gst::Buffer) -> bool {
    let Some(prefix) = length_bytes(pad) else { return false };
    picture.map_readable().is_ok_and(|bytes| has_only_disposable_slices(&bytes, prefix))
}

/// Returns how many bytes say how long each unit is.
fn length_bytes(pad: &gst::Pad) -> Option<usize> {
    let caps = pad.current_caps()?;
    let structure = caps.structure(0).filter(|structure| structure.name() == "video/x-h264")?;
    if !structure.get::<&str>("stream-format").is_ok_and(|format| format == "avc") {
        return None;
    }
    let configuration = structure.get::<gst::Buffer>("codec_data").ok()?.map_readable().ok()?.to_vec();
    configuration.get(4).map(|byte| usize::from(byte & 3) + 1)
}

fn has_only_disposable_slices(picture: &[u8], prefix: usize) -> bool {
    let (mut rest, mut slices) = (picture, 0);
    while rest.len() > prefix {
        let (length, after) = rest.split_at(prefix);
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let Some((unit, after)) = after.split_at_checked(length) else { return false };
        if let Some(header) = unit.first().filter(|header| SLICES.contains(&(**header & 0x1f))) {
            let is_referred_to = header & 0x60 != 0;
            if is_referred_to {
                return false;
            }
            slices += 1;
        }
        rest = after;
    }
    slices > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_picture_whose_slices_nothing_refers_to_is_disposable() {
        let (hint, lone, referred) = ([0, 0, 0, 2, 0x06, 9], [0, 0, 0, 2, 0x01, 9], [0, 0, 0, 2, 0x41, 9]);
        assert!(has_only_disposable_slices(&[hint, lone, lone].concat(), 4));
        assert!(!has_only_disposable_slices(&[lone, referred].concat(), 4));
        assert!(!has_only_disposable_slices(&hint, 4), "no picture");
        assert!(!has_only_disposable_slices(&[lone.as_slice(), &[0, 0, 1, 0, 0x01]].concat(), 4), "cut short");
        assert!(has_only_disposable_slices(&lone[2..], 2), "short lengths");
    }
}
