//! Cuts a box with edges between pixels out of a picture and scales it.
//!
//! Enlarging interpolates between the two nearest samples in each direction; that is all that a 1080-line original needs for 9:16.
//! Shrinking averages over what a sample covers, or fine patterns would shimmer.

use super::frame::{Plane, PlaneMut};
use super::stretch::{Columns, mix, tap};

/// Weights of averaging add up to 256: a sum of weighted bytes then fits 16 bits.
const WHOLE: f64 = 256.0;

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
    averaged: Vec<u16>,
}

impl Scaler {
    /// Fills `target` with `crop` of `source`.
    pub(crate) fn scale(&mut self, source: &[Plane<'_>; 3], crop: Crop, target: &mut [PlaneMut<'_>; 3]) {
        for (index, (from, to)) in source.iter().zip(target).enumerate() {
            let crop = if index == 0 { crop } else { chroma_crop(crop, to.width) };
            if crop.width > to.width as f64 || crop.height > to.height as f64 {
                self.average(from, crop, to);
            } else {
                self.interpolate(from, crop, to);
            }
        }
    }

    /// Averages with a triangle as wide as two output samples: down first, where eight columns go at a time, then across.
    fn average(&mut self, from: &Plane<'_>, crop: Crop, to: &mut PlaneMut<'_>) {
        let columns = windows(crop.left, crop.width, to.width, from.width);
        let rows = windows(crop.top, crop.height, to.height, from.height);
        for (y, (first, weights)) in rows.iter().enumerate() {
            self.averaged.clear();
            self.averaged.resize(from.width, WHOLE as u16 / 2);
            for (row, weight) in (*first..).zip(weights) {
                for (sum, value) in self.averaged.iter_mut().zip(from.row(row)) {
                    *sum = sum.saturating_add(u16::from(*value) * weight);
                }
            }
            for (sample, (first, weights)) in to.row(y).iter_mut().zip(&columns) {
                let sums = &self.averaged[*first..*first + weights.len()];
                let sum: u32 = sums.iter().zip(weights).map(|(sum, weight)| u32::from(sum >> 8) * u32::from(*weight)).sum();
                *sample = ((sum + 128) >> 8) as u8;
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

/// Returns, for each output sample, the first sample that it covers and the weights from there on, which add up to 256.
fn windows(start: f64, size: f64, outputs: usize, length: usize) -> Vec<(usize, Vec<u16>)> {
    let step = size / outputs as f64;
    let radius = step.max(1.0);
    let last = (length - 1) as f64;
    (0..outputs)
        .map(|output| {
            let centre = (start + (output as f64 + 0.5) * step - 0.5).clamp(0.0, last);
            let first = (centre - radius).ceil().max(0.0) as usize;
            let end = (centre + radius).floor().min(last) as usize;
            let parts: Vec<f64> = (first..=end).map(|at| (1.0 - (at as f64 - centre).abs() / radius).max(0.0)).collect();
            let sum: f64 = parts.iter().sum();
            // Rounding the running total, not each part, makes the weights add up.
            let mut before = 0.0;
            let mut given = 0;
            let weights = parts
                .iter()
                .map(|part| {
                    before += part / sum * WHOLE;
                    let weight = before.round() as u16 - given;
                    given += weight;
                    weight
                })
                .collect();
            (first, weights)
        })
        .collect()
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
    fn weights_add_up_at_every_place_and_size() {
        for (start, size, outputs, length) in [(0.0, 1920.0, 68, 1920), (3.3, 2000.0, 1080, 2160), (10.5, 1090.0, 1080, 1920)] {
            for (first, weights) in windows(start, size, outputs, length) {
                assert_eq!(weights.iter().sum::<u16>(), 256);
                assert!(first + weights.len() <= length);
            }
        }
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
