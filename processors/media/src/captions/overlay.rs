//! A drawn caption in the colour space of the picture, and how it is laid over it.

use crate::encode::PlaneMut;
use anyhow::{Context, Result};

/// Premultiplied BT.709 limited-range Y'CbCr with coverage, chroma halved, cropped to what is drawn.
pub(super) struct Overlay {
    left: usize,
    top: usize,
    luma: Layer,
    chroma: [Vec<u8>; 2],
    chroma_cover: Vec<u8>,
}

struct Layer {
    width: usize,
    height: usize,
    cover: Vec<u8>,
    values: Vec<u8>,
}

/// Luma and chroma of BT.709 in limited range, for R, G, B from 0 to 255 (ITU-R BT.709-6, 3.4 and 3.5).
const LUMA: [f32; 3] = [0.182_586, 0.614_231, 0.062_007];
const BLUE_DIFFERENCE: [f32; 3] = [-0.100_644, -0.338_572, 0.439_216];
const RED_DIFFERENCE: [f32; 3] = [0.439_216, -0.398_942, -0.040_274];

/// Black and grey as parts of full coverage.
const BLACK: f32 = 16.0 / 255.0;
const GREY: f32 = 128.0 / 255.0;

impl Overlay {
    /// Takes what is drawn on `surface`, whose top left corner is at `left`, `top` of the picture (both even).
    /// `None` when nothing is.
    pub(super) fn new(surface: &mut cairo::ImageSurface, left: usize, top: usize) -> Result<Option<Self>> {
        surface.flush();
        let (width, height, stride) = (surface.width() as usize, surface.height() as usize, surface.stride() as usize);
        let data = surface.data().context("reading a drawn caption")?;
        let pixels = Pixels { data: &data, stride, width, height };
        let Some(bounds) = pixels.bounds() else { return Ok(None) };
        let (first_x, first_y) = (bounds.0 & !1, bounds.1 & !1);
        let (columns, rows) = ((bounds.2 - first_x).next_multiple_of(2), (bounds.3 - first_y).next_multiple_of(2));
        let mut luma = Layer { width: columns, height: rows, cover: Vec::new(), values: Vec::new() };
        for y in 0..rows {
            for x in 0..columns {
                let pixel = pixels.at(first_x + x, first_y + y);
                luma.cover.push(pixel[3] as u8);
                luma.values.push(mixed(pixel, LUMA, BLACK));
            }
        }
        let mut overlay =
            Self { left: left + first_x, top: top + first_y, luma, chroma: [Vec::new(), Vec::new()], chroma_cover: Vec::new() };
        for y in (0..rows).step_by(2) {
            for x in (0..columns).step_by(2) {
                let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(right, down)| pixels.at(first_x + x + right, first_y + y + down));
                let mean: [f32; 4] = std::array::from_fn(|channel| corners.iter().map(|pixel| pixel[channel]).sum::<f32>() / 4.0);
                overlay.chroma_cover.push(rounded(mean[3]));
                overlay.chroma[0].push(mixed(mean, BLUE_DIFFERENCE, GREY));
                overlay.chroma[1].push(mixed(mean, RED_DIFFERENCE, GREY));
            }
        }
        Ok(Some(overlay))
    }

    /// Lays it over the picture.
    pub(super) fn blend(&self, [y, u, v]: &mut [PlaneMut<'_>; 3]) {
        let Layer { width, height, cover, values } = &self.luma;
        over(y, (self.left, self.top), (*width, *height), cover, values);
        for (plane, values) in [u, v].into_iter().zip(&self.chroma) {
            over(plane, (self.left / 2, self.top / 2), (width / 2, height / 2), &self.chroma_cover, values);
        }
    }
}

