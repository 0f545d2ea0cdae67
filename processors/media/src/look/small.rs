//! Small copies of a picture: what cuts, faces and sharpness are computed on.

use crate::decode::Frame;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

/// The longer side of the grey copy in which faces are sought: the detector finds faces of 40 pixels and more,
/// so this sees a face that is a ninth of a 16:9 picture's height.
const GREY_LONG_SIDE: u32 = 640;

/// Size of the colour copy whose change tells a cut.
const TINY_WIDTH: u32 = 128;
const TINY_HEIGHT: u32 = 72;
const TINY_PIXELS: usize = (TINY_WIDTH * TINY_HEIGHT) as usize;

/// Histogram bins of luma, and of each chroma plane.
const LUMA_BINS: usize = 32;
const CHROMA_BINS: usize = 16;

/// Makes small copies; keeps the resizer's buffers.
#[derive(Default)]
pub(super) struct Shrinker {
    resizer: Resizer,
}

/// A small upright grey picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grey {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}

/// A tiny colour picture, to be compared with others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tiny {
    luma: Vec<u8>,
    /// Hue (0 to 179), saturation and value of each pixel.
    hsv: Vec<[u8; 3]>,
    histogram: Vec<f32>,
}

/// How much two pictures differ; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Change {
    /// See [`Tiny::content_change`].
    pub content: f32,
    /// See [`Tiny::palette_change`].
    pub palette: f32,
}

impl Change {
    pub(super) fn between(before: &Tiny, after: &Tiny) -> Self {
        Self { content: before.content_change(after), palette: before.palette_change(after) }
    }
}

impl Shrinker {
    /// Returns the grey copy, turned clockwise by `rotation_degrees`.
    pub(super) fn grey(&mut self, frame: &Frame, rotation_degrees: u16) -> Grey {
        let (width, height) = (frame.width(), frame.height());
        let longer = width.max(height);
        let scaled = |side: u32| if longer > GREY_LONG_SIDE { (side * GREY_LONG_SIDE / longer).max(1) } else { side };
        let (out_width, out_height) = (scaled(width), scaled(height));
        let pixels = self.plane(frame, 0, (width, height), (out_width, out_height));
        Grey { width: out_width, height: out_height, pixels }.turned(rotation_degrees)
    }

    pub(super) fn tiny(&mut self, frame: &Frame) -> Tiny {
        let (width, height) = (frame.width(), frame.height());
        let chroma = (width.div_ceil(2), height.div_ceil(2));
        let size = (TINY_WIDTH, TINY_HEIGHT);
        let luma = self.plane(frame, 0, (width, height), size);
        let (blue, red) = (self.plane(frame, 1, chroma, size), self.plane(frame, 2, chroma, size));
        Tiny::new(luma, &blue, &red)
    }

    fn plane(&mut self, frame: &Frame, index: u32, from: (u32, u32), to: (u32, u32)) -> Vec<u8> {
        let (bytes, stride) = frame.plane(index);
        let rows = stride * from.1 as usize;
        let source = ImageRef::new(stride as u32, from.1, &bytes[..rows], PixelType::U8).expect("a plane has whole rows");
        let mut out = Image::new(to.0, to.1, PixelType::U8);
        let options =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box)).crop(0.0, 0.0, f64::from(from.0), f64::from(from.1));
        self.resizer.resize(&source, &mut out, &options).expect("the crop lies inside the plane");
        out.into_vec()
    }

    /// Returns the square of `side` pixels around (`x`, `y`) as `size` by `size` pixels; `None` where it leaves no picture.
    pub(super) fn square(&mut self, grey: &Grey, square: Square, size: u32) -> Option<Grey> {
        let source = ImageRef::new(grey.width, grey.height, &grey.pixels, PixelType::U8).ok()?;
        let mut out = Image::new(size, size, PixelType::U8);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
            square.x,
            square.y,
            square.side,
            square.side,
        );
        self.resizer.resize(&source, &mut out, &options).ok()?;
        Some(Grey { width: size, height: size, pixels: out.into_vec() })
    }
}

/// A square inside a grey picture, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Square {
    pub x: f64,
    pub y: f64,
    pub side: f64,
}

impl Grey {
    fn turned(self, degrees: u16) -> Self {
        let (width, height) = (self.width as usize, self.height as usize);
        let source = |x: usize, y: usize| self.pixels[y * width + x];
        let pixels: Vec<u8> = match degrees {
            90 => (0..width).flat_map(|y| (0..height).map(move |x| (y, height - 1 - x))).map(|(x, y)| source(x, y)).collect(),
            180 => self.pixels.iter().rev().copied().collect(),
            270 => (0..width).flat_map(|y| (0..height).map(move |x| (width - 1 - y, x))).map(|(x, y)| source(x, y)).collect(),
            _ => return self,
        };
        let (width, height) = if degrees == 180 { (self.width, self.height) } else { (self.height, self.width) };
        Self { width, height, pixels }
    }

    /// Returns the mean, 0 to 1.
    pub(super) fn mean(&self) -> f32 {
        let sum: u64 = self.pixels.iter().map(|&pixel| u64::from(pixel)).sum();
        sum as f32 / self.pixels.len() as f32 / 255.0
    }

