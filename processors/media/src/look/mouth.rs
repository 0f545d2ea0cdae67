//! How much a mouth moves, whatever the head does and however the face's box shakes.
//!
//! Both pictures are cut at the same place, where the face was; then the upper face, which does not speak, is sought in the later
//! one. What the mouth changes beyond that shift, and beyond what the upper face changes too (light, turning), it does by itself.

use super::small::{Grey, Shrinker, Square};
use domain::artefact::Rect;

/// A face's width in the two cuts, in pixels: enough for lips to be some pixels high.
const FACE: usize = 56;

/// Side of the cuts: the face and room to search on each side.
const SIDE: usize = 100;

/// How far a face may move from one sample to the next: a fourth of its width.
const REACH: isize = 14;

/// A part of a cut, in its pixels.
#[derive(Clone, Copy)]
struct Part {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// From the hair to below the nose: what keeps its shape.
const UPPER: Part = Part { x: 25, y: 25, width: 50, height: 30 };

/// From the upper lip to the chin.
const MOUTH: Part = Part { x: 36, y: 58, width: 28, height: 25 };

/// Returns how much the mouth moved, 0 to 1, of a face that was `width` (in parts of the picture) wide around the middle of `then`;
/// `None` where it is too near the border to be compared.
pub(super) fn motion(shrinker: &mut Shrinker, greys: [&Grey; 2], then: Rect, width: f32) -> Option<f32> {
    let [before, after] = greys;
    let square = around(before, then, width)?;
    let (before, after) = (shrinker.square(before, square, SIDE as u32)?, shrinker.square(after, square, SIDE as u32)?);
    let shifts = (-REACH..=REACH).flat_map(|y| (-REACH..=REACH).map(move |x| (x, y)));
    // Of shifts that fit as well the smallest: a face without texture fits everywhere.
    let fit = |shift: (isize, isize)| (change(&before, &after, UPPER, shift), shift.0.abs() + shift.1.abs(), shift);
    let (upper, _, shift) = shifts.map(fit).min()?;
    let mouth = change(&before, &after, MOUTH, shift);
    Some((mean(mouth, MOUTH) - mean(upper, UPPER)).max(0.0))
}

fn around(grey: &Grey, face: Rect, width: f32) -> Option<Square> {
    let (across, down) = (f64::from(grey.width), f64::from(grey.height));
    let side = f64::from(width) * across * SIDE as f64 / FACE as f64;
    let (x, y) = face.centre();
    let square = Square { x: f64::from(x) * across - side / 2.0, y: f64::from(y) * down - side / 2.0, side };
    let is_inside = square.x >= 0.0 && square.y >= 0.0 && square.x + side <= across && square.y + side <= down;
    is_inside.then_some(square)
}

/// Returns the sum of absolute differences of a part and the same part shifted.
fn change(before: &Grey, after: &Grey, part: Part, (shift_x, shift_y): (isize, isize)) -> u32 {
    let (x, y) = (part.x.strict_add_signed(shift_x), part.y.strict_add_signed(shift_y));
    (0..part.height)
        .map(|line| {
            let then = &before.pixels[(part.y + line) * SIDE + part.x..][..part.width];
            let now = &after.pixels[(y + line) * SIDE + x..][..part.width];
            then.iter().zip(now).map(|(then, now)| u32::from(then.abs_diff(*now))).sum::<u32>()
        })
        .sum()
}

fn mean(sum: u32, part: Part) -> f32 {
    sum as f32 / (part.width * part.height) as f32 / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of 200 pixels with a patterned face at (`x`, 100), its box 56 pixels wide, and a mouth that is open or not.
    fn picture(x: usize, light: u8, is_open: bool) -> Grey {
        let mut pixels = vec![90 + light; 200 * 200];
        for row in 70..130 {
            for column in x - 28..x + 28 {
                pixels[row * 200 + column] =
                    60 + light + (row * row * 7 + (column + 200 - x).pow(2) * 13 + row * (column + 200 - x)) as u8 % 64;
            }
        }
        for row in if is_open { 110..124 } else { 116..118 } {
            pixels[row * 200 + x - 10..row * 200 + x + 10].fill(20 + light);
        }
        Grey { width: 200, height: 200, pixels }
    }

    fn motion_of(before: &Grey, after: &Grey) -> f32 {
        let face = Rect { x: 0.36, y: 0.36, width: 0.28, height: 0.28 };
        motion(&mut Shrinker::default(), [before, after], face, 0.28).expect("the face is far from the border")
    }

    #[test]
    fn a_mouth_that_opens_is_told_from_a_head_that_moves_and_light_that_changes() {
        let still = picture(100, 0, false);
        assert_eq!(motion_of(&still, &still), 0.0);
        let opened = motion_of(&still, &picture(107, 0, true));
        assert!(opened > 0.05, "{opened}");
        for (other, what) in [(picture(107, 0, false), "the head moves"), (picture(100, 30, false), "a lamp is lit")] {
            assert!(motion_of(&still, &other) < opened / 5.0, "{what}: {}", motion_of(&still, &other));
        }
    }

    #[test]
    fn a_face_at_the_border_is_not_compared() {
        let grey = picture(100, 0, false);
        let face = Rect { x: 0.0, y: 0.36, width: 0.28, height: 0.28 };
        assert_eq!(motion(&mut Shrinker::default(), [&grey, &grey], face, 0.28), None);
    }
}