/// A surface in cairo's premultiplied ARGB32.
struct Pixels<'a> {
    data: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl Pixels<'_> {
    /// Returns red, green, blue and coverage, 0 to 255; nothing outside the surface.
    fn at(&self, x: usize, y: usize) -> [f32; 4] {
        if x >= self.width || y >= self.height {
            return [0.0; 4];
        }
        let at = y * self.stride + x * 4;
        let native = u32::from_ne_bytes([self.data[at], self.data[at + 1], self.data[at + 2], self.data[at + 3]]);
        [16, 8, 0, 24].map(|shift| ((native >> shift) & 0xff) as f32)
    }

    /// Returns the box of all that is drawn: left, top, right, bottom.
    fn bounds(&self) -> Option<(usize, usize, usize, usize)> {
        let mut bounds: Option<(usize, usize, usize, usize)> = None;
        for y in 0..self.height {
            let row = &self.data[y * self.stride..y * self.stride + self.width * 4];
            let Some(first) = row.iter().position(|byte| *byte != 0) else { continue };
            let last = row.iter().rposition(|byte| *byte != 0).unwrap_or(first);
            let (left, right) = (first / 4, last / 4 + 1);
            bounds = Some(match bounds {
                None => (left, y, right, y + 1),
                Some((l, t, r, _)) => (l.min(left), t, r.max(right), y + 1),
            });
        }
        bounds
    }
}

fn mixed(pixel: [f32; 4], weights: [f32; 3], offset: f32) -> u8 {
    let value = pixel[0] * weights[0] + pixel[1] * weights[1] + pixel[2] * weights[2] + pixel[3] * offset;
    // Premultiplied: the value never exceeds its coverage, so adding it cannot overflow.
    rounded(value).min(rounded(pixel[3]))
}

/// Rounds by adding and cutting off, which is one instruction; `f32::round` is a call on processors of any age.
fn rounded(value: f32) -> u8 {
    (value + 0.5) as u8
}

fn over(plane: &mut PlaneMut<'_>, (left, top): (usize, usize), (width, height): (usize, usize), cover: &[u8], values: &[u8]) {
    let columns = width.min(plane.width.saturating_sub(left));
    for y in 0..height.min(plane.height.saturating_sub(top)) {
        let source = y * width;
        let (cover, values) = (&cover[source..source + columns], &values[source..source + columns]);
        let row = &mut plane.row(top + y)[left..left + columns];
        for ((below, cover), value) in row.iter_mut().zip(cover).zip(values) {
            let rest = u16::from(*below) * u16::from(255 - cover) + 128;
            *below = ((rest + (rest >> 8)) >> 8) as u8 + value;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;

    /// Lays one pixel's colour, drawn over 4×4 pixels, over a grey picture and returns what is there then.
    fn check(colour: (f64, f64, f64, f64), expected: [u8; 3]) {
        let mut surface = cairo::ImageSurface::create(cairo::Format::ARgb32, 8, 8).unwrap();
        {
            let context = cairo::Context::new(&surface).unwrap();
            context.set_source_rgba(colour.0, colour.1, colour.2, colour.3);
            context.rectangle(2.0, 2.0, 4.0, 4.0);
            context.fill().unwrap();
        }
        let overlay = Overlay::new(&mut surface, 4, 2).unwrap().unwrap();
        let (mut y, mut u, mut v) = (vec![126_u8; 256], vec![128_u8; 64], vec![128_u8; 64]);
        let plane = |data, width| PlaneMut { data, stride: width, width, height: width };
        overlay.blend(&mut [plane(&mut y, 16), plane(&mut u, 8), plane(&mut v, 8)]);
        assert_eq!([y[5 * 16 + 7], u[2 * 8 + 3], v[2 * 8 + 3]], expected);
        assert_eq!((y[5 * 16 + 5], y[3 * 16 + 7], u[8 + 3]), (126, 126, 128), "nothing outside the box");
    }

    #[test]
    fn opaque_colours_become_their_bt709_codes() {
        check((1.0, 1.0, 1.0, 1.0), [235, 128, 128]);
        check((0.0, 0.0, 0.0, 1.0), [16, 128, 128]);
        check((1.0, 0.0, 0.0, 1.0), [63, 102, 240]);
        check((0.0, 0.0, 1.0, 1.0), [32, 240, 118]);
    }

    #[test]
    fn half_covered_pixels_mix_with_what_is_below() {
        check((1.0, 1.0, 1.0, 0.5), [181, 128, 128]);
        check((0.0, 0.0, 0.0, 0.5), [71, 128, 128]);
    }
}
