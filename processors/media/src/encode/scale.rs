//! Cuts a box with edges between pixels out of a picture and scales it.
//!
//! Enlarging interpolates between the two nearest samples in each direction; that is all that a 1080-line original needs for 9:16.
//! Shrinking averages over what a sample covers, or fine patterns would shimmer.

use super::frame::{Plane, PlaneMut};
use super::shrink::Shrinker;
use super::stretch::{Columns, mix, tap};

/// A box in luma samples of a picture; its edges may lie between samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Crop {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Scales crops; keeps its buffers from frame to frame.
#[derive(Default)]
pub(crate) struct Scaler {
    columns: Columns,
    rows: [Vec<u8>; 2],
    shrinker: Shrinker,
}

impl Scaler {
    /// Fills `target` with `crop` of `source`.
    pub(crate) fn scale(&mut self, source: &[Plane<'_>; 3], crop: Crop, target: &mut [PlaneMut<'_>; 3]) {
        for (index, (from, to)) in source.iter().zip(target).enumerate() {
            let crop = if index == 0 { crop } else { chroma_crop(crop, to.width) };
            if crop.width > to.width as f64 || crop.height > to.height as f64 {
                self.shrinker.shrink(from, crop, to);
            } else {
                self.interpolate(from, crop, to);
            }
        }
    }

    fn interpolate(&mut self, from: &Plane<'_>, crop: Crop, to: &mut PlaneMut<'_>) {
        self.columns.set(crop.left, crop.width, to.width, from.width);
        let step = crop.height / to.height as f64;
        let [upper, lower] = &mut self.rows;
        upper.resize(to.width, 0);
        lower.resize(to.width, 0);
        let mut held = (usize::MAX, usize::MAX);
        for y in 0..to.height {
            let tap = tap(crop.top + (y as f64 + 0.5) * step - 0.5, from.height);
            let wanted = (tap.index, (tap.index + 1).min(from.height - 1));
            if held.1 == wanted.0 && held.0 != wanted.0 {
                std::mem::swap(upper, lower);
                held = (held.1, usize::MAX);
            }
            if held.0 != wanted.0 {
                self.columns.stretch(from.row(wanted.0), upper);
            }
            if held.1 != wanted.1 {
                self.columns.stretch(from.row(wanted.1), lower);
            }
            held = wanted;
            mix(upper, lower, tap.weight, to.row(y));
        }
    }
}

/// Chroma is half as dense and sits on every other luma column, between two luma rows.
fn chroma_crop(crop: Crop, width: usize) -> Crop {
    let step = crop.width / 2.0 / width as f64;
    Crop { left: crop.left / 2.0 + (1.0 - step) / 4.0, top: crop.top / 2.0, width: crop.width / 2.0, height: crop.height / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::frame::Planes;

    /// A picture whose luma is `value(x, y)`.
    fn picture(width: usize, height: usize, value: impl Fn(usize, usize) -> u8) -> Planes {
        let mut planes = Planes::new(width, height);
        for (index, mut plane) in planes.planes_mut().into_iter().enumerate() {
            let scale = if index == 0 { 1 } else { 2 };
            for y in 0..plane.height {
                for (x, sample) in plane.row(y).iter_mut().enumerate() {
                    *sample = value(x * scale, y * scale);
                }
            }
        }
        planes
    }

    #[test]
    fn a_whole_crop_of_the_same_size_is_the_picture() {
        let source = picture(32, 16, |x, y| (x * 7 + y * 5) as u8);
        let mut target = Planes::new(32, 16);
        let crop = Crop { left: 0.0, top: 0.0, width: 32.0, height: 16.0 };
        Scaler::default().scale(&source.planes(), crop, &mut target.planes_mut());
        assert_eq!(target.planes()[0].data, source.planes()[0].data);
        assert_eq!(target.planes()[1].data, source.planes()[1].data);
    }

    #[test]
    fn a_quarter_of_a_pixel_moves_a_ramp_by_a_quarter() {
        let source = picture(64, 8, |x, _| (x * 4) as u8);
        let mut target = Planes::new(32, 8);
        let luma = |left: f64, target: &mut Planes| {
            let crop = Crop { left, top: 0.0, width: 32.0, height: 8.0 };
            Scaler::default().scale(&source.planes(), crop, &mut target.planes_mut());
            (target.planes()[0].row(3)[10], target.planes()[1].row(2)[5])
        };
        assert_eq!(luma(8.0, &mut target), (72, 72));
        assert_eq!(luma(8.25, &mut target), (73, 73), "chroma moves with luma");
        assert_eq!(luma(8.75, &mut target), (75, 75));
    }

    #[test]
    fn shrinking_averages_what_a_sample_covers() {
        let source = picture(64, 64, |x, _| if x % 2 == 0 { 40 } else { 200 });
        let mut target = Planes::new(16, 16);
        let crop = Crop { left: 0.0, top: 0.0, width: 64.0, height: 64.0 };
        Scaler::default().scale(&source.planes(), crop, &mut target.planes_mut());
        assert!(target.planes()[0].row(8)[4..12].iter().all(|value| (117..=123).contains(value)), "{:?}", target.planes()[0].row(8));
    }

    #[test]
    fn white_stays_white_when_it_shrinks() {
        let source = picture(640, 360, |_, _| 255);
        let mut target = Planes::new(90, 50);
        let crop = Crop { left: 0.3, top: 0.0, width: 639.5, height: 360.0 };
        Scaler::default().scale(&source.planes(), crop, &mut target.planes_mut());
        assert!(target.planes()[0].data.iter().all(|value| *value == 255));
    }
}