    /// Returns the variance of the Laplacian.
    pub(super) fn sharpness(&self) -> f32 {
        let width = self.width as usize;
        let (mut sum, mut squares, mut count) = (0i64, 0i64, 0i64);
        for rows in self.pixels.chunks_exact(width).collect::<Vec<_>>().windows(3) {
            for x in 1..width.saturating_sub(1) {
                let around = i64::from(rows[0][x]) + i64::from(rows[2][x]) + i64::from(rows[1][x - 1]) + i64::from(rows[1][x + 1]);
                let laplacian = 4 * i64::from(rows[1][x]) - around;
                sum += laplacian;
                squares += laplacian * laplacian;
                count += 1;
            }
        }
        if count == 0 {
            return 0.0;
        }
        let mean = sum as f64 / count as f64;
        (squares as f64 / count as f64 - mean * mean) as f32
    }
}

impl Tiny {
    fn new(luma: Vec<u8>, blue: &[u8], red: &[u8]) -> Self {
        let mut histogram = vec![0.0; LUMA_BINS + 2 * CHROMA_BINS];
        let part = 1.0 / TINY_PIXELS as f32;
        let mut hsv = Vec::with_capacity(TINY_PIXELS);
        for ((&y, &u), &v) in luma.iter().zip(blue).zip(red) {
            histogram[usize::from(y) * LUMA_BINS / 256] += part;
            histogram[LUMA_BINS + usize::from(u) * CHROMA_BINS / 256] += part;
            histogram[LUMA_BINS + CHROMA_BINS + usize::from(v) * CHROMA_BINS / 256] += part;
            hsv.push(to_hsv(y, u, v));
        }
        Self { luma, hsv, histogram }
    }

    /// Returns the mean change of hue, saturation and value between pictures that follow each other, 0 to 255:
    /// the measure of PySceneDetect's content detector, so that thresholds can be compared.
    pub(super) fn content_change(&self, other: &Self) -> f32 {
        let mut sums = [0u32; 3];
        for (a, b) in self.hsv.iter().zip(&other.hsv) {
            for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                *sum += u32::from(a.abs_diff(*b));
            }
        }
        sums.iter().sum::<u32>() as f32 / (3 * TINY_PIXELS) as f32
    }

    /// Returns how much the distribution of light and colour differs, 0 to 1. Motion hardly changes it, so it also compares
    /// pictures that are seconds apart.
    pub(super) fn palette_change(&self, other: &Self) -> f32 {
        self.histogram.iter().zip(&other.histogram).map(|(a, b)| (a - b).abs()).sum::<f32>() / 6.0
    }

    /// Returns the mean absolute change of luma, 0 to 1.
    pub(super) fn motion(&self, other: &Self) -> f32 {
        let sum: u32 = self.luma.iter().zip(&other.luma).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        sum as f32 / TINY_PIXELS as f32 / 255.0
    }
}

/// Converts studio-range BT.709 to hue, saturation and value as OpenCV counts them.
fn to_hsv(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = (1.164 * (f32::from(y) - 16.0), f32::from(u) - 128.0, f32::from(v) - 128.0);
    let clamped = |value: f32| value.clamp(0.0, 255.0);
    let (red, green, blue) = (clamped(y + 1.793 * v), clamped(y - 0.213 * u - 0.533 * v), clamped(y + 2.112 * u));
    let (highest, lowest) = (red.max(green).max(blue), red.min(green).min(blue));
    let range = highest - lowest;
    if range < 0.5 {
        return [0, 0, highest as u8];
    }
    let sixth = if highest == red {
        ((green - blue) / range).rem_euclid(6.0)
    } else if highest == green {
        (blue - red) / range + 2.0
    } else {
        (red - green) / range + 4.0
    };
    [(sixth * 30.0) as u8, (255.0 * range / highest) as u8, highest as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, pixels: &[u8]) -> Grey {
        Grey { width, height, pixels: pixels.to_vec() }
    }

    #[test]
    fn a_picture_is_turned_clockwise() {
        let picture = grey(3, 2, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(picture.clone().turned(90), grey(2, 3, &[4, 1, 5, 2, 6, 3]));
        assert_eq!(picture.clone().turned(180), grey(3, 2, &[6, 5, 4, 3, 2, 1]));
        assert_eq!(picture.clone().turned(270), grey(2, 3, &[3, 6, 2, 5, 1, 4]));
        assert_eq!(picture.clone().turned(0), picture);
    }

    #[test]
    fn edges_are_sharper_than_slopes() {
        let edges: Vec<u8> = (0..64).map(|index| if index % 8 < 4 { 0 } else { 200 }).collect();
        let slope: Vec<u8> = (0..64).map(|index| index % 8 * 25).collect();
        assert!(grey(8, 8, &edges).sharpness() > 100.0 * grey(8, 8, &slope).sharpness().max(1.0));
        assert_eq!(grey(2, 2, &[9; 4]).sharpness(), 0.0);
    }

    #[test]
    fn colours_convert_as_opencv_does() {
        assert_eq!(to_hsv(235, 128, 128), [0, 0, 254]);
        assert_eq!(to_hsv(16, 128, 128), [0, 0, 0]);
        let [hue, saturation, _] = to_hsv(63, 102, 240);
        assert!((hue <= 2 || hue >= 177) && saturation > 240, "red: {hue} {saturation}");
    }

    #[test]
    fn a_moved_picture_has_the_same_palette() {
        let tiny = |shift: usize| {
            let luma: Vec<u8> = (0..TINY_PIXELS).map(|index| if (index + shift) % 128 < 64 { 40 } else { 200 }).collect();
            Tiny::new(luma, &[128; TINY_PIXELS], &[128; TINY_PIXELS])
        };
        assert!(tiny(0).palette_change(&tiny(64)) < 1e-4);
        assert!(tiny(0).content_change(&tiny(64)) > 50.0);
        assert!((tiny(0).motion(&tiny(64)) - 160.0 / 255.0).abs() < 1e-4);
    }
}
